"""Headers of radiographs as modalities send them, and analyses to report."""

from functools import cache
from math import nan
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from app.intake.dicom.grayscale import Grayscale, Window
from app.reports.dicom.content import ReportContent
from app.reports.dicom.header import read_header
from app.reports.dicom.identity import Identity
from app.reports.dicom.presentation_state import write_presentation_state
from app.reports.dicom.secondary_capture import write_capture
from app.reports.dicom.segmentation import write_segmentation
from app.reports.dicom.structured_report import write_report
from app.reports.schema import Model, Models
from app.reports.words import refusals
from models.analysis import Analysis
from models.phantom import draw_phantom
from tests.support.dicoms import image_elements, write
from tests.support.masks import GivenMasks

HEIGHT, WIDTH = 250, 203
SOURCES = {
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "DX for processing": DigitalXRayImageStorageForProcessing,
    "RF": XRayRadiofluoroscopicImageStorage,
    "SC": SecondaryCaptureImageStorage,
    "SC of 8 bits": MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    "SC of 16 bits": MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    "SC in colour": MultiFrameTrueColorSecondaryCaptureImageStorage,
}
SHARES = (0.5, 0.1, 0.31, 0.0, 0.9, 0.2)
"""In the reference's order: the patient's right lung from below, then the left one."""
MODELS = Models(
    lungs=Model(name="lungs of a test", architecture="FPN", encoder="resnet18", sha256="1" * 64, precision="float32"),
    disease=Model(
        name="disease of a test", architecture="MA-Net", encoder="resnet18", sha256="2" * 64, precision="float32"
    ),
    service="0.0.1",
    build="0123456789ab",
)
DIGEST = "a" * 64


def bare_source(kind: str = "CR", **changes: Any) -> Dataset:
    """Only what a report cannot do without."""
    source = Dataset()
    source.SOPClassUID = SOURCES[kind]
    source.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1.3"
    source.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.1.2"
    source.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.1.1"
    source.Modality = "OT" if kind.startswith("SC") else kind[:2]
    source.Rows, source.Columns = HEIGHT, WIDTH
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return changed(source, **changes)


def full_source(kind: str = "CR", **changes: Any) -> Dataset:
    """With what a good modality says of patient, study and image."""
    source = bare_source(kind)
    source.SpecificCharacterSet = "ISO_IR 100"
    source.PatientName = "Roentgen^Wilhelm^Conrad^^Prof."
    source.PatientID = "WCR-1895"
    source.IssuerOfPatientID = "WUE"
    source.PatientBirthDate, source.PatientSex, source.PatientAge = "18450327", "M", "050Y"
    source.StudyDate, source.StudyTime, source.StudyID = "18951108", "1730", "S1"
    source.StudyDescription, source.AccessionNumber = "Thorax in 2 Ebenen", "A1895"
    source.ReferringPhysicianName = "Koelliker^Albert"
    source.ContentDate, source.ContentTime = "18951108", "173112.25"
    source.TimezoneOffsetFromUTC = "+0100"
    source.Manufacturer = "Crookes"
    source.BodyPartExamined, source.ViewPosition = "CHEST", "PA"
    source.PatientOrientation = ["L", "F"]
    source.ImagerPixelSpacing = [0.143, 0.143]
    source.PixelSpacing = [0.139, 0.139]
    return changed(source, **changes)


def changed(source: Dataset, **changes: Any) -> Dataset:
    """The same with other values; None takes an element away."""
    for keyword, value in changes.items():
        if value is None:
            delattr(source, keyword)
        else:
            setattr(source, keyword, value)
    return source


def upload(side: int, **changes: str | None) -> bytes:
    """The phantom as a CR image, ``side`` pixels wide and high."""
    return write(full_source(**{**image_elements(draw_phantom(side)), **changes}))


@cache
def masks(height: int = HEIGHT, width: int = WIDTH) -> GivenMasks:
    """Two lungs of three zones, with disease across the zones of the image-left one."""
    zones = np.zeros((height, width), np.uint8)
    third = height // 5
    for first, columns in ((1, slice(width // 8, width * 3 // 8)), (4, slice(width * 5 // 8, width * 7 // 8))):
        for level in range(3):
            zones[third * (3 - level) : third * (4 - level), columns] = first + level
    disease = np.zeros_like(zones, np.bool_)
    disease[height // 2 : height * 3 // 4, width // 5 : width // 3] = True
    return GivenMasks(zones > 0, disease & (zones > 0), zones)


def analysis(**changes: Any) -> Analysis:
    """Scored 2 of 6, unless changed."""
    values: dict[str, Any] = {
        "score": 2,
        "shares": SHARES,
        "threshold": 0.31,
        "margin": 0.0,
        "diseased_share": 0.25,
        "disease_probability": None,
        "flags": ("borderline",),
        "masks": masks(),
    }
    return Analysis(**values | changes)


def refused(*flags: str) -> Analysis:
    """No lungs found, so nothing to score."""
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    return analysis(
        score=None,
        shares=(nan,) * 6,
        margin=None,
        diseased_share=None,
        flags=flags,
        masks=GivenMasks(nothing > 0, nothing > 0, nothing),
    )


def case_of(
    source: Dataset, found: Analysis | None = None, models: Models = MODELS, digest: str = DIGEST
) -> ReportContent:
    found = found or analysis()
    height, width = found.zones.shape
    return ReportContent(read_header(source, height, width), found, Identity(digest, models, "as_is", refusals(found)))


def write_capture_of(case: ReportContent) -> bytes:
    """With a plain picture for an overlay."""
    return write_capture(case, np.full((HEIGHT, WIDTH, 3), 7, np.uint8))


def write_presentation_of(case: ReportContent) -> bytes:
    """Of a picture of 12 bits with a window."""
    return write_presentation_state(case, Grayscale((1.0, 0.0), Window(2048.0, 4096.0, "LINEAR"), False, None, False))


WRITERS = {
    "segmentation": write_segmentation,
    "report": write_report,
    "capture": write_capture_of,
    "presentation": write_presentation_of,
}
