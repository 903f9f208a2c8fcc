import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from app.keys import hash_key, new_key
from app.reports.schema import NOTICE
from docs.postman.files import dicom
from models.phantom import draw_phantom
from tests.app.viewer.browser import SECONDS, Viewer, chromium
from tests.support import ROOT
from tests.support.programs import program
from tests.support.server import Server, running

PHANTOM = ROOT / "docs" / "phantom.png"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Viewer]:
    with chromium(f"{server.url}/") as viewer:
        yield viewer


@pytest.fixture
def viewer(browser: Viewer) -> Viewer:
    browser.open()
    return browser


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With disease, and a name that a shell could misread."""
    path = tmp_path_factory.mktemp("pictures") / "it's a phantom.png"
    shutil.copy(PHANTOM, path)
    return path


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "blank.png"
    assert cv2.imwrite(str(path), np.full((480, 640), 90, np.uint8))
    return path


@pytest.fixture(scope="session")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "noise.png"
    assert cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (700, 900), dtype=np.uint8))
    return path


@pytest.fixture(scope="session")
def radiograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As DICOM."""
    path = tmp_path_factory.mktemp("pictures") / "IM000001"
    dicom(draw_phantom(512)).save_as(path, enforce_file_format=True)
    return path


@cache
def axe_core() -> str:
    """The script of npm's package."""
    npm = shutil.which("npm")
    root = subprocess.run([npm, "root", "--global"], capture_output=True, text=True, check=True).stdout if npm else ""
    script = Path(root.strip()) / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.skip("axe-core is not installed")
    return script.read_text(encoding="utf-8")


def violations(viewer: Viewer) -> list[str]:
    """What axe-core finds wrong: contrast, names, roles, structure."""
    viewer.script(axe_core())
    result = viewer.driver.execute_async_script("const done = arguments[0]; axe.run(document).then(done);")
    assert len(result["passes"]) > 15
    return [
        f"{rule['id']}: {[(node['target'], node['failureSummary']) for node in rule['nodes']]}"
        for rule in result["violations"]
    ]


UNANSWERED = "window.fetch = () => new Promise((resolve) => (window.answer = resolve));"
"""Requests wait until ``answer`` is called."""


def buttons(viewer: Viewer) -> list[WebElement]:
    return viewer["downloads"].find_elements("tag name", "button")


def button(viewer: Viewer, words: str) -> WebElement:
    """The download with that name."""
    (found,) = [each for each in buttons(viewer) if each.text.startswith(words)]
    return found


def until_told(viewer: Viewer, words: str) -> None:
    WebDriverWait(viewer.driver, SECONDS).until(lambda _: words in viewer["downloading"].text)


def in_script(value: float) -> Decimal:
    """As the page rounds: JavaScript's toFixed takes the larger of two that are equally near, Python the even one."""
    return Decimal(value).quantize(Decimal("0.1"), ROUND_HALF_UP)


def test_a_chosen_file_is_scored_as_the_api_scores_it(viewer: Viewer, server: Server, phantom: Path) -> None:
    viewer.choose(phantom)
    viewer.wait("done")
    answer = server.client.post("/score?overlay=false&uncertainty=true", content=PHANTOM.read_bytes()).json()
    assert viewer["score"].text == str(answer["score"])
    for zone in answer["zones"]:
        cell = viewer.driver.find_element("css selector", f"[data-zone={zone['zone']}]").text
        assert cell.startswith(f"{in_script(100 * zone['share'])}\u202f%")
        assert " to ".join(f"{in_script(100 * end)}\u202f%" for end in zone["interval"]) in cell
        assert ("not affected" in cell) is not zone["affected"]
    assert f"{answer['score']} of 6" in viewer["picture"].get_attribute("aria-label")
    viewer.script("document.querySelectorAll('details').forEach((details) => (details.open = true))")
    assert server.answered(viewer["request-id"].text)["score"] == answer["score"]
    assert answer["image"]["sha256"] in viewer["origin"].text
    assert f"{100 * answer['uncertainty']['coverage']:.1f}\u202f%" in viewer["facts"].text
    assert viewer["timings"].text.count("ms") == 10
    assert answer["models"]["disease"]["architecture"] in viewer["models"].text


