"""Renders a finding as the body of an ``application/dicom`` answer; runs in the host pool."""

from typing import Final

import cv2
import numpy as np

from app.errors import UnsupportedDicom
from app.intake import Radiograph
from app.reports.answers import Finding
from app.reports.dicom.content import ReportContent
from app.reports.dicom.header import ReportHeader, read_header
from app.reports.dicom.identity import Identity
from app.reports.dicom.secondary_capture import write_capture
from app.reports.dicom.segmentation import write_segmentation
from app.reports.dicom.structured_report import write_report
from app.reports.overlay import draw_overlay, write_heading
from app.reports.words import refusals, summarise
from models.analysis import Polarity

DICOM: Final = "application/dicom"


def check_reportable(radiograph: Radiograph) -> None:
    """Refuses, before the analysis, a radiograph to which no report could refer.

    Raises:
        UnsupportedDicom: it is not a DICOM object, or lacks an identifier.
    """
    _header(radiograph)


def segmentation_dicom(finding: Finding, polarity: Polarity) -> bytes:
    """The masks as a DICOM Segmentation."""
    with finding.clock.measure("render"):
        return write_segmentation(_content(finding, polarity))


def report_dicom(finding: Finding, polarity: Polarity) -> bytes:
    """Score, shares and doubts as a DICOM Structured Report."""
    with finding.clock.measure("render"):
        return write_report(_content(finding, polarity))


def capture_dicom(finding: Finding, polarity: Polarity) -> bytes:
    """The overlay as a DICOM Secondary Capture."""
    with finding.clock.measure("render"):
        content = _content(finding, polarity)
        overlay = draw_overlay(finding.radiograph.pixels, finding.analysis)
        # Without a score it has a heading already.
        if finding.analysis.score is not None:
            write_heading(overlay, summarise(finding.analysis))
        return write_capture(content, np.asarray(cv2.cvtColor(overlay, cv2.COLOR_BGR2RGB), dtype=np.uint8))


def _content(finding: Finding, polarity: Polarity) -> ReportContent:
    radiograph = finding.radiograph
    identity = Identity(radiograph.sha256, finding.models, polarity, refusals(finding.analysis))
    return ReportContent(_header(radiograph), finding.analysis, identity)


def _header(radiograph: Radiograph) -> ReportHeader:
    if radiograph.source is None:
        raise UnsupportedDicom(f"A DICOM answer needs a DICOM upload; this is {radiograph.format}")
    return read_header(radiograph.source, radiograph.height, radiograph.width)
