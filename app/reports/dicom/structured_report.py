"""DICOM Structured Report: score, shares and doubts as a Measurement Report (PS3.16, TID 1500)."""

from copy import deepcopy
from math import isnan
from typing import Final, TypeAlias

from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from app.reports.dicom import coding
from app.reports.dicom.content import ReportContent
from app.reports.dicom.encoding import encode
from app.reports.dicom.identity import PRODUCT, weights_parameters
from app.reports.dicom.segmentation import segment_number
from app.reports.schema import NOTICE
from app.reports.words import describe_zones, readable, refusals, summarise

SERIES_NUMBER: Final = 9002
_PLACES: Final = 4

_Group: TypeAlias = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations


def write_report(content: ReportContent) -> bytes:
    """Writes the report as a DICOM file (Comprehensive 3D SR, PS3.3, section A.35.13).

    One group is about the whole radiograph, and one about each zone, with its segment. A radiograph that cannot be
    scored has only the first group, which says so and why, without measurements.
    """
    identity, threshold = content.identity, content.analysis.threshold
    groups: list[_Group] = [_whole_group(content)]
    evidence = [content.header.image]
    if content.analysis.score is not None:
        groups += [_zone_group(content, zone, share) for zone, share in _shares(content).items()]
        evidence.append(_segmentation_reference(content))
    measurements = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer(content)),
        procedure_reported=coding.CHEST_RADIOGRAPHY,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=[_library_entry(content)],
    )
    report = Comprehensive3DSR(
        evidence=evidence,
        content=measurements,
        series_instance_uid=identity.uid("report", "series", threshold),
        series_number=SERIES_NUMBER,
        sop_instance_uid=identity.uid("report", "instance", threshold),
        instance_number=1,
        is_complete=True,
        series_description="Lung severity score. Research use only",
        coding_schemes=[coding.scheme_identification()],
        **identity.equipment,
    )
    return encode(report, content.header)


def _shares(content: ReportContent) -> dict[str, float]:
    """The shares of the zones whose lung was found, from top to bottom."""
    by_zone = content.analysis.by_zone
    return {zone: by_zone[zone] for zone in coding.ZONES if not isnan(by_zone[zone])}


def _observer(content: ReportContent) -> ObserverContext:
    identity = content.identity
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=identity.device_uid,
            name=f"{PRODUCT} {content.models.version}",
            manufacturer_name=PRODUCT,
            model_name=PRODUCT,
            serial_number=identity.serial_number,
        ),
    )


def _library_entry(content: ReportContent) -> Dataset:
    """The image's entry for the image library (TID 1600).

    An entry for a projection needs both orientation and spacing (TID 1603); without them it gets another modality.
    """
    header = content.header
    entry = deepcopy(header.image)
    if header.orientation and "ImagerPixelSpacing" in header.image:
        entry.PatientOrientation = list(header.orientation)
    else:
        entry.Modality = "OT"
    return entry


def _segmentation_reference(content: ReportContent) -> Dataset:
    reference = Dataset()
    reference.StudyInstanceUID = content.header.image.StudyInstanceUID
    reference.SeriesInstanceUID = content.identity.uid("segmentation", "series")
    reference.SOPInstanceUID = content.identity.uid("segmentation", "instance")
    reference.SOPClassUID = SegmentationStorage
    return reference


def _whole_group(content: ReportContent) -> MeasurementsAndQualitativeEvaluations:
    analysis, image = content.analysis, content.header.image
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_track(content, "lungs"),
        finding_sites=[FindingSite(coding.LUNG, laterality=codes.SCT.Bilateral)],
        algorithm_id=_identify_algorithm(content),
        measurements=_whole_measurements(content),
        qualitative_evaluations=[
            QualitativeEvaluation(coding.SCORABLE, coding.NO if analysis.score is None else coding.YES),
            *(QualitativeEvaluation(_flag_name(flag, content), coding.flag_code(flag)) for flag in analysis.flags),
        ],
        source_images=[SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)],
    )
    group[0].ContentSequence.extend(_comment(text) for text in (summarise(analysis), describe_zones(analysis), NOTICE))
    return group


def _whole_measurements(content: ReportContent) -> list[Measurement]:
    analysis = content.analysis
    if analysis.score is None:
        return []
    shares = (
        (coding.THRESHOLD, analysis.threshold),
        (coding.MARGIN, analysis.margin),
        (coding.DISEASED_SHARE, analysis.diseased_share),
        (coding.DISEASE_PROBABILITY, analysis.disease_probability),
    )
    score = Measurement(coding.SCORE, analysis.score, codes.UCUM.NoUnits)
    return [score, *(_percentage(name, share) for name, share in shares if share is not None)]


def _percentage(name: Code, share: float) -> Measurement:
    return Measurement(name, round(100 * share, _PLACES - 2), codes.UCUM.Percent)


def _flag_name(flag: str, content: ReportContent) -> Code:
    return coding.REFUSAL if flag in refusals(content.analysis) else coding.DOUBT


def _comment(text: str) -> TextContentItem:
    return TextContentItem(coding.COMMENT, text, relationship_type=RelationshipTypeValues.CONTAINS)


def _zone_group(content: ReportContent, zone: str, share: float) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    structure, side = coding.ZONES[zone]
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_track(content, zone),
        referenced_segment=_segment_reference(content, zone),
        finding_sites=[FindingSite(structure, laterality=side)],
        # Its parameters are only in the first group: with them in every group, a report takes half as long again.
        algorithm_id=AlgorithmIdentification(PRODUCT, content.models.version),
        measurements=[_percentage(coding.ZONE_SHARE, share)],
        qualitative_evaluations=[
            QualitativeEvaluation(coding.AFFECTED, coding.YES if content.analysis.affects(share) else coding.NO)
        ],
    )


def _segment_reference(content: ReportContent, segment: str) -> ReferencedSegmentationFrame:
    """A reference to the segment's only frame, which has the segment's number."""
    image = content.header.image
    reference = ReferencedSegmentationFrame(
        sop_class_uid=SegmentationStorage,
        sop_instance_uid=content.identity.uid("segmentation", "instance"),
        frame_number=segment_number(segment),
        segment_number=segment_number(segment),
        source_image=SourceImageForSegmentation(image.SOPClassUID, image.SOPInstanceUID),
    )
    # A reference has a frame or a segment number (PS3.3, section 10.3); this concept needs a frame (PS3.16, TID 1410).
    del reference[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    return reference


def _track(content: ReportContent, what: str) -> TrackingIdentifier:
    return TrackingIdentifier(
        uid=content.identity.uid("report", what, content.analysis.threshold), identifier=readable(what)
    )


def _identify_algorithm(content: ReportContent) -> AlgorithmIdentification:
    """The algorithm, with all parameters on which its results depend."""
    stages = {"lungs": content.models.lungs, "disease": content.models.disease}
    parameters = [
        f"{stage} {name}={value}"
        for stage, model in stages.items()
        for name, value in weights_parameters(model).items()
    ]
    return AlgorithmIdentification(
        name=PRODUCT,
        version=content.models.version,
        parameters=[*parameters, f"threshold={content.analysis.threshold:g}"],
        manufacturer=PRODUCT,
    )
