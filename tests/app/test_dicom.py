"""DICOM over HTTP: scored like any other radiograph, refused for what the header says, and nobody is named."""

import httpx
import pytest
from pydicom import uid

from models.phantom import draw_phantom
from tests.support.dicoms import dicom
from tests.support.server import Server

GRAY = draw_phantom(512, ("right_lower", "left_middle"))
SECRETS = ("Doe", "Jane", "4711-0815", "A123", "Roe", "19000101", "1.2.826")


def posted(server: Server, data: bytes, as_form: bool = False) -> httpx.Response:
    if as_form:
        return server.client.post("/score?overlay=false", files={"file": ("Doe.dcm", data, "application/dicom")})
    return server.client.post("/score?overlay=false", content=data)


@pytest.mark.parametrize("as_form", [False, True])
def test_a_radiograph_is_scored_and_its_header_told(server: Server, phantom_png: bytes, as_form: bool) -> None:
    answer = posted(server, dicom(GRAY, uid.JPEGLosslessSV1), as_form)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert report["score"] is not None and report["quality"]["scorable"]
    image = report["image"]
    assert (image["format"], image["width"], image["height"]) == ("DICOM", 512, 512)
    assert image["dicom"]["view_position"] == "PA" and image["dicom"]["transfer_syntax"] == uid.JPEGLosslessSV1
    assert posted(server, phantom_png).json()["image"]["dicom"] is None


def test_laterals_and_other_parts_get_no_score(server: Server) -> None:
    for elements, flag in (({"ViewPosition": "LL"}, "not_frontal"), ({"BodyPartExamined": "HAND"}, "not_chest")):
        report = posted(server, dicom(GRAY, **elements)).json()
        assert report["score"] is None and not report["quality"]["scorable"]
        assert flag in report["quality"]["flags"]


def test_a_missing_view_is_a_warning(server: Server) -> None:
    report = posted(server, dicom(GRAY, ViewPosition=None)).json()
    assert report["score"] is not None and report["quality"]["flags"] == ["view_unknown"]


def test_other_objects_are_refused(server: Server) -> None:
    answer = posted(server, dicom(GRAY, SOPClassUID=uid.CTImageStorage, Modality="CT"))
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_dicom")
    answer = posted(server, dicom(GRAY)[:5000])
    assert (answer.status_code, answer.json()["code"]) == (422, "unreadable_image")


def test_nobody_is_named(server: Server) -> None:
    scored = posted(server, dicom(GRAY), as_form=True)
    refused = [posted(server, data) for data in (dicom(GRAY)[:9000], dicom(GRAY, NumberOfFrames=2))]
    assert [answer.status_code for answer in (scored, *refused)] == [200, 422, 422]
    told = "".join(answer.text for answer in (scored, *refused, server.client.get("/metrics"))) + server.log.read_text()
    assert scored.json()["request_id"] in told
    for secret in SECRETS:
        assert secret not in told
