"""The DICOM answers over HTTP, by the real service on the real weights."""

import json
from email.parser import BytesParser
from io import BytesIO
from zipfile import ZipFile

import highdicom
import httpx
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage

from app.reports.dicom.segmentation import SEGMENTS
from models.phantom import draw_phantom
from tests.support.pictures import encoded
from tests.support.problems import assert_problem
from tests.support.reports import full_source, upload
from tests.support.server import Server

SIDE = 512
PATHS = ["/segment", "/reports/sr", "/reports/sc", "/reports/pr"]
DICOM = {"accept": "application/dicom"}
NAME = "Confidential^Person"


@pytest.fixture(scope="module")
def phantom() -> bytes:
    return upload(SIDE, PatientName=NAME)


def ask(server: Server, path: str, data: bytes) -> bytes:
    answer = server.client.post(path, files={"file": ("image.dcm", data)}, headers=DICOM)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom"
    return answer.content


def test_the_masks_are_those_of_the_json(server: Server, phantom: bytes) -> None:
    written = highdicom.seg.segread(BytesIO(ask(server, "/segment", phantom)))
    assert (written.NumberOfFrames, written.Rows, written.Columns) == (len(SEGMENTS), SIDE, SIDE)
    areas = dict(zip(SEGMENTS, written.pixel_array.sum(axis=(1, 2)), strict=True))
    report = server.client.post("/segment?overlay=false&contours=true", files={"file": phantom}).json()
    assert report["score"] is not None
    for zone in report["zones"]:
        assert areas[zone["zone"]] > 0
    assert areas["right_lung"] == sum(areas[f"right_{level}"] for level in ("upper", "middle", "lower"))
    assert areas["disease"] / (areas["right_lung"] + areas["left_lung"]) == pytest.approx(
        report["diseased_share"], abs=0.01
    )


def test_the_report_says_what_the_json_says(server: Server, phantom: bytes) -> None:
    written = highdicom.sr.srread(BytesIO(ask(server, "/reports/sr?threshold=0.2", phantom)))
    told = server.client.post("/score?overlay=false&threshold=0.2", files={"file": phantom}).json()
    (whole,) = written.content.get_image_measurement_groups()
    figures = {measurement.name.value: measurement.value for measurement in whole.get_measurements()}
    assert figures["severity_score"] == told["score"]
    assert figures["122411"] == 20
    shares = {}
    for group in written.content.get_planar_roi_measurement_groups():
        (measured,) = group.get_measurements()
        shares[group.tracking_identifier.lower().replace(" ", "_")] = measured.value
    assert shares == {zone["zone"]: pytest.approx(100 * zone["share"], abs=0.1) for zone in told["zones"]}
    segmentation = dcmread(BytesIO(ask(server, "/segment", phantom)))
    assert segmentation.SOPInstanceUID in {instance for *_, instance, _ in written.get_evidence()}


def test_the_capture_is_a_picture(server: Server, phantom: bytes) -> None:
    capture = dcmread(BytesIO(ask(server, "/reports/sc", phantom)))
    assert capture.SOPClassUID == SecondaryCaptureImageStorage
    assert capture.pixel_array.shape == (SIDE, SIDE, 3)
    assert len(np.unique(capture.pixel_array.reshape(-1, 3), axis=0)) > 256, "it has colours"


@pytest.mark.parametrize("path", PATHS)
def test_in_the_study_and_the_same_each_time(server: Server, phantom: bytes, path: str) -> None:
    first, second = (dcmread(BytesIO(ask(server, path, phantom))) for _ in range(2))
    assert first.PatientName == NAME
    assert first.StudyInstanceUID == full_source().StudyInstanceUID
    assert (first.SOPInstanceUID, first.SeriesInstanceUID) == (second.SOPInstanceUID, second.SeriesInstanceUID)
    other = dcmread(BytesIO(ask(server, path, upload(SIDE, PatientName=NAME, SOPInstanceUID="1.2.3.4.5"))))
    assert other.SOPInstanceUID != first.SOPInstanceUID


