"""``POST /compare``: two radiographs of one patient, by the real service on the real weights."""

import base64
import re

import cv2
import numpy as np
import pytest

from models.phantom import draw_phantom
from tests.support.dicoms import dicom
from tests.support.pictures import encoded as png
from tests.support.problems import assert_problem
from tests.support.server import Server

EARLIER, LATER = draw_phantom(512, ("right_lower",)), draw_phantom(512, ("right_lower", "left_middle", "left_upper"))


def files(earlier: bytes, later: bytes) -> dict[str, tuple[str, bytes]]:
    return {"earlier": ("a", earlier), "later": ("b", later)}


def test_both_answers_and_what_changed(server: Server) -> None:
    answer = server.client.post("/compare?overlay=false", files=files(png(EARLIER), png(LATER)))
    assert answer.status_code == 200
    found = answer.json()
    for name, picture in (("earlier", EARLIER), ("later", LATER)):
        alone = server.client.post("/score?overlay=false&uncertainty=true", content=png(picture)).json()
        for key in ("score", "zones", "diseased_share", "uncertainty", "quality", "image", "models", "margin"):
            assert found[name][key] == alone[key], "no score is changed by it"
    change = found["change"]
    assert change["score"] == found["later"]["score"] - found["earlier"]["score"] > 0
    shares = {name: {zone["zone"]: zone for zone in found[name]["zones"]} for name in ("earlier", "later")}
    for zone in change["zones"]:
        before, after = (shares[name][zone["zone"]] for name in ("earlier", "later"))
        assert zone["change"] == pytest.approx(after["share"] - before["share"], abs=1e-4)
        apart = not (
            before["interval"][0] <= after["share"] <= before["interval"][1]
            or after["interval"][0] <= before["share"] <= after["interval"][1]
        )
        assert zone["exceeds_repeat"] is apart
    exceeding = {zone["zone"] for zone in change["zones"] if zone["exceeds_repeat"]}
    assert {"left_middle", "left_upper"} >= exceeding != set()


def test_the_same_radiograph_twice_has_not_changed(server: Server) -> None:
    change = server.client.post("/compare?overlay=false", files=files(png(LATER), png(LATER))).json()["change"]
    assert change["score"] == change["diseased_share"] == 0
    assert {(zone["change"], zone["exceeds_repeat"]) for zone in change["zones"]} == {(0.0, False)}


def test_overlays_are_at_the_same_scale(server: Server) -> None:
    large = cv2.resize(LATER, (1400, 1400), interpolation=cv2.INTER_LINEAR)
    found = server.client.post("/compare?overlay_format=png", files=files(png(EARLIER), png(large))).json()
    for name in ("earlier", "later"):
        overlay = found[name]["overlay"]
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(overlay["data"]), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert (overlay["width"], overlay["height"]) == picture.shape[1::-1] == (512, 512)


def test_without_a_score_nothing_is_compared(server: Server) -> None:
    blank = np.full((512, 512), 90, np.uint8)
    answer = server.client.post("/compare?overlay=false", files=files(png(blank), png(LATER)))
    assert answer.status_code == 200
    found = answer.json()
    assert found["earlier"]["score"] is None and found["later"]["score"] is not None
    assert found["change"]["score"] is found["change"]["diseased_share"] is None
    assert {zone["change"] for zone in found["change"]["zones"]} == {None}


def test_patients_must_not_be_mixed_up(server: Server) -> None:
    one, same, other = (dicom(LATER, PatientID=number) for number in ("1", "1", "2"))
    nobody = dicom(EARLIER, PatientID=None)
    assert_problem(server.client.post("/compare", files=files(one, other)), 422, "different_patients")
    for pair in ((one, same), (one, nobody), (one, png(EARLIER))):
        assert server.client.post("/compare?overlay=false", files=files(*pair)).status_code == 200


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ({"earlier": png(EARLIER)}, 400, "no_file"),
        ({"file": png(EARLIER), "later": png(LATER)}, 400, "no_file"),
        ({"earlier": png(EARLIER), "later": b""}, 400, "empty_file"),
        ({"earlier": png(EARLIER), "later": b"no picture"}, 415, "unsupported_format"),
        ({"earlier": png(EARLIER)[:900], "later": png(LATER)}, 422, "unreadable_image"),
    ],
    ids=["one part", "another name", "an empty part", "no picture", "a damaged picture"],
)
def test_what_cannot_be_compared(server: Server, parts: dict[str, bytes], status: int, code: str) -> None:
    assert_problem(
        server.client.post("/compare", files={name: ("x", data) for name, data in parts.items()}), status, code
    )


def test_a_raw_body_is_told_what_to_send(server: Server) -> None:
    answer = server.client.post("/compare", content=png(EARLIER))
    assert_problem(answer, 400, "no_file")
    assert "'earlier' and 'later'" in answer.json()["detail"]


def test_both_radiographs_are_counted_and_logged(server: Server) -> None:
    def scored() -> float:
        lines = re.findall(r"^cxr_score_total\{.*\} (\S+)$", server.client.get("/metrics").text, re.MULTILINE)
        return sum(map(float, lines))

    before = scored()
    answer = server.client.post("/compare?overlay=false", files=files(png(EARLIER), png(LATER)))
    assert scored() == before + 2
    line = server.answered(answer.json()["request_id"])
    found = answer.json()
    assert line["sha256"] == [found[name]["image"]["sha256"] for name in ("earlier", "later")]
    assert line["score"] == [found[name]["score"] for name in ("earlier", "later")]
