"""A new pair of weights beside the one in use, behind the real nginx: a share of the requests, or copies of them."""

import hashlib
import re
import shlex
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models.phantom import draw_phantom
from models.runtime import converted
from models.weights import default_weights
from models.weights.cards import read_card, write_card
from tests.docker.cluster import gateway, nginx_installed
from tests.support import ROOT
from tests.support.faulty import DROP, Fault, Faulty, faulty_service
from tests.support.pictures import encoded
from tests.support.polling import until
from tests.support.programs import program
from tests.support.server import Server, running

pytestmark = pytest.mark.skipif(not nginx_installed(), reason="nginx is not installed")

NOBODY = "127.0.0.1:9"
"""The discard port: refused."""
THRESHOLD = 0.05
"""Of the new pair: marks zones that the embedded 0.42 leaves out."""
MOST_COPIES = 16
"""That start.sh lets the gateway hold."""


def second_pair(folder: Path) -> dict[str, str]:
    """Settings of a service with another file for stage II: the embedded network under another threshold."""
    embedded, weights = default_weights("disease"), folder / "new.safetensors"
    save_file(load_file(embedded), weights, metadata={"pair": "new"})
    card = read_card(embedded).model_copy(
        update={
            "name": "new",
            "threshold": THRESHOLD,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "forms": {},
        }
    )
    model = converted.find(embedded, read_card(embedded), "float32", None)
    assert model is not None
    digest = converted.keep(model, converted.beside(weights, "float"), card)
    write_card(weights, card.model_copy(update={"forms": {"float": digest}}))
    return {"CXR_LUNGS_WEIGHTS": str(default_weights("lungs")), "CXR_DISEASE_WEIGHTS": str(weights)}


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with the new pair; the session's has the one in use."""
    folder = tmp_path_factory.mktemp("new")
    with running(folder, **second_pair(folder)) as ready:
        yield ready


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder of which nginx's workers, who are not root, reach the socket."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def uploads() -> list[bytes]:
    """Phantoms, some of which the two pairs score differently, and one picture that has no score."""
    zones = ((), ("right_lower",), ("right_upper", "right_middle"), ("right_upper", "right_middle", "left_lower"))
    return [
        *(encoded(draw_phantom(512, diseased), ".jpg") for diseased in zones),
        encoded(np.full((300, 300), 90, np.uint8)),
    ]


def netloc(url: str) -> str:
    return httpx.URL(url).netloc.decode()


def weights_of(answer: httpx.Response) -> str:
    """The SHA-256 of the pair that made an answer."""
    found: str = answer.json()["models"]["disease"]["sha256"]
    return found


def own_weights(service: Server) -> str:
    found: str = service.client.get("/models").json()["disease"]["card"]["sha256"]
    return found