@pytest.mark.parametrize("path", PATHS)
def test_no_report_without_a_dicom_upload(server: Server, path: str) -> None:
    answer = server.client.post(path, content=encoded(draw_phantom(SIDE)), headers=DICOM)
    problem = assert_problem(answer, 422, "unsupported_dicom")
    assert "DICOM upload" in str(problem["detail"])


@pytest.mark.parametrize("path", PATHS)
def test_no_report_without_a_study(server: Server, path: str) -> None:
    data = upload(SIDE, PatientName=NAME, StudyInstanceUID=None)
    problem = assert_problem(server.client.post(path, content=data, headers=DICOM), 422, "unsupported_dicom")
    assert "StudyInstanceUID" in str(problem["detail"])
    assert server.client.post("/score?overlay=false", content=data).json()["score"] is not None


@pytest.mark.parametrize("path", PATHS[1:])
def test_reports_are_dicom_only(server: Server, phantom: bytes, path: str) -> None:
    refused = server.client.post(path, content=phantom, headers={"accept": "application/json"})
    assert_problem(refused, 406, "not_acceptable")
    assert server.client.post(path, content=phantom).headers["content-type"] == "application/dicom"


def test_the_segmentation_only_where_it_is_asked_for(server: Server, phantom: bytes) -> None:
    answer = server.client.post("/segment?overlay=false", content=phantom)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["image"]["format"] == "DICOM"


@pytest.mark.parametrize("path", PATHS)
def test_a_radiograph_that_cannot_be_scored_is_reported_all_the_same(server: Server, path: str) -> None:
    data = ask(server, path, upload(SIDE, PatientName=NAME, ViewPosition="LATERAL"))
    assert dcmread(BytesIO(data)).StudyInstanceUID == full_source().StudyInstanceUID
    if path == "/reports/sr":
        (whole,) = highdicom.sr.srread(BytesIO(data)).content.get_image_measurement_groups()
        assert not whole.get_measurements()
        assert "not_frontal" in [item.value.value for item in whole.get_qualitative_evaluations()]


def test_no_person_is_logged(server: Server, phantom: bytes) -> None:
    for path in PATHS:
        ask(server, path, upload(SIDE, PatientName="SECRETIVE", PatientSex="SECRETIVE"))
    log = server.log.read_text()
    assert "SECRETIVE" not in log
    assert NAME not in log


def test_answers_are_counted(server: Server, phantom: bytes) -> None:
    before = server.metric("cxr_score_total")
    for path in PATHS:
        ask(server, path, phantom)
    assert server.metric("cxr_score_total") == before + len(PATHS)


