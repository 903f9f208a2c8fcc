"""The JSON of ``/score`` and ``/segment``, defined once for both the answers and OpenAPI."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import Problem
from models.precision import Precision
from models.quality import codes

NOTICE: Final = "Research use only. Not a medical device."

ZoneName = Literal["right_upper", "right_middle", "right_lower", "left_upper", "left_middle", "left_lower"]
Score = Annotated[int, Field(ge=0, le=6)]
Share = Annotated[float, Field(ge=0, le=1)]
Flag = Annotated[str, Field(json_schema_extra={"enum": list(codes.ALL)})]
Code = Annotated[str, Field(json_schema_extra={"enum": sorted(kind.code for kind in Problem.__subclasses__())})]


class _Frozen(BaseModel):
    # Clients must not break on fields that a later version adds, so the schema allows more.
    model_config = ConfigDict(frozen=True)


class Zone(_Frozen):
    """One of the six lung zones, by the patient's side."""

    zone: ZoneName
    share: Share | None = Field(description="diseased share of the zone; null where its lung was not found")
    affected: bool | None = Field(description="share strictly over the threshold; null without a score")
    interval: list[Share] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="least and greatest that the share could be; only with uncertainty=true, as `uncertainty`",
    )


class Quality(_Frozen):
    """Whether the radiograph could be scored, and what speaks against trusting the score."""

    scorable: bool
    flags: list[Flag]


class Dicom(_Frozen):
    """What a DICOM object's header says about the picture; null where it says nothing. No identifiers."""

    view_position: str | None
    laterality: str | None
    patient_orientation: str | None = Field(description="of rows and of columns, such as L\\F")
    body_part: str | None
    presentation_intent: str | None
    burned_in_annotation: str | None
    pixel_spacing: list[float] | None = Field(
        min_length=2, max_length=2, description="millimetres between rows and between columns"
    )
    photometric_interpretation: str | None
    transfer_syntax: str = Field(description="its UID")


class Uncertainty(_Frozen):
    """How far the score could be off."""

    score_range: list[Score] | None = Field(
        min_length=2, max_length=2, description="least and greatest; null without a score"
    )
    coverage: float = Field(
        gt=0, le=1, description="how often the range contained the readers' consensus when this was measured"
    )


class Image(_Frozen):
    """The radiograph as it was received."""

    format: str
    width: int
    height: int
    sha256: str = Field(description="of the uploaded bytes")
    dicom: Dicom | None = Field(None, description="null for other formats")


class Model(_Frozen):
    """One network."""

    name: str
    architecture: str
    encoder: str
    sha256: str | None = Field(description="of the weights file")
    precision: Precision = Field(description="number format of most of its arithmetic")


class Models(_Frozen):
    """The networks and the service that answered."""

    lungs: Model
    disease: Model
    service: str = Field(description="the service's version")
    build: str | None = Field(description="the commit that it was built from; null where that is not known")

    @property
    def version(self) -> str:
        """Version and build in one word."""
        return f"{self.service}+g{self.build}" if self.build else self.service


class Timings(_Frozen):
    """Milliseconds of this request: the wait for the device, each step, and the total."""

    queue: float
    receive: float
    decode: float
    prepare: float
    lungs: float
    between: float
    disease: float
    score: float
    render: float
    total: float


class Picture(_Frozen):
    """A picture; ``data`` is base64."""

    media_type: str
    width: int
    height: int
    data: str


class MaskPicture(_Frozen):
    """A one-channel 0/255 PNG of the radiograph's size, base64, and its outline if asked for."""

    media_type: Literal["image/png"] = "image/png"
    data: str
    contours: list[list[list[int]]] | None = Field(
        None, description="a polygon [[x, y], …] for each component; only with contours=true"
    )


class Masks(_Frozen):
    """Both masks, and the zones' outlines if asked for."""

    lungs: MaskPicture
    disease: MaskPicture
    zones: dict[ZoneName, list[list[list[int]]]] | None = Field(
        None, description="polygons [[x, y], …] of each zone that was found; only with contours=true"
    )


class ScoreReport(_Frozen):
    """Severity of one radiograph."""

    request_id: str
    score: Score | None = Field(description="affected zones; null where the radiograph cannot be scored")
    max_score: Literal[6] = 6
    threshold: Share
    margin: Share | None = Field(description="smallest distance of a share to the threshold; null without a score")
    zones: list[Zone] = Field(min_length=6, max_length=6)
    diseased_share: Share | None = Field(description="diseased area over lung area; null where no lung was found")
    disease_probability: Share | None = Field(description="of the classification head; null without one")
    uncertainty: Uncertainty | None = Field(
        None, description="only with uncertainty=true; null where it was not measured for these weights"
    )
    quality: Quality
    image: Image
    models: Models
    timings_ms: Timings
    overlay: Picture | None = Field(description="the radiograph with its findings; null with overlay=false")
    notice: Literal["Research use only. Not a medical device."] = NOTICE


class SegmentReport(ScoreReport):
    """Severity and masks of one radiograph."""

    masks: Masks
    radiograph: Picture | None = Field(
        None, description="the radiograph itself, gray, at most 2,048 pixels a side; only with radiograph=true"
    )


class ZoneChange(_Frozen):
    """How one zone's share changed."""

    zone: ZoneName
    change: float | None = Field(
        description="later share minus earlier share; null where either radiograph has no score"
    )
    exceeds_repeat: bool | None = Field(
        description="whether each share is outside the other's interval, so that a repeat would not explain the "
        "change; null where an interval is not known"
    )


class Change(_Frozen):
    """What changed from the earlier radiograph to the later one."""

    score: int | None = Field(ge=-6, le=6, description="later minus earlier; null where either radiograph has no score")
    diseased_share: float | None = Field(description="later minus earlier; null where either radiograph has no score")
    zones: list[ZoneChange] = Field(min_length=6, max_length=6)


class ComparisonReport(_Frozen):
    """Two radiographs of one patient; each score is what `/score` gives."""

    request_id: str
    earlier: ScoreReport
    later: ScoreReport
    change: Change
    notice: Literal["Research use only. Not a medical device."] = NOTICE


class ProblemReport(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: Code = Field(description="stable; see docs/api.md for all of them")
    request_id: str
