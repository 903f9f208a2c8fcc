"""What the header says: flags, the JSON block, and nothing of the patient."""

from typing import Any

import pytest
from pydicom import Dataset, uid
from pydicom.sequence import Sequence

from app.errors import Problem, UnsupportedDicom
from app.intake import Limits, decode
from app.intake.dicom import read_header
from app.reports.report import report_image
from models import quality
from tests.support.dicoms import dicom, header, write
from tests.support.samples import chest

GRAY = chest()
LIMITS = Limits()


def coded(value: str, scheme: str = "SCT") -> Sequence:
    """A sequence of one code."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "meaning"
    return Sequence([item])


CHESTS = (
    *(
        "Chest",
        "chest pa",
        "CHEST-PA",
        "C H E S T",
        "Tho-rax",
        "Brust",
        "BRUSTKORB",
        "PECHO",
        "Tórax",
        "Peito",
        "POITRINE",
    ),
    *(
        "Petto",
        "TORACE",
        "Borstkas",
        "Lungen",
        "Bröstkorg",
        "Klatka piersiowa",
        "hrudník",
        "pulmões",
        "RX THORAX VERTICAL",
    ),
)


def flags(**elements: Any) -> tuple[str, ...]:
    return decode(dicom(GRAY, **elements), LIMITS).flags


FLAGS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    *(({"ViewPosition": view}, ()) for view in ("PA", "AP", "AP SUPINE", "PA_ERECT")),
    *(
        ({"ViewPosition": view}, (quality.NOT_FRONTAL,))
        for view in ("LL", "RL", "LLO", "RLO", "LLD", "RLD", "LAT", "RAO")
    ),
    *(({"ViewPosition": view}, ()) for view in ("pa", "Ap", "AP-SUPINE", "pa (erect)")),
    *(
        ({"ViewPosition": view}, (quality.NOT_FRONTAL,))
        for view in ("Lateral", "lat", "ll", "L-LAT", "Left Lateral", "LATERAL_R", "Latero-lateral", "lateral decub.")
    ),
    *(({"ViewPosition": view}, (quality.NOT_FRONTAL,)) for view in ("seitlich", "Profil", "perfil izq.", "Boczne")),
    *(({"ViewPosition": view}, (quality.VIEW_UNKNOWN,)) for view in (None, "", "XYZ")),
    ({"ViewPosition": None, "ViewCodeSequence": coded("399348003")}, ()),
    ({"ViewPosition": None, "ViewCodeSequence": coded("R-10214", "SRT")}, ()),
    ({"ViewPosition": None, "ViewCodeSequence": coded("399173006")}, (quality.NOT_FRONTAL,)),
    ({"ViewCodeSequence": coded("399067008")}, (quality.NOT_FRONTAL,)),
    ({"ViewPosition": None, "ViewCodeSequence": coded("17", "99OWN")}, (quality.VIEW_UNKNOWN,)),
    ({"PatientOrientation": ["A", "F"]}, (quality.NOT_FRONTAL,)),
    ({"ViewPosition": None, "PatientOrientation": ["P", "F"]}, (quality.NOT_FRONTAL,)),
    ({"PatientOrientation": ["P", "F"], "ViewPosition": "LL"}, (quality.NOT_FRONTAL,)),
    ({"PatientOrientation": None}, ()),
    ({"PatientOrientation": ["LP", "FA"]}, ()),
    *(
        ({"PatientOrientation": turned}, (quality.ROTATED,))
        for turned in (["R", "H"], ["H", "L"], ["F", "R"], ["R", "F"], ["r", "f"], ["L", "H"])
    ),
    # One of the two may be empty.
    *(({"PatientOrientation": turned}, (quality.ROTATED,)) for turned in (["R", ""], "R", ["", "H"], ["", "L"])),
    *(({"PatientOrientation": upright}, ()) for upright in (["L", ""], "L", ["", "F"], ["", ""], "LEFT", ["l", "f"])),
    ({"PatientOrientation": ["A", ""]}, (quality.NOT_FRONTAL,)),
    *(
        ({"PresentationIntentType": intent}, (quality.FOR_PROCESSING,))
        for intent in ("FOR PROCESSING", "For Processing")
    ),
    ({"SOPClassUID": uid.DigitalXRayImageStorageForProcessing}, (quality.FOR_PROCESSING,)),
    *(({"BodyPartExamined": part}, ()) for part in ("CHEST", "THORAX", "CHEST PA", "LUNG", None, "", "UNKNOWN")),
    *(
        ({"BodyPartExamined": part}, (quality.NOT_CHEST,))
        for part in ("HAND", "SKULL", "ABDOMEN", "THORACICSPINE", "LEG", "C-SPINE", "T-Spine", "hand", "knee, left")
    ),
    *(({"BodyPartExamined": part}, ()) for part in CHESTS),
    *(
        ({"BodyPartExamined": part}, (quality.NOT_CHEST,))
        for part in ("BRUSTWIRBELSAEULE", "COLUNA TORACICA", "Sternum")
    ),
    *(({"BodyPartExamined": part}, ()) for part in ("unknown", "N/A", "-", "***")),
    ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("816094009")}, ()),
    ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("T-D3000", "SRT")}, ()),
    ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("56459004")}, (quality.NOT_CHEST,)),
    ({"BurnedInAnnotation": "YES"}, (quality.BURNED_IN,)),
    ({"BurnedInAnnotation": None}, ()),
    (
        {"BodyPartExamined": "KNEE", "ViewPosition": "LL", "BurnedInAnnotation": "YES"},
        (quality.NOT_CHEST, quality.NOT_FRONTAL, quality.BURNED_IN),
    ),
]


@pytest.mark.parametrize(("elements", "expected"), FLAGS)
def test_flags(elements: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert flags(**elements) == expected


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("ISO_IR 192", "utf-8"), ("GB18030", "gb18030"), ("ISO_IR 144", "iso8859-5"), ("ISO_IR 126", "iso8859-7")],
)
@pytest.mark.parametrize("part", ["胸部", "грудная клетка", "Θώρακας"])
def test_body_parts_in_other_letters(charset: str, codec: str, part: str) -> None:
    try:
        stored = part.encode(codec)
    except UnicodeEncodeError:
        pytest.skip("not among this set's letters")
    data = dicom(
        GRAY, SpecificCharacterSet=charset, PatientName=None, BodyPartExamined="X" * (len(stored) + len(stored) % 2)
    )
    place = data.index(b"XX")
    made = data[:place] + stored.ljust(len(stored) + len(stored) % 2) + data[place + len(stored) + len(stored) % 2 :]
    assert decode(made, LIMITS).flags == ()
    assert decode(data, LIMITS).flags == (quality.NOT_CHEST,)


def test_a_site_adds_its_own_words() -> None:
    data = dicom(GRAY, BodyPartExamined="Kifua-PA")
    assert decode(data, LIMITS).flags == (quality.NOT_CHEST,)
    assert decode(data, LIMITS, ("ki fua", "-")).flags == ()
    assert decode(dicom(GRAY, BodyPartExamined="HAND"), LIMITS, ("KIFUA", "")).flags == (quality.NOT_CHEST,)


def test_laterals_and_other_parts_are_refused_a_score() -> None:
    assert {quality.NOT_CHEST, quality.NOT_FRONTAL} <= quality.REFUSING
    scored = {quality.VIEW_UNKNOWN, quality.BURNED_IN, quality.FOR_PROCESSING, quality.DAMAGED_HEADER}
    assert not scored & quality.REFUSING


def test_the_json_block() -> None:
    image = report_image(decode(dicom(GRAY, PixelSpacing=[0.14, 0.15]), LIMITS))
    assert image.format == "DICOM" and image.dicom is not None
    assert image.dicom.model_dump() == {
        "view_position": "PA",
        "laterality": "U",
        "patient_orientation": "L\\F",
        "body_part": "CHEST",
        "presentation_intent": "FOR PRESENTATION",
        "burned_in_annotation": "NO",
        "pixel_spacing": [0.14, 0.15],
        "photometric_interpretation": "MONOCHROME2",
        "transfer_syntax": uid.ExplicitVRLittleEndian,
    }


def test_the_json_block_of_a_bare_header() -> None:
    bare = dict.fromkeys(("ViewPosition", "ImageLaterality", "PatientOrientation", "BodyPartExamined"))
    bare |= dict.fromkeys(("PresentationIntentType", "BurnedInAnnotation", "ImagerPixelSpacing"))
    image = report_image(decode(dicom(GRAY, preamble=False, **bare), LIMITS))
    assert image.dicom is not None
    found = {name: value for name, value in image.dicom.model_dump().items() if value is not None}
    assert found == {"photometric_interpretation": "MONOCHROME2", "transfer_syntax": uid.ExplicitVRLittleEndian}


def test_nothing_of_the_patient_is_in_the_json_block_or_shown() -> None:
    # A value of more than a code string's letters is not repeated, wherever it stands.
    found = decode(dicom(GRAY, ViewPosition="Doe^Jane", BodyPartExamined="Jane's chest"), LIMITS)
    told = report_image(found).model_dump_json() + repr(found)
    for secret in ("Doe", "Jane", "4711", "A123", "Roe"):
        assert secret not in told


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"Modality": "CT", "SOPClassUID": uid.CTImageStorage}, "CT Image Storage"),
    ({"Modality": "CT", "SOPClassUID": uid.SecondaryCaptureImageStorage}, "modality"),
    ({"Modality": "MG", "SOPClassUID": uid.DigitalMammographyXRayImageStorageForPresentation}, "Mammography"),
    ({"Modality": None, "SOPClassUID": None}, "neither"),
    ({"SOPClassUID": "1.2.3.4"}, "another class"),
    ({"NumberOfFrames": 2}, "several frames"),
    ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}, "colour"),
    ({"PhotometricInterpretation": "YBR_FULL"}, "colour"),
    ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "8 to 16 bits"),
    ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "8 to 16 bits"),
]


@pytest.mark.parametrize(("elements", "said"), REFUSED)
def test_what_is_no_single_gray_radiograph(elements: dict[str, Any], said: str) -> None:
    with pytest.raises(UnsupportedDicom, match=said):
        decode(dicom(GRAY, **elements), LIMITS)


@pytest.mark.parametrize("kind", [uid.ComputedRadiographyImageStorage, uid.SecondaryCaptureImageStorage])
@pytest.mark.parametrize("modality", ["CR", "DX", "OT", "RG", "DR", "cr", "Dx", None])
def test_other_radiographs_are_read(kind: str, modality: str | None) -> None:
    assert flags(SOPClassUID=kind, Modality=modality) == ()


@pytest.mark.parametrize("modality", ["DR", "X-RAY", "MG"])
def test_a_radiographs_class_decides(modality: str) -> None:
    for kind in (uid.ComputedRadiographyImageStorage, uid.DigitalXRayImageStorageForPresentation):
        assert flags(SOPClassUID=kind, Modality=modality) == ()


@pytest.mark.parametrize(
    ("kind", "modality"),
    [
        (uid.GrayscaleSoftcopyPresentationStateStorage, "PR"),
        (uid.ComprehensiveSRStorage, "SR"),
        (uid.SegmentationStorage, "SEG"),
    ],
)
def test_objects_without_a_picture(kind: str, modality: str) -> None:
    with pytest.raises(UnsupportedDicom, match="Storage"):
        decode(write(header(SOPClassUID=kind, Modality=modality)), LIMITS)


def test_details_name_nobody() -> None:
    for elements in (
        {"Modality": "DOE", "SOPClassUID": uid.SecondaryCaptureImageStorage},
        {"SOPClassUID": "1.2.4711"},
        {"PhotometricInterpretation": "DOE"},
        {"Rows": "DOE"},
    ):
        values: dict[str, Any] = {"PatientName": "DOE", **elements}
        rows = values.pop("Rows", None)
        data = dicom(GRAY, **values)
        if rows:
            data = data.replace(b"\x28\0\x10\0US\2\0\x50\0", b"\x28\0\x10\0CS\4\0DOE ")
        with pytest.raises(Problem) as caught:
            decode(data, LIMITS)
        assert "DOE" not in caught.value.detail and "4711" not in caught.value.detail


def test_the_header_of_a_header_alone() -> None:
    source = decode(dicom(GRAY, ImagerPixelSpacing=[-1, 0]), LIMITS).source
    assert source is not None and read_header(source).pixel_spacing is None