def test_a_capture_without_a_score_has_no_shares(server: Server) -> None:
    uploads = [upload(SIDE, PatientName=NAME, ViewPosition=view) for view in ("PA", "LATERAL")]
    frontal, lateral = (dcmread(BytesIO(ask(server, "/reports/sc", data))).pixel_array for data in uploads)
    changed = np.nonzero((frontal != lateral).any(axis=2))[0]
    heading, below = changed[changed < SIDE // 16], changed[changed >= SIDE // 16]
    assert heading.size, "the heading says so"
    assert below.size, "and the shares are gone"


def test_a_fhir_bundle_of_the_same_figures(server: Server, phantom: bytes) -> None:
    answer = server.client.post("/reports/fhir?release=R5&uncertainty=true", content=phantom)
    assert answer.headers["content-type"] == "application/fhir+json"
    report, score, *zones = (entry["resource"] for entry in answer.json()["entry"])
    assert "study" in report
    told = server.client.post("/score?overlay=false&uncertainty=true", content=phantom).json()
    assert score["valueQuantity"]["value"] == told["score"]
    ranges = [item["valueRange"] for item in score["component"] if "valueRange" in item]
    assert [[found["low"]["value"], found["high"]["value"]] for found in ranges] == [told["uncertainty"]["score_range"]]
    shares = [zone["valueQuantity"]["value"] for zone in zones if "valueQuantity" in zone]
    assert shares == pytest.approx([100 * zone["share"] for zone in told["zones"]], abs=0.006)
    assert_problem(server.client.post("/reports/fhir?release=R3", content=phantom), 400, "invalid_parameter")
    assert_problem(server.client.post("/reports/fhir", content=encoded(draw_phantom(SIDE))), 422, "unsupported_dicom")


def parts_of(answer: httpx.Response) -> dict[str, tuple[str, bytes]]:
    """By file name, the media type and content of each part of a ``multipart/related`` answer."""
    whole = BytesParser().parsebytes(
        f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode() + answer.content
    )
    boundary = f"--{whole.get_boundary()}".encode()
    found = {}
    # The standard library's parser reads headers; contents are cut by their declared length, as they are binary.
    for part in answer.content.split(boundary + b"\r\n")[1:]:
        head, _, rest = part.partition(b"\r\n\r\n")
        headers = BytesParser().parsebytes(head)
        content = rest[: int(headers["Content-Length"])]
        assert rest[len(content) :].startswith(b"\r\n")
        found[str(headers.get_filename())] = headers.get_content_type(), content
    assert answer.content.endswith(boundary + b"--\r\n")
    return found


def runs(server: Server) -> float:
    """Radiographs that went through a network so far, both stages together."""
    return server.metric("cxr_batch_size_sum")


def test_all_results_of_one_analysis_are_those_of_the_single_calls(server: Server, phantom: bytes) -> None:
    before = runs(server)
    answer = server.client.post("/reports?threshold=0.2&include=seg,sr&include=sc,pr,fhir,json", content=phantom)
    assert answer.status_code == 200
    assert runs(server) == before + 2
    assert answer.headers["content-type"].startswith('multipart/related; type="application/dicom"; boundary=')
    parts = parts_of(answer)
    assert list(parts) == ["seg.dcm", "sr.dcm", "sc.dcm", "pr.dcm", "fhir.json", "json.json"]
    for name, path in zip(("seg.dcm", "sr.dcm", "sc.dcm", "pr.dcm"), PATHS, strict=True):
        assert parts[name] == ("application/dicom", ask(server, f"{path}?threshold=0.2", phantom))
    bundle = server.client.post("/reports/fhir?threshold=0.2", content=phantom)
    assert parts["fhir.json"] == (bundle.headers["content-type"], bundle.content)
    told = server.client.post("/score?overlay=false&threshold=0.2", content=phantom).json()
    said = json.loads(parts["json.json"][1])
    assert {key: said[key] for key in ("score", "zones", "image", "overlay")} == {
        key: told[key] for key in ("score", "zones", "image", "overlay")
    }


def test_a_zip_holds_the_same_and_is_the_same_each_time(server: Server, phantom: bytes) -> None:
    zips = [
        server.client.post("/reports", content=phantom, headers={"accept": "application/zip"}).content for _ in range(2)
    ]
    assert zips[0] == zips[1]
    parts = parts_of(server.client.post("/reports", content=phantom))
    with ZipFile(BytesIO(zips[0])) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: content for name, (_, content) in parts.items()
        }


def test_what_cannot_be_included_is_refused(server: Server, phantom: bytes) -> None:
    assert_problem(server.client.post("/reports?include=pdf", content=phantom), 400, "invalid_parameter")
    assert_problem(server.client.post("/reports?include=", content=phantom), 400, "invalid_parameter")
    assert_problem(
        server.client.post("/reports", content=phantom, headers={"accept": "image/png"}), 406, "not_acceptable"
    )
    picture = encoded(draw_phantom(SIDE))
    assert_problem(server.client.post("/reports?include=json,sr", content=picture), 422, "unsupported_dicom")
    answer = server.client.post("/reports?include=json,json", content=picture)
    assert list(parts_of(answer)) == ["json.json"]
    assert answer.headers["content-type"].startswith('multipart/related; type="application/json"')