def scored(service: Server, names: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """The log lines of these requests, by id."""
    lines = (line for line in service.log_lines() if line["message"] == "answered" and "score" in line)
    return {str(line["request_id"]): line for line in lines if line["request_id"] in names}


def test_the_share_reaches_the_new_pair_and_each_answer_says_which_pair_made_it(
    server: Server, new: Server, tmp_path: Path, uploads: list[bytes]
) -> None:
    pairs = {netloc(server.url): own_weights(server), netloc(new.url): own_weights(new)}
    assert len(set(pairs.values())) == 2
    canary = netloc(new.url)
    with (
        gateway(tmp_path, [netloc(server.url)], CANARY=canary, CANARY_SHARE="40") as front,
        httpx.Client(base_url=front.url, timeout=60) as client,
    ):
        for _ in range(400):
            assert client.get("/health/ready").status_code == 200
        asked = Counter(str(entry["replicas"]) for entry in front.entries(400))
        assert asked.total() == sum(asked[address] for address in pairs) == 400
        # 160, give or take five standard deviations of the draw.
        assert 111 <= asked[canary] <= 209

        said: dict[str, str] = {}
        while len(set(said.values())) < 2:
            answer = client.post("/score?overlay=false", content=uploads[0])
            said[answer.json()["request_id"]] = weights_of(answer)
            assert len(said) < 60
        for entry in front.entries(400 + len(said))[400:]:
            assert said[str(entry["request_id"])] == pairs[str(entry["replicas"])]


def test_without_a_share_five_in_a_hundred_are_sent_to_the_canary(tmp_path: Path) -> None:
    with gateway(tmp_path, [NOBODY], CANARY=NOBODY):
        written = (tmp_path / "gateway" / "generated" / "upstreams.conf").read_text()
    assert "    5% canary;\n" in written


CANARY_FAULTS = [Fault(DROP), Fault(500, "internal"), Fault(503, "overloaded"), Fault(504, "deadline_exceeded")]


@pytest.mark.parametrize(
    "fault", [None, "hung", *CANARY_FAULTS], ids=lambda fault: str(getattr(fault, "status", fault))
)
def test_what_fails_at_the_canary_is_answered_by_the_others(
    server: Server, tmp_path: Path, uploads: list[bytes], fault: Fault | str | None
) -> None:
    with ExitStack() as stack:
        canary = stack.enter_context(faulty_service())
        if fault == "hung":
            canary.gate.clear()
        elif isinstance(fault, Fault):
            canary.turn = (0, fault)
        address = NOBODY if fault is None else netloc(canary.url)
        settings = {"CANARY": address, "CANARY_SHARE": "100", "READ_TIMEOUT": "1s"}
        settings |= {} if fault == "hung" else {"READ_TIMEOUT": "35s"}
        front = stack.enter_context(gateway(tmp_path, [netloc(server.url)], **settings))
        answer = httpx.post(f"{front.url}/score?overlay=false", content=uploads[0], timeout=60)
        assert (answer.status_code, weights_of(answer)) == (200, own_weights(server))
        (entry,) = front.entries(1)
        assert entry["replicas"] == f"{address} : {netloc(server.url)}"
        assert (fault is None) == (not canary.asked)


def test_the_limit_of_a_caller_holds_at_the_canary(tmp_path: Path) -> None:
    with faulty_service() as canary, ThreadPoolExecutor(1) as pool:
        canary.gate.clear()
        settings = {"CANARY": netloc(canary.url), "CANARY_SHARE": "100", "PER_CALLER": "1"}
        with gateway(tmp_path, [NOBODY], **settings) as front:
            first = pool.submit(httpx.post, f"{front.url}/score", content=b"first", timeout=60)
            assert canary.arrived.acquire(timeout=30)
            second = httpx.post(f"{front.url}/score", content=b"second", timeout=60)
            assert (second.status_code, second.json()["code"]) == (503, "overloaded")
            canary.gate.set()
            assert first.result().status_code == 200
    assert len(canary.asked) == 1


def test_the_shadow_answers_nobody_and_the_comparison_finds_where_the_pairs_differ(
    server: Server, new: Server, work: Path, uploads: list[bytes]
) -> None:
    names = [f"rollout-{number}" for number in range(len(uploads))]
    old_scores, new_scores = {}, {}
    with gateway(work, [netloc(server.url)], SHADOW=netloc(new.url)) as front:
        for name, upload in zip(names, uploads, strict=True):
            # Pictures and masks as well: nobody reads what the shadow says, however long it is.
            answer = httpx.post(f"{front.url}/segment", content=upload, headers={"x-request-id": name}, timeout=60)
            assert weights_of(answer) == own_weights(server)
            old_scores[name] = answer.json()["score"]
            asked = {"overlay": "false", "threshold": str(THRESHOLD)}
            new_scores[name] = server.client.post("/score", params=asked, content=upload).json()["score"]
        until(lambda: scored(new, old_scores).keys() == old_scores.keys(), "a score of each copy")
        assert {str(entry["replicas"]) for entry in front.entries(len(uploads))} == {netloc(server.url)}
    copies, originals = scored(new, old_scores), scored(server, old_scores)
    assert {name: line["score"] for name, line in copies.items()} == new_scores
    for name, line in copies.items():
        assert (line["sha256"], line["status"]) == (originals[name]["sha256"], 200)
    said = compared(server.log.read_text(), new.log.read_text(), work)
    differing = {
        f"{name}\told {old}\tnew {new_scores[name]}" for name, old in old_scores.items() if old != new_scores[name]
    }
    assert differing
    assert {line for line in said if "\t" in line} == differing
    assert f"answered by both: {len(uploads)}" in said
    assert f"equal: {len(uploads) - len(differing)}" in said


def compared(old: str, new: str, folder: Path) -> list[str]:
    """The lines of the comparison, by the command that the documentation gives."""
    (command,) = re.findall(r"^jq -nr .*$", (ROOT / "docs" / "operations.md").read_text(), re.M)
    (folder / "old.log").write_text(old)
    (folder / "new.log").write_text(new)
    words = [
        program("jq") if word == "jq" else word.replace("docker/", f"{ROOT}/docker/") for word in shlex.split(command)
    ]
    return subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout.splitlines()


def test_the_comparison_counts_each_radiograph_once(tmp_path: Path) -> None:
    def line(name: str, sha256: str, score: str) -> str:
        return f'{{"message": "answered", "request_id": "{name}", "sha256": {sha256}, "score": {score}}}\n'

    refused = '{"message": "answered", "request_id": "refused", "status": 415}\n'
    noise = "no JSON\n5\n" + '{"message": "ready"}\n' + refused
    old = line("same", '"a"', "2") + line("same", '"b"', "0") + line("none", '"a"', "null") + line("early", '"a"', "1")
    old += line("two", '["a", "b"]', "[3, null]") + line("far", '"a"', "6")
    new = line("same", '"a"', "3") + line("same", '"b"', "0") + line("none", '"a"', "null") + line("late", '"a"', "1")
    new += line("two", '["a", "b"]', "[3, 1]") + line("far", '"a"', "4")
    assert compared(noise + old, new + noise, tmp_path) == [
        "answered by both: 6",
        "equal: 3",
        "differ by one: 1",
        "differ by more: 1",
        "a score from one only: 1",
        "answered by the old only: 1",
        "answered by the new only: 1",
        "same\told 2\tnew 3",
        "two\told null\tnew 1",
        "far\told 6\tnew 4",
    ]


@pytest.mark.parametrize("fault", [None, "hung", Fault(DROP), Fault(503, "overloaded")], ids=str)
def test_a_shadow_in_trouble_is_not_noticed(
    server: Server, work: Path, uploads: list[bytes], fault: Fault | str | None
) -> None:
    with ExitStack() as stack:
        shadow = stack.enter_context(faulty_service())
        if fault == "hung":
            shadow.gate.clear()
        elif isinstance(fault, Fault):
            shadow.turn = (0, fault)
        address = NOBODY if fault is None else netloc(shadow.url)
        front = stack.enter_context(gateway(work, [netloc(server.url)], SHADOW=address))
        # All on one connection, which nginx keeps until a copy is done.
        limits = httpx.Limits(max_connections=1)
        client = stack.enter_context(httpx.Client(base_url=front.url, timeout=60, limits=limits))
        started = time.monotonic()
        for _ in range(2 * MOST_COPIES):
            assert client.post("/score", content=b"no picture").status_code == 415
        answer = client.post("/score?overlay=false", content=uploads[0])
        assert (answer.status_code, weights_of(answer)) == (200, own_weights(server))
        # A single copy that was waited for would take 35 s.
        assert time.monotonic() - started < 15
        if fault == "hung":
            wait_for_copies(shadow, MOST_COPIES)
            assert len(shadow.asked) == MOST_COPIES
        elif fault is not None:
            wait_for_copies(shadow, 1)


def wait_for_copies(shadow: Faulty, count: int) -> None:
    until(lambda: len(shadow.asked) >= count, f"{count} copies")


def test_neither_a_request_nor_its_copy_touches_a_disk(server: Server, work: Path, uploads: list[bytes]) -> None:
    large = uploads[0] + bytes(8 * 2**20)
    with (
        faulty_service() as shadow,
        gateway(work, [netloc(server.url)], SHADOW=netloc(shadow.url)) as front,
        httpx.Client(base_url=front.url, timeout=60) as client,
    ):
        # Files cannot be written below files.
        for folder in (work / "gateway" / "temporary").iterdir():
            folder.rmdir()
            folder.touch()
        assert client.post("/score", content=large).status_code == 200
        assert client.post("/score", content=iter([large])).status_code == 200
        wait_for_copies(shadow, 2)
        assert shadow.bodies == [hashlib.sha256(large).hexdigest()] * 2