def test_nothing_leaves_the_origin_and_nothing_is_kept_or_blocked(
    viewer: Viewer, server: Server, phantom: Path
) -> None:
    viewer.choose(phantom)
    viewer.wait("done")
    requests = viewer.requests()
    assert {request["url"].split("?")[0] for request in requests} >= {f"{server.url}/", f"{server.url}/segment"}
    assert all(request["url"].startswith(f"{server.url}/") for request in requests)
    (sent,) = [request for request in requests if request["method"] == "POST"]
    # The file's name stays here: a form would send it along.
    assert "phantom" not in str(sent["headers"]) + sent["url"]
    assert viewer.console() == []
    assert viewer.driver.get_cookies() == []
    assert viewer.script("return localStorage.length + sessionStorage.length") == 0
    assert viewer.script("return indexedDB.databases().then((found) => found.length)") == 0


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_dropped_or_pasted_file_is_scored(viewer: Viewer, way: str) -> None:
    viewer.bring(way, PHANTOM.read_bytes(), "dropped.png")
    viewer.wait("done")
    assert viewer["score"].text.isdigit()


def test_layers_and_their_opacity_change_the_picture(viewer: Viewer, phantom: Path) -> None:
    viewer.choose(phantom)
    viewer.wait("done")
    red, green, _ = viewer.mean_colour()
    viewer["opacity"].send_keys(Keys.END)
    assert viewer["opacity-value"].text == "100\u202f%"
    opaque_red, opaque_green, _ = viewer.mean_colour()
    assert opaque_red > red
    assert opaque_green < green - 1
    viewer["show-disease"].click()
    bare_red, _, bare_blue = viewer.mean_colour()
    assert bare_red < red
    # Cyan is what is left of colour, and goes with lungs and zones.
    assert bare_blue > bare_red + 0.5
    viewer["show-lungs"].click()
    viewer["show-zones"].click()
    assert max(viewer.mean_colour()) - min(viewer.mean_colour()) < 0.01


def test_the_keyboard_is_enough(viewer: Viewer, server: Server, phantom: Path) -> None:
    viewer.press(Keys.TAB, Keys.TAB)
    assert viewer.focused == "file"
    ring = "return getComputedStyle(document.querySelector('label[for=file]')).outlineStyle"
    assert viewer.script(ring) == "solid"
    viewer.driver.switch_to.active_element.send_keys(str(phantom))
    viewer.wait("done")
    order = []
    for _ in range(8):
        viewer.press(Keys.TAB)
        order.append(viewer.focused)
        assert viewer.script("return document.activeElement.matches(':focus-visible')")
    assert order == [
        *("threshold", "polarity", "again"),
        *("show-lungs", "show-zones", "show-disease", "opacity"),
        "",  # the first of the details
    ]
    viewer.press(Keys.ENTER)
    assert viewer["timings"].is_displayed()
    before = viewer["score"].text
    viewer["threshold"].send_keys("0.01", Keys.ENTER)
    WebDriverWait(viewer.driver, SECONDS).until(lambda _: viewer["score"].text not in ("", before))
    answer = server.client.post("/score?overlay=false&threshold=0.01", content=PHANTOM.read_bytes()).json()
    assert viewer["score"].text == str(answer["score"]) != before


def test_an_unreadable_file_is_told_in_plain_words(viewer: Viewer, server: Server, phantom: Path) -> None:
    viewer.choose(phantom)
    viewer.wait("done")
    viewer.bring("drop", b"Dear colleague, ...", "letter.txt")
    viewer.wait("failed")
    problem = viewer["problem"]
    assert problem.get_attribute("role") == "alert"
    assert "Not a picture format" in problem.text
    assert "unsupported_format" in problem.text
    assert not viewer["report"].is_displayed()
    assert not viewer["picture"].is_displayed()
    (request_id,) = re.findall(r"\b[0-9a-f]{32}\b", problem.text)
    assert server.answered(request_id)["problem"] == "unsupported_format"


def test_two_files_at_once_are_refused_here(viewer: Viewer, phantom: Path, blank: Path) -> None:
    viewer.script("document.getElementById('file').multiple = true")
    viewer["file"].send_keys(f"{phantom}\n{blank}")
    viewer.wait("failed")
    assert "One radiograph at a time" in viewer["problem"].text
    assert not [request for request in viewer.requests() if request["method"] == "POST"]


