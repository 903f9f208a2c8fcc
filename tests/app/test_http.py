"""The HTTP contract, against the real service on the real weights."""

import base64
import hashlib
import io
import re
import socket

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from app.reports.schema import ScoreReport, SegmentReport
from models.phantom import draw_phantom, phantom_lungs
from tests.support import ROOT
from tests.support.dicoms import dicom
from tests.support.metrics import samples, total
from tests.support.pictures import encoded
from tests.support.problems import all_problems, assert_problem
from tests.support.server import Server

PHANTOM = ROOT / "docs" / "phantom.png"
ZONES = ["right_upper", "right_middle", "right_lower", "left_upper", "left_middle", "left_lower"]


def assert_same_answer(answer: dict[str, object], shown: dict[str, object]) -> None:
    """Equal but for what differs by request, build and processor, whose number format moves shares."""
    assert answer.keys() == shown.keys()
    for name in answer.keys() - {"request_id", "timings_ms", "models", "zones", "masks", "margin", "diseased_share"}:
        assert answer[name] == shown[name]
    for role in ("lungs", "disease"):
        assert {**answer["models"][role], "precision": None} == {**shown["models"][role], "precision": None}
    for one, other in zip(answer["zones"], shown["zones"], strict=True):
        assert one == {**other, "share": pytest.approx(other["share"], abs=0.08)}
    assert answer["diseased_share"] == pytest.approx(shown["diseased_share"], abs=0.08)


def test_score_of_the_phantom(server: Server, phantom_png: bytes) -> None:
    answer = server.client.post("/score", files={"file": ("secret name.png", phantom_png)})
    report = ScoreReport.model_validate(answer.json())
    assert answer.status_code == 200
    assert report.score is not None
    assert report.quality.scorable
    assert [zone.zone for zone in report.zones] == ZONES
    assert report.score == sum(zone.affected for zone in report.zones)
    assert report.margin == pytest.approx(min(abs(zone.share - report.threshold) for zone in report.zones), abs=2e-4)
    assert report.image.model_dump() == {
        "format": "PNG",
        "width": 512,
        "height": 512,
        "sha256": hashlib.sha256(phantom_png).hexdigest(),
        "dicom": None,
    }
    assert report.models.lungs.architecture == "DeepLabV3+"
    assert report.models.disease.architecture == "MA-Net"
    assert report.notice == "Research use only. Not a medical device."
    overlay = Image.open(io.BytesIO(base64.b64decode(report.overlay.data)))
    assert (overlay.format, overlay.size, overlay.mode) == ("JPEG", (512, 512), "RGB")
    assert 0 < report.timings_ms.total < 60_000


def test_multipart_and_raw_body_are_the_same(server: Server, phantom_png: bytes) -> None:
    form = server.client.post("/score", files={"file": phantom_png}).json()
    raw = server.client.post("/score", content=phantom_png, headers={"content-type": "text/plain"}).json()
    for answer in (form, raw):
        del answer["request_id"], answer["timings_ms"]
    assert form == raw


def test_segment_gives_masks_in_the_radiographs_pixels(server: Server) -> None:
    picture = draw_phantom(800)[:, 20:780]
    data = encoded(picture)
    answer = server.client.post("/segment?contours=true&overlay_format=png", content=data)
    report = SegmentReport.model_validate(answer.json())
    lungs, disease = (
        cv2.imdecode(np.frombuffer(base64.b64decode(mask.data), np.uint8), cv2.IMREAD_UNCHANGED)
        for mask in (report.masks.lungs, report.masks.disease)
    )
    assert lungs.shape == disease.shape == (800, 760)
    assert set(np.unique(lungs)) == {0, 255}
    drawn = phantom_lungs(800)[:, 20:780]
    overlap = np.count_nonzero((lungs > 0) & drawn)
    assert 2 * overlap / (np.count_nonzero(lungs) + np.count_nonzero(drawn)) > 0.85
    filled = np.zeros_like(lungs)
    cv2.fillPoly(filled, [np.array(polygon, np.int32) for polygon in report.masks.lungs.contours], 255)
    assert np.count_nonzero(filled != lungs) < 0.02 * np.count_nonzero(lungs)
    assert report.overlay.media_type == "image/png"


def test_segment_leaves_out_what_is_not_asked_for(server: Server, phantom_png: bytes) -> None:
    answer = server.client.post("/segment?overlay=false", content=phantom_png).json()
    assert answer["overlay"] is None
    assert answer["masks"]["lungs"]["contours"] is None


