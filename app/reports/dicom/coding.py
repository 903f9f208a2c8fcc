"""The codes in reports: from SNOMED CT and DICOM where they exist, else from a private scheme."""

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from app.reports.words import readable

SCHEME: Final = "99CXR"
"""Designators of private schemes begin with 99 (DICOM PS3.16, section 8.2)."""

LUNG: Final = codes.SCT.Lung
RIGHT: Final = codes.SCT.Right
LEFT: Final = codes.SCT.Left
UPPER_ZONE: Final = codes.SCT.UpperZoneOfLung
MIDDLE_ZONE: Final = codes.SCT.MiddleZoneOfLung
LOWER_ZONE: Final = codes.SCT.LowerZoneOfLung
OPACITY: Final = codes.DCM.Opacity
ANATOMY: Final = codes.SCT.AnatomicalStructure
ABNORMALITY: Final = codes.SCT.MorphologicallyAbnormalStructure
ARTIFICIAL_INTELLIGENCE: Final = codes.DCM.ArtificialIntelligence
COMMENT: Final = codes.DCM.Comment
THRESHOLD: Final = codes.DCM.ThresholdValue
CHEST_RADIOGRAPHY: Final = Code("399208008", "SCT", "Plain chest X-ray")
YES: Final = codes.SCT.Yes
NO: Final = codes.SCT.No

ZONES: Final[dict[str, tuple[Code, Code]]] = {
    f"{side}_{level}": (zone, laterality)
    for side, laterality in (("right", RIGHT), ("left", LEFT))
    for level, zone in (("upper", UPPER_ZONE), ("middle", MIDDLE_ZONE), ("lower", LOWER_ZONE))
}
"""Anatomy and laterality of each zone by the patient's side, from top to bottom."""


def _private(value: str, meaning: str) -> Code:
    return Code(value, SCHEME, meaning)


SCORE: Final = _private("severity_score", "Lung severity score, affected zones of six")
ZONE_SHARE: Final = _private("zone_share", "Diseased share of the lung zone's area")
DISEASED_SHARE: Final = _private("diseased_share", "Diseased share of the lungs' area")
MARGIN: Final = _private("margin", "Smallest distance of a zone's share to the threshold")
DISEASE_PROBABILITY: Final = _private("probability", "Probability of disease")
AFFECTED: Final = _private("zone_affected", "Zone's diseased share is over the threshold")
SCORABLE: Final = _private("scorable", "Radiograph can be scored")
REFUSAL: Final = _private("refusal", "Reason why no score is given")
DOUBT: Final = _private("quality_flag", "What speaks against trusting the score")


def flag_code(flag: str) -> CodedConcept:
    """A flag of ``models.quality`` as a concept; a long one gets a Long Code Value (DICOM PS3.3, section 8.1)."""
    return CodedConcept(flag, SCHEME, readable(flag))


def scheme_identification() -> CodingSchemeIdentificationItem:
    """Who maintains the private scheme (DICOM PS3.3, section C.12.1.1, Coding Scheme Identification Sequence)."""
    return CodingSchemeIdentificationItem(
        SCHEME, name="cxr-severity: severity of chest radiographs, docs/api.md", responsible_organization="cxr-severity"
    )