@pytest.mark.parametrize("content", ["blank", "noise"])
def test_an_unscorable_picture_shows_no_number(
    viewer: Viewer, server: Server, request: pytest.FixtureRequest, content: str
) -> None:
    picture: Path = request.getfixturevalue(content)
    viewer.choose(picture)
    viewer.wait("done")
    answer = server.client.post("/score?overlay=false", content=picture.read_bytes()).json()
    assert answer["score"] is None
    assert "No score" in viewer["verdict"].text
    assert not any(letter.isdigit() for letter in viewer["verdict"].text + viewer["status"].text.split(":")[1])
    for flag in answer["quality"]["flags"]:
        assert flag in viewer["flags"].text
    assert "affected" not in viewer.driver.find_element("css selector", "tbody").text


def test_a_refused_radiograph_with_lungs_is_not_judged(viewer: Viewer, phantom: Path) -> None:
    viewer.script(
        """
        const asked = window.fetch;
        window.fetch = async (...request) => {
          const report = await (await asked(...request)).json();
          const quality = { scorable: false, flags: ["not_frontal", "made_tomorrow"] };
          const zones = report.zones.map((zone) => ({ ...zone, affected: null }));
          return Response.json({ ...report, zones, score: null, margin: null, quality });
        };
        """
    )
    viewer.choose(phantom)
    viewer.wait("done")
    assert not any(letter.isdigit() for letter in viewer["verdict"].text)
    assert "Not a frontal view" in viewer["flags"].text
    # A code that the page does not know is shown as it is.
    assert "made_tomorrow" in viewer["flags"].text
    assert viewer.driver.find_element("css selector", "tbody").text.count("not judged") == 6
    assert viewer.driver.find_elements("class name", "affected") == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("density", [1, 2])
def test_the_page_fits_its_window(viewer: Viewer, phantom: Path, width: int, density: int) -> None:
    viewer.open(width, 800, density)
    viewer.choose(phantom)
    viewer.wait("done")
    viewer.script("document.querySelectorAll('details').forEach((details) => (details.open = true))")
    assert viewer.script("return document.documentElement.scrollWidth") <= width
    shown = viewer.script("const box = picture.getBoundingClientRect(); return [box.left, box.right, box.width]")
    assert shown[0] >= 0 and shown[1] <= width
    drawn = viewer.script("return [picture.width, picture.height]")
    assert drawn[0] == pytest.approx(shown[2] * density, abs=1)
    assert drawn[0] == pytest.approx(drawn[1], abs=1)
    viewer.script("scrollTo(0, 1e6)")
    notice = viewer.driver.find_element("class name", "notice")
    assert notice.text == NOTICE
    assert 0 <= viewer.script("return arguments[0].getBoundingClientRect().top", notice) < 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["empty", "scored", "scored DICOM", "unscorable", "failed"])
def test_axe_finds_nothing_wrong(
    viewer: Viewer, phantom: Path, radiograph: Path, blank: Path, scheme: str, state: str
) -> None:
    viewer.open(scheme=scheme)
    if state in ("scored", "scored DICOM", "unscorable"):
        viewer.choose({"scored": phantom, "scored DICOM": radiograph, "unscorable": blank}[state])
        viewer.wait("done")
        viewer.script("document.querySelectorAll('details').forEach((details) => (details.open = true))")
    if state == "scored DICOM":
        # Under way, and failed.
        sr = button(viewer, "Structured Report")
        viewer.script(UNANSWERED)
        sr.click()
        assert violations(viewer) == []
        viewer.script("answer(new Response('', { status: 502 }))")
        until_told(viewer, "could not be made")
    if state == "failed":
        viewer.bring("drop", b"text", "letter.txt")
        viewer.wait("failed")
    assert violations(viewer) == []


def test_the_shown_command_gives_the_same_score(viewer: Viewer, phantom: Path, tmp_path: Path) -> None:
    program("curl")
    viewer.choose(phantom)
    viewer.wait("done")
    shutil.copy(phantom, tmp_path)
    subprocess.run(["sh", "-ec", viewer["command"].text], cwd=tmp_path, check=True, capture_output=True)
    assert f'"score":{viewer["score"].text},' in (tmp_path / "report.json").read_text()
    viewer["copy"].click()
    assert viewer["copy"].text in ("Copied", "Selected")


