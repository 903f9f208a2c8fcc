"""DICOM files made by code, in every transfer syntax that the service reads."""

import io
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.sequence import Sequence

Samples = NDArray[np.uint8] | NDArray[np.uint16]
Encoder = Callable[[Samples, int], bytes]


def _lossless(predictor: int) -> Encoder:
    return lambda samples, bits: bytes(
        imagecodecs.jpeg8_encode(samples, lossless=True, predictor=predictor, bitspersample=bits)
    )


def _dct(samples: Samples, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(samples, 98, bitspersample=bits))


def _rle(samples: Samples, bits: int) -> bytes:
    allocated = 8 * samples.itemsize
    return RLELosslessEncoder.encode(
        samples.astype(samples.dtype.newbyteorder("<")).tobytes(),
        rows=samples.shape[0],
        columns=samples.shape[1],
        samples_per_pixel=1,
        bits_allocated=allocated,
        bits_stored=bits,
        pixel_representation=0,
        number_of_frames=1,
        photometric_interpretation="MONOCHROME2",
        encoding_plugin="pydicom",
    )


def _jpeg_ls(near: int) -> Encoder:
    return lambda samples, bits: bytes(imagecodecs.jpegls_encode(samples, near))


def _jpeg2000(level: int, **options: Any) -> Encoder:
    return lambda samples, bits: bytes(
        imagecodecs.jpeg2k_encode(samples, level, codecformat="j2k", bitspersample=bits, **options)
    )


def _htj2k(**options: Any) -> Encoder:
    return lambda samples, bits: bytes(imagecodecs.htj2k_encode(samples, **options))


ENCODERS: Final[Mapping[str, Encoder]] = {
    uid.RLELossless: _rle,
    uid.JPEGBaseline8Bit: _dct,
    uid.JPEGExtended12Bit: _dct,
    uid.JPEGLossless: _lossless(6),
    uid.JPEGLosslessSV1: _lossless(1),
    uid.JPEGLSLossless: _jpeg_ls(0),
    uid.JPEGLSNearLossless: _jpeg_ls(2),
    uid.JPEG2000Lossless: _jpeg2000(0),
    uid.JPEG2000: _jpeg2000(60, reversible=False),
    uid.HTJ2KLossless: _htj2k(level=0),
    uid.HTJ2KLosslessRPCL: _htj2k(level=0, tlm=True),
    uid.HTJ2K: _htj2k(level=0.0001, reversible=False),
}
NATIVE: Final = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
SYNTAXES: Final[tuple[str, ...]] = (*NATIVE, *ENCODERS)
MAX_BITS: Final[Mapping[str, int]] = {uid.JPEGBaseline8Bit: 8, uid.JPEGExtended12Bit: 12}
"""Of a sample, where the syntax cannot hold 16."""


def header(**elements: Any) -> Dataset:
    """A chest radiograph's header without its pixels; ``elements`` by keyword replace others, None takes one out."""
    dataset = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": uid.DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.1",
        "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.2",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.3",
        "Modality": "DX",
        "PatientName": "Doe^Jane",
        "PatientID": "4711-0815",
        "PatientBirthDate": "19000101",
        "PatientSex": "O",
        "AccessionNumber": "A123",
        "StudyID": "17",
        "StudyDate": "20260101",
        "StudyTime": "120000",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "ReferringPhysicianName": "Roe^Richard",
        "Manufacturer": "phantom",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PatientOrientation": ["L", "F"],
        "ImageLaterality": "U",
        "PresentationIntentType": "FOR PRESENTATION",
        "BurnedInAnnotation": "NO",
        "ImagerPixelSpacing": [0.2, 0.2],
        **elements,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def image_elements(samples: NDArray[Any], bits: int | None = None) -> dict[str, Any]:
    """By keyword, what describes ``samples`` [H, W], and in ``PixelData`` themselves; ``bits`` stored, or all."""
    allocated = 8 * samples.itemsize
    bits = bits or allocated
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": samples.shape[0],
        "Columns": samples.shape[1],
        "BitsAllocated": allocated,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(samples.dtype.kind == "i"),
        "PixelData": samples.tobytes(),
    }


def dicom(
    samples: NDArray[Any],
    syntax: str = uid.ExplicitVRLittleEndian,
    bits: int | None = None,
    pixel_data: bytes | None = None,
    preamble: bool = True,
    **elements: Any,
) -> bytes:
    """A DICOM file of ``samples`` [H, W], integers of 8 or 16 bits.

    Args:
        bits: stored; all that are allocated by default.
        pixel_data: in place of the encoded samples.
        preamble: without it, the file begins with its data set.
        elements: by keyword; None takes one out.
    """
    allocated = 8 * samples.itemsize
    bits = bits or allocated
    dataset = header(**{**image_elements(samples, bits), **elements})
    is_native = syntax in NATIVE
    if pixel_data is None and is_native:
        big_endian = syntax == uid.ExplicitVRBigEndian
        pixel_data = samples.astype(samples.dtype.newbyteorder(">" if big_endian else "<")).tobytes()
        pixel_data += bytes(len(pixel_data) % 2)
    elif pixel_data is None:
        unsigned = samples.view(f"u{samples.itemsize}")
        mask = unsigned.dtype.type((1 << bits) - 1)
        pixel_data = encapsulate([ENCODERS[syntax](np.ascontiguousarray(unsigned & mask), bits)])
    dataset.add_new("PixelData", "OW" if is_native and allocated == 16 else "OB", pixel_data)
    dataset["PixelData"].is_undefined_length = not is_native
    return write(dataset, syntax, preamble)


def write(dataset: Dataset, syntax: str = uid.ExplicitVRLittleEndian, preamble: bool = True) -> bytes:
    """The file of a whole data set."""
    is_implicit, is_little = syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian
    file = io.BytesIO()
    if preamble:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = uid.UID(syntax)
        meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", uid.SecondaryCaptureImageStorage)
        meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
        dataset.file_meta = meta
        dcmwrite(file, dataset, enforce_file_format=True)
    else:
        dcmwrite(file, dataset, implicit_vr=is_implicit, little_endian=is_little)
    return file.getvalue()


def deflated(data: bytes, inflated: bytes) -> bytes:
    """The file ``data`` of a deflated data set with another in its place."""
    start = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return data[:start] + packer.compress(inflated) + packer.flush()


def table(entries: NDArray[Any], first: int, bits: int) -> Sequence:
    """A sequence that holds a lookup table."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return Sequence([item])
