"""DICOM Secondary Capture, read back."""

from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from app.reports.dicom.secondary_capture import write_capture
from app.reports.overlay import draw_overlay, write_heading
from tests.support.reports import HEIGHT, WIDTH, analysis, bare_source, case_of, full_source

PICTURE = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def test_the_picture_as_every_viewer_reads_it() -> None:
    capture = dcmread(BytesIO(write_capture(case_of(full_source()), PICTURE)))
    assert capture.SOPClassUID == SecondaryCaptureImageStorage
    assert capture.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (capture.PhotometricInterpretation, capture.PlanarConfiguration) == ("RGB", 0)
    assert (capture.pixel_array == PICTURE).all()


def test_what_it_is() -> None:
    source = full_source()
    capture = dcmread(BytesIO(write_capture(case_of(source), PICTURE)))
    assert capture.ImageType[0] == "DERIVED"
    assert capture.ConversionType == "WSD"
    assert capture.BurnedInAnnotation == "YES"
    assert capture.ImageComments == "Research use only. Not a medical device."
    assert "Research use only" in capture.SeriesDescription
    (reference,) = capture.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert list(capture.PatientOrientation) == ["L", "F"]


def test_no_spacing_as_it_may_have_been_shrunk() -> None:
    capture = dcmread(BytesIO(write_capture(case_of(full_source()), PICTURE)))
    assert "PixelSpacing" not in capture
    assert not dcmread(BytesIO(write_capture(case_of(bare_source()), PICTURE))).PatientOrientation


def test_once_lossy_ever_lossy() -> None:
    source = full_source(
        LossyImageCompression="01", LossyImageCompressionRatio="12.5", LossyImageCompressionMethod="ISO_10918_1"
    )
    capture = dcmread(BytesIO(write_capture(case_of(source), PICTURE)))
    assert capture.LossyImageCompression == "01"
    assert capture.LossyImageCompressionMethod == "ISO_10918_1"


@pytest.mark.parametrize("text", ["Lung severity score 2 of 6", "No score is given. Lungs not found"])
def test_the_heading_is_drawn_at_the_top(text: str) -> None:
    gray = np.full((HEIGHT * 4, WIDTH * 4), 90, np.uint8)
    found = analysis(masks=type(analysis().masks)(*(np.zeros(gray.shape, kind) for kind in (bool, bool, np.uint8))))
    before = draw_overlay(gray, found)
    after = before.copy()
    write_heading(after, text)
    rows = np.nonzero((before != after).any(axis=(1, 2)))[0]
    assert rows.size
    assert rows.max() < gray.shape[0] // 10
    assert (after == 255).all(axis=2)[: rows.max()].any()
