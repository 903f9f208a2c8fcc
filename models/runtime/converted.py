"""Networks converted for the CPU engine, on disk: two files per network, beside its weights or in a cache."""

import hashlib
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import openvino as ov

from models.precision import Form, Precision, form_of
from models.runtime.openvino import read_model
from models.weights.cards import ModelCard
from models.weights.files import CheckpointError, read_file, write_file

_MADE_FOR: Final = ("cxr", "weights")
"""Where a file says which weights it was made from."""
_BLANKS: Final = re.compile(rb">\s+<")


def beside(weights: Path, form: Form) -> Path:
    """The converted file, such as ``disease.int8.xml`` beside ``disease.safetensors``; its numbers are in ``.bin``."""
    return weights.with_suffix(f".{form}.xml")


def in_cache(folder: Path, card: ModelCard) -> Path:
    """The float form's path in a folder for networks of any weights."""
    return folder / f"{card.sha256}.float.xml"


def holding(weights: Path, card: ModelCard) -> tuple[Precision, ...]:
    """The number formats that ``auto`` may choose for weights; int8 only if its own form is beside them."""
    return tuple(one for one in card.holding if one != "int8" or beside(weights, "int8").is_file())


def find(weights: Path, card: ModelCard, precision: Precision, cache: Path | None) -> ov.Model | None:
    """The converted network for a precision; None if none was made from these weights.

    Args:
        weights: the file that the card belongs to; it need not exist.
        cache: a second folder to look in.

    Raises:
        CheckpointError: the files are damaged, or not those that the card names.
    """
    form = form_of(precision)
    places = [beside(weights, form)]
    if cache is not None and form == "float":
        places.append(in_cache(cache, card))
    for xml in places:
        if xml.is_file():
            model = _read(xml, card.forms.get(form) if xml == places[0] else None)
            if card.sha256 is not None and _made_for(model) == card.sha256:
                return model
    return None


def keep(model: ov.Model, xml: Path, card: ModelCard) -> str:
    """Writes a converted network's two files, each atomically, and returns the digest for its card.

    Args:
        model: its operations lose their names, which are a tenth of the text.

    Raises:
        CheckpointError: they cannot be written.
    """
    model.set_rt_info(str(card.sha256), list(_MADE_FOR))
    for number, operation in enumerate(model.get_ordered_ops()):
        operation.set_friendly_name(str(number))
        for output in operation.outputs():
            output.set_names(set())
    with TemporaryDirectory() as folder:
        saved = Path(folder) / "network.xml"
        ov.save_model(model, saved, compress_to_fp16=True)
        # A quarter of the text is blanks.
        text, numbers = _BLANKS.sub(b"><", saved.read_bytes()), saved.with_suffix(".bin").read_bytes()
    # The numbers first, so that whoever finds the text finds them too.
    write_file(xml.with_suffix(".bin"), numbers)
    write_file(xml, text)
    return _digest(text, numbers)


def _read(xml: Path, digest: str | None) -> ov.Model:
    text, numbers = (read_file(path, "a converted network") for path in (xml, xml.with_suffix(".bin")))
    if digest is not None and digest != _digest(text, numbers):
        raise CheckpointError(xml, f"sha256 {digest} of both files as the card says", "others")
    try:
        return read_model(text, numbers)
    except RuntimeError as error:
        raise CheckpointError(xml, "a converted network", str(error).splitlines()[0][:120]) from error


def _made_for(model: ov.Model) -> str | None:
    return str(model.get_rt_info(list(_MADE_FOR)).value) if model.has_rt_info(list(_MADE_FOR)) else None


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()
