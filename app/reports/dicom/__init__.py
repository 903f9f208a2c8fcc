"""DICOM objects for an archive: Segmentation, Structured Report and Secondary Capture, in the radiograph's study."""

from app.reports.dicom.answers import (
    DICOM,
    capture_dicom,
    check_presentable,
    check_reportable,
    content_of,
    presentation_dicom,
    report_dicom,
    segmentation_dicom,
)

__all__ = [
    "DICOM",
    "capture_dicom",
    "check_presentable",
    "check_reportable",
    "content_of",
    "presentation_dicom",
    "report_dicom",
    "segmentation_dicom",
]
