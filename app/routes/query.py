"""The query parameters of routes that analyse a radiograph."""

from pydantic import BaseModel, ConfigDict, Field

from app.reports.overlay import PictureFormat
from models.analysis import Polarity, Question


class AnalysisQuery(BaseModel):
    """The query parameters of every analysis; any other is refused."""

    model_config = ConfigDict(extra="forbid")

    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="a zone counts when its diseased share is over it; empty: the card's",
    )
    polarity: Polarity = Field("as_is", description="auto: a radiograph that is found inverted is inverted back")

    @property
    def question(self) -> Question:
        """What the workflow is asked."""
        return Question(self.threshold, self.polarity)


class ScoreQuery(AnalysisQuery):
    """Those of ``/score`` and ``/segment``."""

    overlay: bool = Field(True, description="draw the overlay")
    overlay_format: PictureFormat = Field("jpeg", description="how it is encoded")
    uncertainty: bool = Field(False, description="add an interval to each share and a range to the score")

    @property
    def question(self) -> Question:
        """What the workflow is asked."""
        return Question(self.threshold, self.polarity, self.uncertainty)

    @property
    def drawn(self) -> PictureFormat | None:
        """How the overlay is encoded; None: no overlay."""
        return self.overlay_format if self.overlay else None


class SegmentQuery(ScoreQuery):
    """Those of ``/segment``."""

    contours: bool = Field(False, description="add each mask's polygons")
    radiograph: bool = Field(False, description="add the radiograph itself, gray, for a viewer to draw on")
