"""Selects the instances, among all that Orthanc receives, that the edge has to handle."""

from collections.abc import Mapping
from typing import Any, Literal

from cxr_edge.archive import Archive
from cxr_edge.body_parts import is_chest
from cxr_edge.settings import Settings

Kind = Literal["radiograph", "result"]

OWN = "CXR-SEVERITY"
"""Manufacturer and model, in capitals, of everything that the service makes (app/reports/dicom/identity.py)."""

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
RADIOGRAPHS = {
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image Storage
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image Storage - For Presentation
    SECONDARY_CAPTURE,  # digitised films
}
"""SOP classes (DICOM PS3.4, section B.5) of radiographs as readers see them; For Processing, which is raw, is not."""
RESULTS = {
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation Storage
    "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR Storage
    "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR Storage
    SECONDARY_CAPTURE,
}


def kind(archive: Archive, settings: Settings, instance: str) -> Kind | None:
    """What to handle an instance as; None: not at all. Its header is read only if its SOP class may be relevant.

    Raises:
        Gone: the instance was deleted.
    """
    sop_class = archive.sop_class(instance)
    if sop_class not in RADIOGRAPHS | RESULTS:
        return None
    tags = archive.tags(instance)
    if OWN in (_text(tags, "Manufacturer"), _text(tags, "ManufacturerModelName")):
        return "result" if settings.forward and sop_class in RESULTS else None
    wanted = (
        sop_class in RADIOGRAPHS
        and _text(tags, "Modality") in settings.modalities
        and is_chest(_text(tags, "BodyPartExamined"), settings.body_parts) is not False
    )
    return "radiograph" if wanted else None


def _text(tags: Mapping[str, Any], keyword: str) -> str:
    value = tags.get(keyword, "")
    return value.strip().upper() if isinstance(value, str) else ""