def test_the_downloads_are_what_the_api_answers(
    viewer: Viewer, server: Server, radiograph: Path, tmp_path: Path
) -> None:
    viewer.keep_downloads(tmp_path)
    viewer["threshold"].send_keys("0.2")
    viewer.script("polarity.value = 'auto'")
    viewer.choose(radiograph)
    viewer.wait("done")
    # The settings of the shown result count, not those that are typed for the next one.
    viewer["threshold"].clear()
    viewer["threshold"].send_keys("0.9")
    viewer.requests()
    settings = "threshold=0.2&polarity=auto"
    for words, name, path, accept in (
        ("Segmentation", "segmentation.dcm", "segment?", "application/dicom"),
        ("Structured Report", "report.dcm", "reports/sr?", "application/dicom"),
        ("Capture", "capture.dcm", "reports/sc?", "application/dicom"),
        ("Presentation State", "presentation.dcm", "reports/pr?", "application/dicom"),
        ("FHIR", "fhir.json", "reports/fhir?uncertainty=true&", "application/fhir+json"),
        ("Text", "report.txt", "score?uncertainty=true&", "text/plain"),
    ):
        button(viewer, words).click()
        until_told(viewer, f"{name} is in")
        asked = server.client.post(
            f"/{path}{settings}", content=radiograph.read_bytes(), headers={"Accept": accept}
        ).raise_for_status()
        assert viewer.downloaded(tmp_path / name) == asked.content, name
    assert len((tmp_path / "report.txt").read_text(encoding="utf-8").splitlines()) == 3
    button(viewer, "JSON").click()
    report = json.loads(viewer.downloaded(tmp_path / "report.json"))
    assert (str(report["score"]), report["threshold"], report["overlay"]) == (viewer["score"].text, 0.2, None)
    assert report["uncertainty"] is not None
    # One call for each, and no file's name.
    sent = [request for request in viewer.requests() if request["method"] == "POST"]
    assert len(sent) == len(buttons(viewer)) == 7
    assert radiograph.name not in str(sent)
    assert viewer.console() == []
    assert viewer.state == "done"


def test_a_picture_has_the_text_and_the_json_only(viewer: Viewer, phantom: Path, tmp_path: Path) -> None:
    viewer.keep_downloads(tmp_path)
    viewer.choose(phantom)
    viewer.wait("done")
    assert [each.text.split()[0] for each in buttons(viewer)] == ["Text", "JSON"]
    button(viewer, "Text").click()
    assert NOTICE in viewer.downloaded(tmp_path / "report.txt").decode()


def test_a_download_by_keyboard(viewer: Viewer, radiograph: Path, tmp_path: Path) -> None:
    viewer.keep_downloads(tmp_path)
    viewer.choose(radiograph)
    viewer.wait("done")
    assert viewer["downloading"].get_attribute("role") == "status"
    viewer.driver.find_elements("tag name", "summary")[-1].send_keys(Keys.TAB)
    assert viewer.focused == "earlier"
    viewer.press(Keys.TAB)
    order = []
    for _ in range(7):
        order.append(viewer.script("return document.activeElement.dataset.result"))
        assert viewer.script("return document.activeElement.matches(':focus-visible')")
        viewer.press(Keys.TAB)
    assert order == ["seg", "sr", "sc", "pr", "fhir", "text", "json"]
    assert viewer.focused == "copy"
    viewer.driver.execute_script("document.querySelector('[data-result=text]').focus()")
    viewer.press(Keys.ENTER)
    viewer.downloaded(tmp_path / "report.txt")
    # The focus stays where it was.
    assert viewer.script("return document.activeElement.dataset.result") == "text"


def test_a_download_that_fails_leaves_the_result(viewer: Viewer, radiograph: Path, tmp_path: Path) -> None:
    viewer.keep_downloads(tmp_path)
    viewer.choose(radiograph)
    viewer.wait("done")
    score = viewer["score"].text
    viewer.script(UNANSWERED)
    problem = {"title": "Too many requests in flight", "code": "overloaded", "detail": "Full", "request_id": "r1"}
    refused = f"answer(Response.json({json.dumps(problem)}, {{ status: 503 }}))"
    page = "answer(new Response('<h1>Log in</h1>', { headers: { 'Content-Type': 'text/html' } }))"
    sr = button(viewer, "Structured Report")
    for answer, words in ((refused, "overloaded"), (page, "no answer that this page can read")):
        sr.click()
        assert sr.get_attribute("aria-disabled") == "true"
        assert viewer["downloading"].text == "Making report.dcm…"
        assert not viewer["problem"].is_displayed()
        sr.click()  # while it is under way: nothing
        viewer.script(answer)
        until_told(viewer, "report.dcm could not be made.")
        assert words in viewer["problem"].text
        assert sr.get_attribute("aria-disabled") is None
        assert (viewer.state, viewer["score"].text) == ("done", score)
    assert list(tmp_path.iterdir()) == []


