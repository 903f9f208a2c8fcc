"""DICOM for the fuzzer: the phantom in every transfer syntax, and edits of elements, fragments and codestreams."""

import struct
import zlib
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from benchmarks.robustness.structures import EDITORS, ByteOrder, edit_jpeg, number, scramble
from tests.support.dicoms import MAX_BITS, NATIVE, SYNTAXES, dicom, table

_START: Final = 132
_LONG: Final = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_VRS: Final = (*_LONG, b"US", b"SS", b"UL", b"CS", b"DS", b"IS", b"LO", b"PN", b"UI", b"AT", b"FD", b"ZZ", b"\0\0")
_PIXELS: Final = 0x7FE00010
_PIXEL_TAGS: Final = frozenset(range(0x00280000, 0x00290000))
_TAGS: Final = (0x00020010, 0x00080005, 0x00080016, 0x00080060, 0x00182010, 0x00283000, 0x00283010, 0x60003000, _PIXELS)
_TEXTS: Final = (
    b"",
    b"-1",
    b"0",
    b"1e308",
    b"1e999",
    b"nan",
    b"MONOCHROME1",
    b"PALETTE COLOR",
    b"RGB",
    b"\\" * 9,
    b"\xff\xfe",
)
_NESTED: Final = (2, 30, 300, 3000)
_REPEATS: Final = (2, 10, 300, 3000, 30_000)
Element = tuple[int, bytes, bytes, bool]
"""Tag, VR, value, and whether its length is undefined."""


def dicom_seeds(gray: NDArray[np.uint8]) -> dict[str, bytes]:
    """By name: each transfer syntax with 8 bits and with as many as it can hold, and each way to gray."""
    deep, twelve = gray.astype(np.uint16) * 257, np.rint(gray * (4095 / 255)).astype(np.uint16)
    seeds = {}
    for syntax in SYNTAXES:
        name = uid.UID(syntax).keyword
        seeds[f"DICOM {name} 8 bit"] = dicom(gray, syntax)
        if MAX_BITS.get(syntax, 16) > 8:
            seeds[f"DICOM {name} 12 bit"] = dicom(twelve, syntax, 12)
        if syntax in NATIVE[:3]:
            seeds[f"DICOM {name} bare"] = dicom(twelve, syntax, 12, preamble=False)
    seeds["DICOM signed"] = dicom(
        (deep.astype(np.int32) - 32768).astype(np.int16), RescaleIntercept=32768, RescaleSlope=1
    )
    seeds["DICOM window"] = dicom(twelve, bits=12, WindowCenter=2048, WindowWidth=4096, VOILUTFunction="SIGMOID")
    seeds["DICOM inverse"] = dicom(
        255 - gray, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE", PixelPaddingValue=0
    )
    ramp = np.arange(4096)
    seeds["DICOM tables"] = dicom(
        twelve, bits=12, ModalityLUTSequence=table(ramp, 0, 12), VOILUTSequence=table(ramp * 16, 0, 16)
    )
    palette: dict[str, Any] = {}
    for colour in ("Red", "Green", "Blue"):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"{colour}PaletteColorLookupTableData"] = (np.arange(256) * 257).astype("<u2").tobytes()
    seeds["DICOM palette"] = dicom(gray, PhotometricInterpretation="PALETTE COLOR", **palette)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399348003", "SCT", "antero-posterior"
    nested = Dataset()
    nested.AnatomicRegionSequence = Sequence([code])
    seeds["DICOM sequences"] = dicom(
        gray, ViewCodeSequence=Sequence([code]), RequestAttributesSequence=Sequence([nested])
    )
    return seeds


def edit_dicom(data: bytes, rng: Random) -> bytes:
    """Edits of the header's elements, of what encapsulates the pixels, and of the codestream within."""
    start = _meta_end(data)
    syntax = _syntax(data[:start])
    body = data[start:]
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        try:
            body = zlib.decompressobj(-15).decompress(body, 4 << 20)
        except zlib.error:
            return scramble(data, rng)
    order: ByteOrder = "big" if syntax == uid.ExplicitVRBigEndian else "little"
    implicit = syntax == uid.ImplicitVRLittleEndian
    elements = _split(body, order, implicit)
    if not elements:
        return scramble(data, rng)
    elements = _edited(elements, order, rng)
    joined = b"".join(_joined(element, order, implicit, rng) for element in elements)
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        packer = zlib.compressobj(rng.choice((1, 9)), zlib.DEFLATED, -15)
        joined = packer.compress(joined) + packer.flush()
    return data[:start] + joined


def _meta_end(data: bytes) -> int:
    return _START + 12 + int.from_bytes(data[140:144], "little")


def _syntax(meta: bytes) -> str:
    at = meta.find(b"\x02\0\x10\0UI")
    length = int.from_bytes(meta[at + 6 : at + 8], "little")
    return meta[at + 8 : at + 8 + length].strip(b"\0 ").decode("latin-1") if at >= 0 else ""


def _split(body: bytes, order: ByteOrder, implicit: bool) -> list[Element]:
    """The elements of a data set; an undefined length takes all that is left."""
    elements, place = [], 0
    while place + 8 <= len(body):
        group, number_in_group = (int.from_bytes(body[at : at + 2], order) for at in (place, place + 2))
        vr = b"" if implicit else body[place + 4 : place + 6]
        if implicit or vr in _LONG:
            at = place + (4 if implicit else 8)
            length, place = int.from_bytes(body[at : at + 4], order), at + 4
        else:
            length, place = int.from_bytes(body[place + 6 : place + 8], order), place + 8
        undefined = length == 0xFFFFFFFF
        end = len(body) if undefined else place + length
        elements.append((group << 16 | number_in_group, vr, body[place:end], undefined))
        place = end
    return elements


