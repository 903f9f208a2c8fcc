"""``python docs/postman/files.py FOLDER``: the uploads of the Postman collection, made from docs/phantom.png."""

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
)

PHANTOM = Path(__file__).parents[1] / "phantom.png"
ROOT_UID = "1.2.826.0.1.3680043.8.498.5"
"""Of these files only; under pydicom's root."""
DEFAULT_MAX_BYTES = 64 * 1024 * 1024


def main() -> int:
    """Writes the files."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python docs/postman/files.py FOLDER\n")
        return 2
    write_files(Path(sys.argv[1]))
    return 0


def write_files(folder: Path) -> None:
    """Every file that the collection names."""
    folder.mkdir(parents=True, exist_ok=True)
    png = PHANTOM.read_bytes()
    gray = np.asarray(Image.open(PHANTOM).convert("L"))
    (folder / "phantom.png").write_bytes(png)
    (folder / "cut-off.png").write_bytes(png[: len(png) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("No picture.\n")
    (folder / "poster.png").write_bytes(empty_png(16_000, 16_000))
    with (folder / "large.bin").open("wb") as file:
        file.truncate(DEFAULT_MAX_BYTES + 1)
    Image.fromarray(gray).resize((32, 32)).save(folder / "thumbnail.png")
    dicom(gray).save_as(folder / "phantom.dcm", enforce_file_format=True)
    another = dicom(gray)
    another.PatientID = f"{another.PatientID}-2"
    another.save_as(folder / "another-patient.dcm", enforce_file_format=True)
    multi_frame(gray).save_as(folder / "multi-frame.dcm", enforce_file_format=True)


def empty_png(width: int, height: int) -> bytes:
    """An 8-bit gray PNG of that size, pixels, that ends after a few of them."""
    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", size) + _chunk(b"IDAT", zlib.compress(bytes(9))) + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def dicom(gray: np.ndarray) -> Dataset:
    """A digital X-ray image (DICOM PS3.3, A.26) of a frontal chest, uint8 [H, W], air dark."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["ORIGINAL", "PRIMARY", ""]
    image.SOPClassUID = DigitalXRayImageStorageForPresentation
    image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID = (f"{ROOT_UID}.{part}" for part in (1, 2, 3))
    image.StudyDate = image.ContentDate = image.AcquisitionDate = "20260101"
    image.StudyTime = image.ContentTime = image.AcquisitionTime = "120000"
    image.AccessionNumber = image.StudyID = image.ReferringPhysicianName = ""
    image.Modality, image.Manufacturer, image.PresentationIntentType = "DX", "Phantom", "FOR PRESENTATION"
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Phantom^Chest", "PHANTOM", "", "O"
    image.BodyPartExamined, image.ViewPosition, image.PatientOrientation = "CHEST", "PA", ["L", "F"]
    image.ImageLaterality, image.BurnedInAnnotation = "U", "NO"
    image.SeriesNumber = image.InstanceNumber = 1
    image.ImagerPixelSpacing = [0.7, 0.7]
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PresentationLUTShape = 1, "MONOCHROME2", "IDENTITY"
    image.Rows, image.Columns = gray.shape
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LOG", -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
    image.WindowCenter, image.WindowWidth, image.LossyImageCompression = 128, 256, "00"
    image.PixelData = gray.tobytes()
    return image


def multi_frame(gray: np.ndarray) -> Dataset:
    """Two frames in one object, which no radiograph has."""
    image = dicom(gray)
    image.SOPClassUID, image.SOPInstanceUID = MultiFrameGrayscaleByteSecondaryCaptureImageStorage, f"{ROOT_UID}.4"
    image.NumberOfFrames = 2
    image.PixelData = gray.tobytes() * 2
    return image


if __name__ == "__main__":
    sys.exit(main())
