import json
import re
import subprocess

import pytest

from app.routes.pages import FOLDER
from models import quality
from tests.support.problems import all_problems
from tests.support.programs import program
from tests.support.server import Server


def words(table: str, file: str = "words.js") -> dict[str, object]:
    """A table of a script, as JavaScript reads it."""
    script = f"import {{ {table} }} from {json.dumps(str(FOLDER / file))}; console.log(JSON.stringify({table}));"
    command = [program("node", "nodejs"), "--no-warnings", "--input-type=module", "--eval", script]
    run = subprocess.run(command, capture_output=True, check=True, text=True)
    found: dict[str, object] = json.loads(run.stdout)
    return found


def test_the_page_holds_no_script_style_or_address_of_its_own() -> None:
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=", page)
    for part in FOLDER.iterdir():
        text = part.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.|localStorage|sessionStorage|indexedDB|cookie|innerHTML", text), part


def test_every_part_is_served_with_its_type_and_a_strict_policy(server: Server) -> None:
    types = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    page = server.client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert {path.suffix for path in FOLDER.iterdir()} == set(types)
    for path in FOLDER.iterdir():
        answer = server.client.get(f"/viewer/{path.name}")
        assert answer.content == path.read_bytes()
        assert answer.headers["content-type"].startswith(types[path.suffix])
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fmain.py", "%2e%2e%2fmain.py", "../main.py"])
def test_nothing_else_is_served(server: Server, name: str) -> None:
    answer = server.client.get(f"/viewer/{name}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_every_flag_of_the_service_has_plain_words() -> None:
    codes = {value for name, value in vars(quality).items() if name.isupper() and isinstance(value, str)}
    assert codes
    assert codes <= set(words("FLAGS"))


def test_every_download_has_a_name() -> None:
    assert list(words("DOWNLOADS")) == list(words("RESULTS", "service.js"))


def test_advice_is_for_problems_that_exist() -> None:
    codes = {problem.code for problem in all_problems()}
    assert set(words("ADVICE")) - codes == {"unreachable"}


def test_the_radiograph_and_the_zones_come_only_when_asked_for(server: Server, phantom_png: bytes) -> None:
    plain = server.client.post("/segment?overlay=false", content=phantom_png).json()
    assert plain["radiograph"] is None
    assert plain["masks"]["zones"] is None
    asked = {"overlay": "false", "radiograph": "true", "contours": "true"}
    answer = server.client.post("/segment", params=asked, content=phantom_png).json()
    assert (answer["radiograph"]["width"], answer["radiograph"]["height"]) == (512, 512)
    assert answer["radiograph"]["media_type"] == "image/jpeg"
    assert set(answer["masks"]["zones"]) == {zone["zone"] for zone in answer["zones"]}
    rows = {
        zone: {y for polygon in polygons for _, y in polygon} for zone, polygons in answer["masks"]["zones"].items()
    }
    for side in ("right", "left"):
        assert max(rows[f"{side}_upper"]) < min(rows[f"{side}_middle"])
        assert max(rows[f"{side}_middle"]) < min(rows[f"{side}_lower"])
    # By the patient's side: the right lung is at the picture's left.
    columns = {
        zone: max(x for polygon in polygons for x, _ in polygon) for zone, polygons in answer["masks"]["zones"].items()
    }
    assert columns["right_upper"] < columns["left_upper"]
