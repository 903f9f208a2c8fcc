"""One analysed radiograph, as the writers of reports take it."""

from dataclasses import dataclass

from app.reports.dicom.coding import readable
from app.reports.dicom.header import Header
from app.reports.dicom.identity import Identity
from app.reports.schema import Models
from models.analysis import Analysis
from models.quality import MIRRORED, refusal_reasons
from models.severity import MAX_SCORE


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
            doubt = ". Perhaps mirrored: right and left may be exchanged" if MIRRORED in analysis.flags else ""
            return f"Lung severity score {analysis.score} of {MAX_SCORE}{doubt}"
        return f"No score is given. {', '.join(map(readable, self.refusals))}".rstrip()

    @property
    def refusals(self) -> tuple[str, ...]:
        """The flags for which there is no score; none where there is one."""
        return refusal_reasons(self.analysis.flags) if self.analysis.score is None else ()

    @property
    def models(self) -> Models:
        """Which weights answered."""
        return self.identity.models
