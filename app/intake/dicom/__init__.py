"""DICOM objects → 8-bit gray radiographs, and what their headers say."""

from app.intake.dicom.damage import configure
from app.intake.dicom.header import Header, read_header
from app.intake.dicom.reading import DicomRadiograph, read_dicom

__all__ = ["DicomRadiograph", "Header", "configure", "read_dicom", "read_header"]