def test_accept_png_gives_the_overlay_itself(server: Server, phantom_png: bytes) -> None:
    answer = server.client.post("/segment", content=phantom_png, headers={"accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (512, 512)


def test_threshold_and_overlay_format(server: Server, phantom_png: bytes) -> None:
    answer = server.client.post("/score?threshold=0&overlay_format=webp", content=phantom_png).json()
    assert answer["threshold"] == 0
    # A share is rounded in the answer, not where it is judged: some pixels of a zone may show as 0.
    assert answer["score"] == sum(zone["affected"] for zone in answer["zones"])
    assert all(zone["affected"] for zone in answer["zones"] if zone["share"] > 0)
    assert answer["overlay"]["media_type"] == "image/webp"
    assert server.client.post("/score?threshold=1&overlay=false", content=phantom_png).json()["score"] == 0


def test_uncertainty_comes_where_it_is_asked_for(server: Server, phantom_png: bytes) -> None:
    plain, asked = (
        server.client.post(f"/score?overlay=false&threshold=0.3&uncertainty={wanted}", content=phantom_png).json()
        for wanted in ("false", "true")
    )
    assert plain["uncertainty"] is None
    assert [zone.pop("interval") for zone in plain["zones"]] == [None] * 6
    intervals = [zone.pop("interval") for zone in asked["zones"]]
    assert all(least <= zone["share"] <= most for zone, (least, most) in zip(asked["zones"], intervals, strict=True))
    low, high = asked["uncertainty"]["score_range"]
    assert low == sum(least > 0.3 for least, _ in intervals)
    assert high == sum(most > 0.3 for _, most in intervals)
    assert low <= asked["score"] == plain["score"] <= high
    card = server.client.get("/models").json()["disease"]["card"]
    assert asked["uncertainty"]["coverage"] == card["spread"]["coverage"]
    assert_same_answer(asked, {**plain, "uncertainty": asked["uncertainty"]})


def test_no_lungs_is_no_score(server: Server) -> None:
    answer = server.client.post("/score", content=encoded(np.full((300, 300), 90, np.uint8)))
    report = ScoreReport.model_validate(answer.json())
    assert answer.status_code == 200
    assert report.score is None
    assert report.margin is None
    assert not report.quality.scorable
    assert "lungs_not_found" in report.quality.flags
    assert all(zone.share is None and zone.affected is None for zone in report.zones)


def test_what_makes_no_score_affects_no_zone(server: Server) -> None:
    """Lungs are found, but the header calls it a lateral view."""
    answer = server.client.post("/segment?uncertainty=true", content=dicom(draw_phantom(512), ViewPosition="LL"))
    report = SegmentReport.model_validate(answer.json())
    assert report.score is None and report.uncertainty.score_range is None
    assert all(zone.share is not None for zone in report.zones)
    assert [zone.affected for zone in report.zones] == [None] * 6


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"treshold": "0.9"}, "treshold: no such parameter; perhaps threshold is meant"),
        ({"Overlay": "false"}, "Overlay: no such parameter; perhaps overlay is meant"),
        (
            {"x" * 50: ""},
            "x" * 40 + ": no such parameter; there are threshold, polarity, uncertainty, overlay, overlay_format",
        ),
        ({"threshold": "half"}, "threshold: expected a number"),
        ({"threshold": "nan"}, "threshold: expected a finite number"),
        ({"threshold": "-0.1"}, "threshold: expected 0 or more"),
        ({"threshold": "1.5"}, "threshold: expected 1 or less"),
        ({"overlay": "maybe"}, "overlay: expected true or false"),
        ({"overlay_format": "gif"}, "overlay_format: expected jpeg, png or webp"),
        ({"contours": "true"}, "contours: no such parameter; there are threshold, polarity"),
        ({"overlay": "x", "threshold": "2"}, "threshold: expected 1 or less; overlay: expected true or false"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_right(server: Server, query: dict[str, str], detail: str) -> None:
    problem = assert_problem(server.client.post("/score", params=query, content=b"x"), 400, "invalid_parameter")
    assert problem["detail"].startswith(detail)


def test_reports_take_fewer_parameters(server: Server) -> None:
    problem = assert_problem(server.client.post("/reports/sr?overlay=false", content=b"x"), 400, "invalid_parameter")
    assert problem["detail"] == "overlay: no such parameter; there are threshold, polarity"


@pytest.mark.parametrize(
    ("status", "code", "request_"),
    [
        (400, "no_file", {"files": {"other": b"x"}}),
        (400, "empty_file", {"files": {"file": b""}}),
        (400, "empty_file", {"content": b""}),
        (400, "invalid_parameter", {"params": {"threshold": "2"}, "content": b"x"}),
        (400, "invalid_parameter", {"params": {"overlay_format": "gif"}, "content": b"x"}),
        (400, "invalid_parameter", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}),
        (406, "not_acceptable", {"content": b"x", "headers": {"accept": "text/html"}}),
        (415, "unsupported_format", {"content": b"GIF89a" + bytes(50)}),
        (415, "unsupported_format", {"content": b"%PDF-1.7 nothing"}),
        (422, "unreadable_image", {"content": b"\x89PNG\r\n\x1a\n" + bytes(100)}),
    ],
)
@pytest.mark.parametrize("route", ["/score", "/segment"])
def test_bad_requests_have_their_code(
    server: Server, route: str, status: int, code: str, request_: dict[str, object]
) -> None:
    assert_problem(server.client.post(route, **request_), status, code)


def test_a_picture_too_small_or_too_large(server: Server) -> None:
    # 8000 x 8000 pixels of black are a small file; the header alone refuses it.
    for side, code in ((20, "image_too_small"), (8000, "image_too_large")):
        assert_problem(server.client.post("/score", content=encoded(np.zeros((side, side), np.uint8))), 422, code)


