"""DICOM Secondary Capture: the overlay as a picture, for viewers that show no segmentation."""

from typing import Final

import numpy as np
from highdicom.sc import SCImage
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from app.reports.dicom.content import ReportContent
from app.reports.dicom.encoding import encode
from app.reports.schema import NOTICE

SERIES_NUMBER: Final = 9003


def write_capture(content: ReportContent, overlay: NDArray[np.uint8]) -> bytes:
    """Writes the overlay as a DICOM file (PS3.3, section A.8.1), uncompressed, so that every viewer can read it.

    Args:
        overlay: uint8 [h, w, 3], RGB.
    """
    identity, threshold, image = content.identity, content.analysis.threshold, content.header.image
    capture = SCImage(
        pixel_array=overlay,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        # highdicom requires one; it is replaced below by the radiograph's, if that has one.
        patient_orientation=("L", "F"),
        study_instance_uid=image.StudyInstanceUID,
        series_instance_uid=identity.uid("capture", "series", threshold),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.uid("capture", "instance", threshold),
        instance_number=1,
        series_description="Lung severity overlay. Research use only",
        **identity.equipment,
    )
    capture.PatientOrientation = list(content.header.orientation)
    # Both lungs are shown (General Series, PS3.3, section C.7.3.1).
    capture.Laterality = ""
    capture.ConversionType = "WSD"
    capture.BurnedInAnnotation = "YES"
    capture.ImageComments = NOTICE
    _describe_derivation(capture, image)
    return encode(capture, content.header)


def _describe_derivation(capture: Dataset, image: Dataset) -> None:
    """Adds how the capture was derived and from which image (General Image, PS3.3, section C.7.6.1)."""
    capture.DerivationDescription = (
        "Lungs, lung zones, opacity and each zone's diseased share drawn over the radiograph as 8-bit picture, "
        "shrunk to 2048 pixels where larger"
    )
    capture.DerivationCodeSequence = [CodedConcept.from_code(codes.DCM.SegmentationImageDerivation)]
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
    purpose = codes.DCM.SourceImageForImageProcessingOperation
    reference.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(purpose)]
    capture.SourceImageSequence = [reference]
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if keyword in image:
            capture[keyword] = image[keyword]
