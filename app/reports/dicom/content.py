"""One analysed radiograph, as the writers of reports take it."""

from dataclasses import dataclass

from app.reports.dicom.header import ReportHeader
from app.reports.dicom.identity import Identity
from app.reports.schema import Models
from models.analysis import Analysis


@dataclass(frozen=True, slots=True, eq=False)
class ReportContent:
    """What a report is made of.

    Attributes:
        header: of the radiograph.
        identity: from which UIDs are derived.
    """

    header: ReportHeader
    analysis: Analysis
    identity: Identity

    @property
    def models(self) -> Models:
        """Which weights answered."""
        return self.identity.models
