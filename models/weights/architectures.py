"""The names of the nine segmentation architectures of Danilov et al. (Sci Rep 12:12791)."""

from typing import Final

DISPLAY_NAMES: Final = {
    "Unet": "U-Net",
    "Unet++": "U-Net++",
    "DeepLabV3": "DeepLabV3",
    "DeepLabV3+": "DeepLabV3+",
    "FPN": "FPN",
    "Linknet": "Linknet",
    "PSPNet": "PSPNet",
    "PAN": "PAN",
    "MAnet": "MA-Net",
}
"""The paper's spelling of every architecture."""


class UnknownNetworkError(ValueError):
    """The architecture or the encoder is not one this library can build."""


def canonical_architecture(name: str) -> str:
    """The key of ``DISPLAY_NAMES`` for any usual spelling: ``MA-Net``, ``u-net++``, ``deeplabv3plus``.

    Raises:
        UnknownNetworkError: no such architecture.
    """
    folded = _fold(name)
    for architecture in DISPLAY_NAMES:
        if _fold(architecture) == folded:
            return architecture
    raise UnknownNetworkError(f"unknown architecture {name!r}: one of {', '.join(DISPLAY_NAMES)}")


def display_name(architecture: str) -> str:
    """The paper's spelling of an architecture, such as ``MA-Net``.

    Raises:
        UnknownNetworkError: no such architecture.
    """
    return DISPLAY_NAMES[canonical_architecture(architecture)]


def _fold(name: str) -> str:
    """Turns all usual spellings of an architecture's name into one."""
    return name.casefold().replace("plus", "+").translate({ord(mark): None for mark in "-_ "})
