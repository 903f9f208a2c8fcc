"""Upload → Radiograph: finds the format, then calls its decoder."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from app.errors import EmptyFile
from app.intake.dicom import read_dicom
from app.intake.gray import Gray
from app.intake.pictures import read_picture
from app.intake.radiograph import Radiograph
from app.intake.sniff import sniff
from app.intake.upload import Format, Limits, Upload

Decoder = Callable[[Upload, Format, Limits], Gray]
_DECODERS: Final[Mapping[Format, Decoder]] = {
    "JPEG": read_picture,
    "PNG": read_picture,
    "TIFF": read_picture,
    "BMP": read_picture,
}


def decode(data: Upload, limits: Limits, body_parts: Iterable[str] = ()) -> Radiograph:
    """Decodes the radiograph in ``data``, a whole file; thread-safe, needs no event loop.

    Args:
        body_parts: further words in a DICOM header's Body Part Examined that mean the chest.

    Raises:
        EmptyFile: no bytes.
        UnsupportedFormat: a format that this service does not read.
        ImageTooLarge, ImageTooSmall: by the size its header declares.
        UnreadableImage: damaged, cut off, with several pages, or of an unsupported kind.
        UnsupportedDicom: a DICOM object that is no single gray radiograph, or has an unsupported transfer syntax.
    """
    if not data:
        raise EmptyFile("The upload has no bytes")
    kind = sniff(data)
    sha256 = hashlib.sha256(data).hexdigest()
    if kind == "DICOM":
        found = read_dicom(data, limits, body_parts)
        return Radiograph(found.pixels, kind, sha256, found.source, found.flags, found.shown)
    return Radiograph(_DECODERS[kind](data, kind, limits), kind, sha256)