def test_an_upload_over_the_limit_is_refused_unread(server: Server) -> None:
    host, port = re.fullmatch(r"http://([\d.]+):(\d+)", server.url).groups()
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
        assert b"413" in connection.recv(4096).split(b"\r\n")[0]


def test_unknown_routes_and_methods(server: Server) -> None:
    assert_problem(server.client.get("/nothing"), 404, "not_found")
    answer = server.client.get("/score")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_a_request_id_is_taken_or_made(server: Server, phantom_png: bytes) -> None:
    given_id = "ris-2026.11_23"
    answer = server.client.post("/score", content=phantom_png, headers={"x-request-id": given_id})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == given_id
    made = server.client.get("/health/live", headers={"x-request-id": "no good\tid"}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_health_models_and_metrics(server: Server, phantom_png: bytes) -> None:
    assert server.client.get("/health/live").json() == {"status": "live"}
    assert server.client.get("/health/ready").json() == {"status": "ready"}
    for probe in ("live", "ready"):
        answer = server.client.head(f"/health/{probe}")
        assert (answer.status_code, answer.content) == (200, b"")
    loaded = server.client.get("/models").json()
    assert loaded["lungs"]["card"]["role"] == "lungs"
    assert loaded["disease"]["card"]["threshold"] == loaded["threshold"]
    scored = server.client.post("/score", content=phantom_png).json()
    assert scored["models"]["disease"]["sha256"] == loaded["disease"]["card"]["sha256"]
    text = server.client.get("/metrics").text
    assert total(text, "cxr_score_total", score=str(scored["score"])) >= 1
    assert total(text, "cxr_requests_total", method="POST", route="/score", status="200") >= 1
    assert total(text, "cxr_stage_seconds_count", stage="disease") >= 1
    assert total(text, "cxr_model_info", architecture="MA-Net") == 1
    assert total(text, "cxr_ready") == 1
    for stage in ("lungs", "disease"):
        for measure, shares in loaded[stage]["card"]["reference"].items():
            assert total(text, "cxr_input_count", measure=measure) >= 1
            counted = [labels["le"] for labels, _ in samples(text, "cxr_input_bucket", measure=measure)]
            known = samples(text, "cxr_reference_share", measure=measure)
            assert [labels["le"] for labels, _ in known] == [edge for edge in counted if edge != "+Inf"]
            assert [share for _, share in known] == shares


def test_openapi_names_every_problem_and_true_examples(server: Server) -> None:
    document = server.client.get("/openapi.json").json()
    for route, model in (("/score", ScoreReport), ("/segment", SegmentReport)):
        operation = document["paths"][route]["post"]
        shown = operation["responses"]["200"]["content"]["application/json"]["example"]
        model.model_validate(shown)
        answer = server.client.post(f"{route}?overlay=false", files={"file": PHANTOM.read_bytes()}).json()
        assert_same_answer(answer, shown)
        assert {"400", "401", "406", "413", "415", "422", "503", "504"} <= set(operation["responses"])
        assert "multipart/form-data" in operation["requestBody"]["content"]


def test_the_documentation_needs_no_other_host(server: Server) -> None:
    page = server.client.get("/docs").text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(assets) >= 3
    for asset in assets:
        assert asset.startswith("/")
        assert server.client.get(asset).status_code == 200


def test_problem_codes_are_unique() -> None:
    codes = [problem.code for problem in all_problems()]
    assert len(set(codes)) == len(codes)


@given(st.binary(max_size=400))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_upload_is_ever_our_error(server: Server, upload: bytes) -> None:
    for request_ in ({"content": upload}, {"files": {"file": upload}}):
        answer = server.client.post("/score", **request_)
        assert answer.status_code < 500, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


def test_logs_are_structured_and_name_nobody(server: Server, phantom_png: bytes) -> None:
    answer = server.client.post("/score?overlay=false", files={"file": ("Doe^Jane.png", phantom_png)})
    entry = server.answered(answer.json()["request_id"])
    assert "Doe" not in server.log.read_text()
    assert entry["status"] == 200
    assert entry["sha256"] == hashlib.sha256(phantom_png).hexdigest()
    assert entry["score"] == answer.json()["score"]
    assert entry["timings_ms"]["total"] > 0
    (ready,) = [line for line in server.log_lines() if line["message"] == "ready"]
    assert ready["start_seconds"] > 0
    assert ready["resident_mib"] > 0


def test_the_score_in_words(server: Server, phantom_png: bytes) -> None:
    told = server.client.post("/score?overlay=false", content=phantom_png).json()
    answer = server.client.post("/score", content=phantom_png, headers={"accept": "text/plain"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    score, zones, notice = answer.text.splitlines()
    assert score == f"Lung severity score {told['score']} of 6."
    for zone in told["zones"]:
        assert (zone["zone"].replace("_", " ") in zones) is zone["affected"]
    assert notice.endswith("Research use only. Not a medical device.")
