"""The input of the DICOM writers: one analysed radiograph."""

from dataclasses import dataclass

from app.reports.dicom.header import ReportHeader
from app.reports.dicom.identity import Identity
from app.reports.schema import Models
from models.analysis import Analysis


@dataclass(frozen=True, slots=True, eq=False)
class ReportContent:
    """Everything that a report is made from.

    Attributes:
        header: what the report takes over from the radiograph's header.
        identity: the source of the report's UIDs.
    """

    header: ReportHeader
    analysis: Analysis
    identity: Identity

    @property
    def models(self) -> Models:
        """The weights that answered."""
        return self.identity.models
