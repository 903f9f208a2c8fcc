"""The model card: all that must be known about a weights file to run it, as JSON beside it."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.drift import EDGES
from models.networks import canonical_architecture, check_encoder, display_name
from models.uncertainty import SpreadRule

Role: TypeAlias = Literal["lungs", "disease"]
CropPixels: TypeAlias = Literal["picture", "radiograph"]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _buildable(encoder: str) -> str:
    check_encoder(encoder)
    return encoder


class ModelCard(BaseModel):
    """One network: how to build it, how to feed it, how to read its answer, where it comes from.

    Attributes:
        role: the stage it serves.
        name: what people call it.
        architecture: a key of ``models.networks.ARCHITECTURES``; other spellings are brought to it.
        encoder: a segmentation-models-pytorch encoder name.
        classification_head: whether it answers a label beside the map.
        options: further constructor arguments of the architecture.
        input_size: side of its square input in pixels, a multiple of 32.
        mean: a channel's mean on a scale of 0..1.
        std: a channel's standard deviation on that scale.
        threshold: the diseased share over which a zone counts; None for the lungs.
        min_lung_area: contour area, in pixels at the input size, under which a lung component is dropped;
            None: the usual one.
        crop_pixels: of a disease card, what stage II's crop is cut from: ``picture``, stage I's small one, as
            published, or ``radiograph``, its own pixels.
        spread: of a disease card, how wide the intervals of shares and scores are; None: not measured.
        training_data: what it was fitted on.
        metrics: name -> figure, as measured when it was made.
        reference: how ``models.drift``'s measures are distributed over the radiographs that a site's are held
            against: measure -> cumulative share at each of its edges; empty: against none.
        licence: of the weights.
        sha256: of the weights file, lower-case hexadecimal; None before it is written.
        notes: anything else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    name: str = Field(min_length=1)
    architecture: Annotated[str, AfterValidator(canonical_architecture)]
    encoder: Annotated[str, AfterValidator(_buildable)]
    classification_head: bool = False
    options: dict[str, Any] = Field(default_factory=dict)
    input_size: int = Field(ge=32, le=4096, multiple_of=32)
    mean: tuple[_Finite, _Finite, _Finite]
    std: tuple[_Positive, _Positive, _Positive]
    threshold: float | None = Field(default=None, ge=0, le=1)
    min_lung_area: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    crop_pixels: CropPixels = "picture"
    spread: SpreadRule | None = None
    training_data: str = ""
    metrics: dict[str, Any] = Field(default_factory=dict)
    reference: dict[str, tuple[_Share, ...]] = Field(default_factory=dict)
    licence: str = ""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    notes: str = ""

    @field_validator("reference")
    @classmethod
    def _has_an_entry_for_each_edge(cls, reference: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        for measure, shares in reference.items():
            if len(shares) != len(EDGES) or any(low > high for low, high in pairwise(shares)):
                raise ValueError(f"{measure}: expected {len(EDGES)} shares that never fall")
        return reference

    @model_validator(mode="after")
    def _role_fits(self) -> Self:
        if self.role == "disease" and self.threshold is None:
            raise ValueError("a disease card needs a threshold")
        if self.role == "disease" and self.min_lung_area is not None:
            raise ValueError("min_lung_area belongs to a lungs card")
        if self.role == "lungs" and self.crop_pixels != "picture":
            raise ValueError("crop_pixels belongs to a disease card")
        if self.role == "lungs" and self.spread is not None:
            raise ValueError("spread belongs to a disease card")
        if self.role == "lungs" and self.threshold is not None:
            raise ValueError("threshold belongs to a disease card")
        return self

    @property
    def display_architecture(self) -> str:
        """The paper's spelling of the architecture, such as ``MA-Net``."""
        return display_name(self.architecture)

    def to_json(self) -> str:
        """The card as it stands in its file."""
        return self.model_dump_json(indent=2) + "\n"


def describe_errors(error: ValidationError) -> str:
    """All that is wrong with a card, on one line."""
    parts = []
    for problem in error.errors():
        where = ".".join(str(step) for step in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {what}" if where else what)
    return " ".join("; ".join(parts).split())
