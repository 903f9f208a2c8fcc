"""Reads what a radiograph's header says about the picture: the view, the side, the body part; no identifiers."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydicom import Dataset, uid
from pydicom.charset import decode_bytes

from app.intake.dicom.body_parts import is_chest
from app.intake.dicom.damage import DAMAGE
from app.intake.dicom.elements import read_code, read_number, read_values
from models import quality

# In View Code Sequence, CID 4010: antero-posterior, postero-anterior, frontal; codes of SNOMED CT and older SNOMED.
_FRONTAL_CODES: Final = frozenset(
    {"399348003", "272479007", "399033003", "R-10206", "R-10214", "R-40888", "R-10202"},
)
# In Anatomic Region Sequence, CID 4031: chest, thorax, thoracic cavity, lung, both lungs.
_CHEST_CODES: Final = frozenset(
    {"816094009", "51185008", "43799004", "39607008", "74101002", "T-D3000", "T-D3050", "T-28000"}
)
_SNOMED: Final = frozenset({"SCT", "SRT", "SNM3", "99SDM"})
_FRONTAL_WORDS: Final = frozenset({"AP", "PA", "FRONTAL"})
_OTHER_VIEW: Final = re.compile(
    r"(LL|RL)[DO]?|[LR]?LAT\w*|\w*OBL\w*|[LR][AP]O|DECUB\w*|SWIM\w*|AXIAL|TANG\w*|SAG\w*|SEIT\w*|PROFIL\w*|PERFIL|BOCZN\w*"
)


@dataclass(frozen=True, slots=True)
class Header:
    """The header's values that go into the result; None where a value is absent or invalid.

    Attributes:
        patient_orientation: directions of rows and columns as in the header, such as ``L\\F``.
        pixel_spacing: millimetres between rows and between columns: Pixel Spacing, else Imager Pixel Spacing.
        transfer_syntax: UID.
    """

    view_position: str | None
    laterality: str | None
    patient_orientation: str | None
    body_part: str | None
    presentation_intent: str | None
    burned_in_annotation: str | None
    pixel_spacing: tuple[float, float] | None
    photometric_interpretation: str | None
    transfer_syntax: str


def read_header(dataset: Dataset) -> Header:
    """The header of a radiograph's ``dataset``, which has its ``file_meta``."""
    return Header(
        view_position=read_code(dataset.get("ViewPosition")),
        laterality=read_code(dataset.get("ImageLaterality")) or read_code(dataset.get("Laterality")),
        patient_orientation=_read_orientation(dataset),
        body_part=read_code(dataset.get("BodyPartExamined")),
        presentation_intent=read_code(dataset.get("PresentationIntentType")),
        burned_in_annotation=read_code(dataset.get("BurnedInAnnotation")),
        pixel_spacing=_read_spacing(dataset, "PixelSpacing") or _read_spacing(dataset, "ImagerPixelSpacing"),
        photometric_interpretation=read_code(dataset.get("PhotometricInterpretation")),
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
    )


def header_flags(dataset: Dataset, body_parts: Iterable[str] = ()) -> tuple[str, ...]:
    """Reasons in the header of ``dataset`` not to trust a score, as codes of ``models.quality``.

    Body Part Examined takes precedence over Anatomic Region Sequence. One element that names a view other than frontal
    is enough for a flag.

    Args:
        body_parts: more words in Body Part Examined that mean the chest.
    """
    header = read_header(dataset)
    flags = []
    if _is_chest(dataset, body_parts) is False:
        flags.append(quality.NOT_CHEST)
    frontal = _is_frontal(dataset)
    row, column = (header.patient_orientation or "\\").split("\\")
    if frontal is False or row[:1] in ("A", "P"):
        flags.append(quality.NOT_FRONTAL)
    elif frontal is None:
        flags.append(quality.VIEW_UNKNOWN)
    if row[:1] in ("R", "H", "F") or (row[:1] in ("L", "") and column[:1] not in ("F", "")):
        # Upside down, on its side or mirrored: zones would get the wrong names.
        flags.append(quality.ROTATED)
    if header.burned_in_annotation == "YES":
        flags.append(quality.BURNED_IN)
    if _is_for_processing(dataset):
        flags.append(quality.FOR_PROCESSING)
    return tuple(flags)


def _is_frontal(dataset: Dataset) -> bool | None:
    """Whether view position and view code name a frontal view; None where they name no known view."""
    words = re.split(r"[\W_]+", _text(dataset, "ViewPosition").upper())
    codes = [code in _FRONTAL_CODES for code in _codes(dataset, "ViewCodeSequence")]
    if False in codes or any(_OTHER_VIEW.fullmatch(word) for word in words):
        return False
    return True if codes or not _FRONTAL_WORDS.isdisjoint(words) else None


def _is_chest(dataset: Dataset, body_parts: Iterable[str]) -> bool | None:
    """Whether the header names a chest; None where it names no body part."""
    named = is_chest(_text(dataset, "BodyPartExamined"), body_parts)
    if named is not None:
        return named
    codes = list(_codes(dataset, "AnatomicRegionSequence"))
    return any(code in _CHEST_CODES for code in codes) if codes else None


def _text(dataset: Dataset, keyword: str) -> str:
    """The text of an element, even if its VR does not allow it: many writers put plain language there."""
    text = " ".join(value for value in read_values(dataset.get(keyword)) if isinstance(value, str))
    if text.isascii():
        return text
    # pydicom decodes code strings as ISO 8859-1, whatever the character set.
    try:
        return decode_bytes(text.encode("latin-1"), _encodings(dataset), set())
    except DAMAGE:
        return text


def _encodings(dataset: Dataset) -> list[str]:
    """The data set's character sets by their names in Python."""
    return [str(encoding) for encoding in read_values(dataset.original_character_set)]


def _is_for_processing(dataset: Dataset) -> bool:
    """Whether the pixels are the detector's raw values, not the processed picture that readers see."""
    is_raw_class = str(dataset.get("SOPClassUID", "")).strip() == uid.DigitalXRayImageStorageForProcessing
    return is_raw_class or _text(dataset, "PresentationIntentType").strip().upper() == "FOR PROCESSING"


def _codes(dataset: Dataset, keyword: str) -> Iterator[str]:
    """The SNOMED codes of a sequence's items."""
    for item in read_values(list(dataset.get(keyword) or ())):
        if str(item.get("CodingSchemeDesignator", "")).strip() in _SNOMED:
            yield str(item.get("CodeValue", "")).strip()


def _read_orientation(dataset: Dataset) -> str | None:
    """Patient Orientation (C.7.6.1.1.1): letters of A, P, R, L, H, F for rows and for columns; one may be missing."""
    values = [str(value).strip().upper() for value in read_values(dataset.get("PatientOrientation"))]
    row, column, *more = (*values, "", "")
    if any(more) or not (row or column) or not all(re.fullmatch(r"[APRLHF]{0,3}", value) for value in (row, column)):
        return None
    return f"{row}\\{column}"


def _read_spacing(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    values = [read_number(value) for value in _converted(dataset.get(keyword))]
    if len(values) != 2 or values[0] is None or values[1] is None or min(values[0], values[1]) <= 0:
        return None
    return values[0], values[1]


def _converted(value: Any) -> list[Any]:
    try:
        return read_values(value)
    except DAMAGE:
        return []
