"""Renders a finding as the body of an ``application/dicom`` answer; runs in the host pool."""

from typing import Final

import cv2
import numpy as np

from app.errors import UnsupportedDicom
from app.intake import Radiograph
from app.intake.dicom.grayscale import Grayscale
from app.reports.answers import Finding
from app.reports.dicom.content import ReportContent
from app.reports.dicom.header import ReportHeader, read_header
from app.reports.dicom.identity import Identity
from app.reports.dicom.presentation_state import write_presentation_state
from app.reports.dicom.secondary_capture import write_capture
from app.reports.dicom.segmentation import write_segmentation
from app.reports.dicom.structured_report import write_report
from app.reports.overlay import draw_overlay, write_heading
from app.reports.words import refusals, summarise
from models.analysis import Polarity

DICOM: Final = "application/dicom"
_NO_HEADER: Final = "A DICOM answer needs a DICOM upload; this is {format}"


def check_reportable(radiograph: Radiograph) -> None:
    """Refuses, before the analysis, a radiograph to which no report could refer.

    Raises:
        UnsupportedDicom: it is not a DICOM object, or lacks an identifier.
    """
    _header(radiograph)


def check_presentable(radiograph: Radiograph) -> None:
    """Refuses what no presentation state could refer to, before it is analysed.

    Raises:
        UnsupportedDicom: as ``check_reportable``, or its grays are stored as a palette.
    """
    check_reportable(radiograph)
    _shown(radiograph)


def segmentation_dicom(finding: Finding, polarity: Polarity) -> bytes:
    """The masks as a DICOM Segmentation."""
    with finding.clock.measure("render"):
        return write_segmentation(content_of(finding, polarity))


def report_dicom(finding: Finding, polarity: Polarity) -> bytes:
    """Score, shares and doubts as a DICOM Structured Report."""
    with finding.clock.measure("render"):
        return write_report(content_of(finding, polarity))


def capture_dicom(finding: Finding, polarity: Polarity) -> bytes:
    """The overlay as a DICOM Secondary Capture."""
    with finding.clock.measure("render"):
        content = content_of(finding, polarity)
        overlay = draw_overlay(finding.radiograph.pixels, finding.analysis)
        # Without a score it has a heading already.
        if finding.analysis.score is not None:
            write_heading(overlay, summarise(finding.analysis))
        return write_capture(content, np.asarray(cv2.cvtColor(overlay, cv2.COLOR_BGR2RGB), dtype=np.uint8))


def presentation_dicom(finding: Finding, polarity: Polarity) -> bytes:
    """Outlines, shares and score as a DICOM Presentation State."""
    with finding.clock.measure("render"):
        return write_presentation_state(content_of(finding, polarity), _shown(finding.radiograph))


def _shown(radiograph: Radiograph) -> Grayscale:
    if radiograph.shown is None:
        raise UnsupportedDicom(_NO_HEADER.format(format=radiograph.format))
    # PS3.3, section A.33.1: it refers to images of one colour that are stored as grays.
    if radiograph.source is not None and radiograph.source.get("PhotometricInterpretation") == "PALETTE COLOR":
        raise UnsupportedDicom("A presentation state cannot refer to this object: its grays are stored as a palette")
    return radiograph.shown


def content_of(finding: Finding, polarity: Polarity) -> ReportContent:
    """What a report is made of; raises UnsupportedDicom as ``check_reportable``."""
    radiograph = finding.radiograph
    identity = Identity(radiograph.sha256, finding.models, polarity, refusals(finding.analysis))
    return ReportContent(_header(radiograph), finding.analysis, identity)


def _header(radiograph: Radiograph) -> ReportHeader:
    if radiograph.source is None:
        raise UnsupportedDicom(_NO_HEADER.format(format=radiograph.format))
    return read_header(radiograph.source, radiograph.height, radiograph.width)
