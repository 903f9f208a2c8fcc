"""Upload → Radiograph: reads the request's bytes, finds their format and decodes their pixels."""

from app.intake.body import read_parts, read_upload
from app.intake.decoding import decode
from app.intake.radiograph import Radiograph
from app.intake.sniff import sniff
from app.intake.upload import Format, Limits, Upload

__all__ = ["Format", "Limits", "Radiograph", "Upload", "decode", "read_parts", "read_upload", "sniff"]
