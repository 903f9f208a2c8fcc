"""Decides by SOP class and modality which DICOM objects are radiographs."""

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
"""Accepted with any modality: `DR` and lower case are common."""
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
    """Refuses an object that is not a radiograph by its class or, for captures and without a class, by its modality.

    Raises:
        UnsupportedDicom: it is not a radiograph.
    """
    kind, modality = str(dataset.get("SOPClassUID", "")).strip(), str(dataset.get("Modality", "")).strip().upper()
    if kind in _RADIOGRAPHS:
        return
    if kind and kind not in _CAPTURES:
        # Only names from the standard are repeated: any other value may hold anything.
        name = uid.UID(kind).name if uid.UID(kind).type == "SOP Class" else "another class"
        raise UnsupportedDicom(f"The object is of {name}; {_READ}")
    if modality and modality not in _MODALITIES:
        raise UnsupportedDicom(f"The object's modality is not that of a radiograph; {_READ}")
    if not (kind or modality):
        raise UnsupportedDicom(f"The object says neither its class nor its modality; {_READ}")