def test_another_radiograph_ends_the_downloads_of_the_last(viewer: Viewer, radiograph: Path, phantom: Path) -> None:
    viewer.choose(radiograph)
    viewer.wait("done")
    viewer.script(
        """
        const asked = window.fetch;
        window.fetch = (url, request) => {
          window.fetch = asked;
          window.left = request.signal;
          return asked(url, request);
        };
        """
    )
    viewer.script("document.querySelector('[data-result=sc]').click()")
    viewer.choose(phantom)
    viewer.wait("done")
    assert viewer.script("return left.aborted")
    assert viewer["downloading"].text == ""
    assert not viewer["problem"].is_displayed()


def test_a_key_is_asked_for_sent_and_forgotten(tmp_path: Path, phantom: Path) -> None:
    key = new_key()
    with running(tmp_path, CXR_API_KEYS=hash_key(key)) as closed, chromium(f"{closed.url}/") as viewer:
        viewer.open()
        assert not viewer["key-form"].is_displayed()
        viewer.choose(phantom)
        viewer.wait("failed")
        assert "unauthorised" in viewer["problem"].text
        assert viewer.focused == "key"
        viewer.press(key, Keys.ENTER)
        viewer.wait("done")
        assert viewer["score"].text.isdigit()
        assert key not in viewer["command"].text
        assert "X-API-Key" in viewer["command"].text
        viewer.keep_downloads(tmp_path)
        button(viewer, "Text").click()
        assert NOTICE in viewer.downloaded(tmp_path / "report.txt").decode()
        viewer.driver.refresh()
        viewer.choose(phantom)
        viewer.wait("failed")


@pytest.fixture(scope="session")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom before its disease spread, larger."""
    path = tmp_path_factory.mktemp("pictures") / "earlier one.png"
    assert cv2.imwrite(str(path), draw_phantom(700, ("right_lower",)))
    return path


def test_two_radiographs_side_by_side(viewer: Viewer, server: Server, phantom: Path, earlier: Path) -> None:
    viewer.choose(phantom)
    viewer.wait("done")
    score = viewer["score"].text
    assert not viewer["comparison"].is_displayed()
    viewer["earlier"].send_keys(str(earlier))
    WebDriverWait(viewer.driver, SECONDS).until(lambda _: viewer["comparison"].is_displayed())
    asked = server.client.post(
        "/compare?overlay=false", files={"earlier": earlier.read_bytes(), "later": phantom.read_bytes()}
    ).json()
    change = asked["change"]
    said = f"changed by {change['score']:+}" if change["score"] else "The score is the same"
    assert said in viewer["comparing"].text
    assert any(zone["exceeds_repeat"] for zone in change["zones"])
    rows = [[cell.text for cell in row.find_elements("xpath", "*")] for row in viewer.rows("changes")]
    for (zone, before, after, difference, beyond), found in zip(rows, change["zones"], strict=True):
        assert zone == found["zone"].replace("_", " ")
        shares = [
            next(one["share"] for one in asked[name]["zones"] if one["zone"] == found["zone"])
            for name in ("earlier", "later")
        ]
        assert [float(text.split("\u202f")[0]) for text in (before, after)] == pytest.approx(
            [100 * share for share in shares], abs=0.06
        )
        assert float(difference.replace("−", "-")) == pytest.approx(100 * found["change"], abs=0.06)
        assert beyond == ("yes" if found["exceeds_repeat"] else "no")
    sizes = viewer.script("return [...document.querySelectorAll('#pair canvas')].map((one) => [one.width, one.height])")
    assert sizes[0] == sizes[1], "the same scale"
    assert viewer["score"].text == score
    assert violations(viewer) == []
    # Another radiograph has not been compared.
    viewer.choose(phantom)
    viewer.wait("done")
    assert not viewer["comparison"].is_displayed()


def test_a_comparison_that_fails_leaves_the_result(viewer: Viewer, phantom: Path, tmp_path: Path) -> None:
    viewer.choose(phantom)
    viewer.wait("done")
    score = viewer["score"].text
    note = tmp_path / "notes.txt"
    note.write_text("no picture")
    viewer["earlier"].send_keys(str(note))
    WebDriverWait(viewer.driver, SECONDS).until(lambda _: viewer["problem"].is_displayed())
    assert "unsupported_format" in viewer["problem"].text
    assert viewer["comparing"].text == "notes.txt could not be compared."
    assert (viewer.state, viewer["score"].text) == ("done", score)
