"""The query parameters of routes that analyse a radiograph."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from app.reports.bundle import ResultName
from app.reports.fhir import Release
from app.reports.overlay import PictureFormat
from models.analysis import Polarity, Question


def _split(values: object) -> object:
    """Splits the items of a list at their commas."""
    if isinstance(values, list):
        return [word.strip() for value in values for word in str(value).split(",")]
    return values


class AnalysisQuery(BaseModel):
    """The query parameters of every analysis; any other is refused."""

    model_config = ConfigDict(extra="forbid")

    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="a zone counts when its diseased share is over this; empty: the model card's threshold",
    )
    polarity: Polarity = Field("as_is", description="auto: a radiograph that is found inverted is inverted back")

    @property
    def question(self) -> Question:
        """These parameters as the workflow takes them."""
        return Question(self.threshold, self.polarity)


class UncertaintyQuery(AnalysisQuery):
    """The query parameters of routes whose answer has a place for intervals."""

    uncertainty: bool = Field(False, description="add an interval to each share and a range to the score")

    @property
    def question(self) -> Question:
        """These parameters as the workflow takes them."""
        return Question(self.threshold, self.polarity, self.uncertainty)


class FhirQuery(UncertaintyQuery):
    """The query parameters of ``/reports/fhir``."""

    release: Release = Field("R4", description="of FHIR")


class ReportsQuery(UncertaintyQuery):
    """The query parameters of ``/reports``."""

    include: Annotated[list[ResultName], BeforeValidator(_split)] = Field(
        ["seg", "sr", "sc"],
        min_length=1,
        description="which results, repeated or separated by commas: Segmentation, Structured Report, Secondary "
        "Capture, Presentation State, FHIR Bundle, the JSON of /score without its overlay",
    )

    @field_validator("include")
    @classmethod
    def _once(cls, names: list[ResultName]) -> list[ResultName]:
        return list(dict.fromkeys(names))


class ScoreQuery(UncertaintyQuery):
    """The query parameters of ``/score``, which ``/segment`` has too."""

    overlay: bool = Field(True, description="draw the overlay")
    overlay_format: PictureFormat = Field("jpeg", description="how the overlay is encoded")

    @property
    def drawn(self) -> PictureFormat | None:
        """How the overlay is encoded; None: no overlay."""
        return self.overlay_format if self.overlay else None


class CompareQuery(AnalysisQuery):
    """The query parameters of ``/compare``, which always gives intervals."""

    overlay: bool = Field(True, description="draw both overlays")
    overlay_format: PictureFormat = Field("jpeg", description="how the overlays are encoded")

    @property
    def question(self) -> Question:
        """These parameters as the workflow takes them."""
        return Question(self.threshold, self.polarity, uncertainty=True)

    @property
    def drawn(self) -> PictureFormat | None:
        """How the overlays are encoded; None: no overlays."""
        return self.overlay_format if self.overlay else None


class SegmentQuery(ScoreQuery):
    """The query parameters of ``/segment``."""

    contours: bool = Field(False, description="add each mask's polygons")
    radiograph: bool = Field(False, description="add the radiograph itself, gray, for a viewer to draw on")
