"""The model card: all that must be known about a weights file to run it, as JSON beside it."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.anatomy.uncertainty import SpreadRule
from models.precision import Form, Precision
from models.quality.drift import EDGES
from models.weights.architectures import canonical_architecture, display_name
from models.weights.files import CheckpointError, read_file, write_file

Role: TypeAlias = Literal["lungs", "disease"]
CropPixels: TypeAlias = Literal["picture", "radiograph"]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Judged(BaseModel):
    """How weights were judged in one number format.

    Attributes:
        holds: their figures against people are within ``models.evaluation.precisions``' limits of float32's.
        threshold: of a disease card, its threshold in this format; None: the card's.
        spread: of a disease card, its intervals in this format; None: the card's.
        metrics: name -> figure, and how many scores and shares differ from float32's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    holds: bool
    threshold: float | None = Field(default=None, ge=0, le=1)
    spread: SpreadRule | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)


class ModelCard(BaseModel):
    """One network: how to build it, how to feed it, how to read its answer, where it comes from.

    Attributes:
        role: the stage it serves.
        name: what people call it.
        architecture: a key of ``models.weights.networks.ARCHITECTURES``; other spellings are turned into it.
        encoder: a segmentation-models-pytorch encoder name.
        classification_head: whether it gives a label besides the map.
        options: further constructor arguments of the architecture.
        input_size: side of its square input in pixels, a multiple of 32.
        mean: a channel's mean on a scale of 0..1.
        std: a channel's standard deviation on that scale.
        threshold: the diseased share over which a zone counts; None for the lungs.
        min_lung_area: contour area, in pixels at the input size, under which a lung component is dropped;
            None: the usual one.
        crop_pixels: of a disease card, what stage II's crop is cut from: ``picture``, stage I's small one, as
            published, or ``radiograph``, the radiograph's own pixels.
        spread: of a disease card, how wide the intervals of shares and scores are; None: not measured.
        training_data: what it was trained on.
        metrics: name -> figure, as measured when it was made.
        precisions: the number formats besides float32 that the weights were judged in.
        forms: converted networks that come with the weights (``models.runtime.converted``): form -> digest.
        reference: distributions of ``models.quality.drift``'s measures that a site's radiographs are compared with:
            measure -> cumulative share at each of its edges; empty: no comparison.
        licence: of the weights.
        sha256: of the weights file, lower-case hexadecimal; None before it is written.
        notes: anything else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    name: str = Field(min_length=1)
    architecture: Annotated[str, AfterValidator(canonical_architecture)]
    encoder: str
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
    precisions: dict[Precision, Judged] = Field(default_factory=dict)
    forms: dict[Form, str] = Field(default_factory=dict)
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

    @property
    def holding(self) -> tuple[Precision, ...]:
        """The number formats besides float32 that ``auto`` may choose for the weights."""
        return tuple(name for name, judged in self.precisions.items() if judged.holds)

    def judged_in(self, precision: Precision) -> "ModelCard":
        """The card with the threshold and intervals of a number format."""
        judged = self.precisions.get(precision)
        if judged is None:
            return self
        own = {"threshold": judged.threshold, "spread": judged.spread}
        return self.model_copy(update={name: value for name, value in own.items() if value is not None})

    def to_json(self) -> str:
        """The text of the card's file."""
        return self.model_dump_json(indent=2) + "\n"


def read_card(weights: Path) -> ModelCard:
    """Reads the card beside a ``.safetensors`` file; it must name the file's sha256. Raises CheckpointError."""
    path = weights.with_suffix(".json")
    card = validated(path, json_object(path))
    if card.sha256 is None:
        raise CheckpointError(path, f"the sha256 of {weights.name}", "a card without one")
    return card


def write_card(weights: Path, card: ModelCard) -> None:
    """Writes the card beside a weights file; raises CheckpointError where it cannot."""
    write_file(weights.with_suffix(".json"), card.to_json().encode())


def card_beside(weights: Path, role: Role) -> ModelCard | None:
    """The card beside a weights file; None if there is none, or only a partial one beside a published file.

    Raises:
        CheckpointError: the card of a ``.safetensors`` file is not valid, or a card is for the other stage.
    """
    path = weights.with_suffix(".json")
    if not path.is_file():
        return None
    if weights.suffix == ".safetensors":
        card = read_card(weights)
    else:
        try:
            card = ModelCard.model_validate(json_object(path))
        except ValidationError:
            return None
        if card.sha256 is None:
            return None
    check_card(weights, card, role, card.sha256)
    return card


def json_object(path: Path) -> dict[str, Any]:
    """The fields in a card's file; raises CheckpointError."""
    text = read_file(path, "the model card of the weights beside it")
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise CheckpointError(path, "a model card in JSON", f"other text ({error})") from error
    if not isinstance(fields, dict):
        raise CheckpointError(path, "a model card (a JSON object)", f"a JSON {type(fields).__name__}")
    return fields


def validated(path: Path, fields: Mapping[str, Any]) -> ModelCard:
    """The card with these fields; ``path`` is for the error, a CheckpointError."""
    try:
        return ModelCard.model_validate(fields)
    except ValidationError as error:
        raise CheckpointError(path, "a valid model card", describe_errors(error)) from error


def check_card(path: Path, card: ModelCard, role: Role, sha256: str | None) -> None:
    """Refuses a card for the other stage or for other bytes; raises CheckpointError."""
    if card.role != role:
        raise CheckpointError(path, f"weights for the role {role!r}", f"weights for {card.role!r}")
    if card.sha256 is not None and card.sha256 != sha256:
        raise CheckpointError(path, f"sha256 {card.sha256} as its card says", f"sha256 {sha256}")


def describe_errors(error: ValidationError) -> str:
    """All that is wrong with a card, on one line."""
    parts = []
    for problem in error.errors():
        where = ".".join(str(step) for step in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {what}" if where else what)
    return " ".join("; ".join(parts).split())
