"""One analysed radiograph, as the writers of reports take it."""

from dataclasses import dataclass

from app.reports.dicom.coding import readable
from app.reports.dicom.header import Header
from app.reports.dicom.identity import Identity
from app.reports.schema import Models
from models.quality import refusal_reasons
from models.severity import MAX_SCORE
from models.workflow import Analysis


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What a report is made of.

    Attributes:
        header: of the radiograph.
        identity: from which UIDs are derived.
    """

    header: Header
    analysis: Analysis
    identity: Identity

    @property
    def summary(self) -> str:
        """The score in words, or that there is none, and why."""
        analysis = self.analysis
        if analysis.score is not None:
            return f"Lung severity score {analysis.score} of {MAX_SCORE}"
        reasons = [readable(flag) for flag in refusal_reasons(analysis.flags)]
        return f"No score is given. {', '.join(reasons)}".rstrip()

    @property
    def models(self) -> Models:
        """Which weights answered."""
        return self.identity.models