def _joined(element: Element, order: ByteOrder, implicit: bool, rng: Random) -> bytes:
    """An element's bytes; its length is wrong now and then."""
    tag, vr, value, undefined = element
    head = (tag >> 16 & 0xFFFF).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order)
    length = 0xFFFFFFFF if undefined else len(value)
    if rng.random() < 0.004:
        length = number(rng, 4, length)
    if implicit:
        return head + length.to_bytes(4, order) + value
    if vr in _LONG:
        return head + vr + b"\0\0" + length.to_bytes(4, order) + value
    return head + vr + (length & 0xFFFF).to_bytes(2, order) + value


def _edited(elements: list[Element], order: ByteOrder, rng: Random) -> list[Element]:
    pixels = next((place for place, element in enumerate(elements) if element[0] == _PIXELS), None)
    if pixels is not None and rng.random() < 0.4:
        tag, vr, value, undefined = elements[pixels]
        elements[pixels] = (tag, vr, _edit_pixels(value, rng) if undefined else scramble(value, rng), undefined)
        return elements
    which = rng.randrange(len(elements))
    described = [place for place, element in enumerate(elements) if element[0] in _PIXEL_TAGS]
    if described and rng.random() < 0.5:
        which = rng.choice(described)
    tag, vr, value, undefined = elements[which]
    match rng.randrange(9):
        case 0 | 1:
            value = number(rng, 2, int.from_bytes(value[:2], order)).to_bytes(2, order) + value[2:]
        case 2:
            value = scramble(value, rng)
        case 3:
            value = rng.choice(_TEXTS)
        case 4:
            vr = rng.choice(_VRS)
        case 5:
            tag = rng.choice((*_TAGS, tag ^ 1 << rng.randrange(32)))
        case 6:
            repeats = min(rng.choice(_REPEATS), (2 << 20) // (len(value) + 12))
            more = [((tag + step) & 0xFFFFFFFF, vr, value, undefined) for step in range(repeats)]
            return elements[:which] + more + elements[which:]
        case 7:
            depth = rng.choice(_NESTED)
            value = _nested(value, depth, order, rng.random() < 0.5)
            vr, undefined = b"SQ", True
        case _:
            del elements[which]
            return elements
    elements[which] = (tag, vr, value, undefined)
    return elements


def _nested(value: bytes, depth: int, order: ByteOrder, closed: bool) -> bytes:
    """Sequences of undefined length in each other."""
    item = b"".join((part).to_bytes(2, order) for part in (0xFFFE, 0xE000)) + b"\xff" * 4
    head = (0x0040).to_bytes(2, order) + (0x0275).to_bytes(2, order) + b"SQ\0\0" + b"\xff" * 4
    ends = b"".join((part).to_bytes(2, order) for part in (0xFFFE, 0xE00D)) + bytes(4)
    ends += b"".join((part).to_bytes(2, order) for part in (0xFFFE, 0xE0DD)) + bytes(4)
    return item + (head + item) * depth + value + (ends * (depth + 1) if closed else b"")


def _edit_pixels(value: bytes, rng: Random) -> bytes:
    """Fragments in another way, or the codestream edited and encapsulated anew."""
    fragments, place = [], 0
    while place + 8 <= len(value):
        _, _, length = struct.unpack_from("<HHL", value, place)
        fragments.append(value[place + 8 : place + 8 + length])
        place += 8 + length
    stream = b"".join(fragments[1:])
    if rng.random() < 0.15 or not stream:
        return scramble(value, rng)
    if stream.startswith(b"\xff\xd8"):
        stream = edit_jpeg(stream, rng) if rng.random() < 0.6 else scramble(stream, rng)
    elif stream.startswith(b"\xff\x4f"):
        stream = _edit_jpeg2000(stream, rng)
    elif rng.random() < 0.5:
        changed = bytearray(stream)
        at = 4 * rng.randrange(4)
        changed[at : at + 4] = number(rng, 4, int.from_bytes(stream[at : at + 4], "little")).to_bytes(4, "little")
        stream = bytes(changed)
    else:
        stream = scramble(stream, rng)
    pieces = rng.choice((1, 1, 1, 3, 20))
    if not stream:
        return value
    encapsulated: bytes = encapsulate([stream], fragments_per_frame=min(pieces, max(1, len(stream) // 2)))
    return encapsulated + b"\xfe\xff\xdd\xe0\0\0\0\0"


def _edit_jpeg2000(stream: bytes, rng: Random) -> bytes:
    """Numbers of the main header's segments and of a tile-part's head, or anything."""
    changed = bytearray(stream)
    heads = [stream.find(bytes((0xFF, marker))) for marker in (0x50, 0x51, 0x52, 0x5C, 0x90, 0x93)]
    present = [place for place in heads if place >= 0]
    if rng.random() < 0.4 or not present:
        return scramble(stream, rng)
    size = rng.choice((1, 1, 2, 4))
    at = rng.choice(present) + rng.randrange(2, 44)
    changed[at : at + size] = number(rng, size, int.from_bytes(stream[at : at + size], "big")).to_bytes(size, "big")
    return bytes(changed)


EDITORS[(128, b"DICM")] = edit_dicom
