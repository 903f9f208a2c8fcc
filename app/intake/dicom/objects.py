"""Which DICOM objects are radiographs: by SOP class and modality."""

from typing import Final

from pydicom import Dataset, uid

from app.errors import UnsupportedDicom

_RADIOGRAPHS: Final = frozenset(
    {
        uid.ComputedRadiographyImageStorage,
        uid.DigitalXRayImageStorageForPresentation,
        uid.DigitalXRayImageStorageForProcessing,
        uid.XRayRadiofluoroscopicImageStorage,
    }
)
"""Whatever modality they name: `DR` and lower case are common."""
_CAPTURES: Final = frozenset(
    {
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    }
)
_MODALITIES: Final = frozenset({"CR", "DX", "DR", "RG", "RF", "OT", "SC"})
_READ: Final = "CR, DX and secondary capture radiographs are read"


def check_object(dataset: Dataset) -> None:
    """That ``dataset`` is of a radiograph's class, or, captured or without a class, of a radiograph's modality.

    Raises:
        UnsupportedDicom: it is not.
    """
    kind, modality = str(dataset.get("SOPClassUID", "")).strip(), str(dataset.get("Modality", "")).strip().upper()
    if kind in _RADIOGRAPHS:
        return
    if kind and kind not in _CAPTURES:
        # Only names that the standard has: what else stands there may be anything.
        name = uid.UID(kind).name if uid.UID(kind).type == "SOP Class" else "another class"
        raise UnsupportedDicom(f"The object is of {name}; {_READ}")
    if modality and modality not in _MODALITIES:
        raise UnsupportedDicom(f"The object's modality is not that of a radiograph; {_READ}")
    if not (kind or modality):
        raise UnsupportedDicom(f"The object says neither its class nor its modality; {_READ}")
