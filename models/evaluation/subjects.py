"""What an acceptance judges: a pair of weights, or whatever else answers to a case."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from models.evaluation.results import Analysed
from models.pack import Case
from models.runtime.stage import Stage
from models.workflow import Workflow


@dataclass(frozen=True)
class Subject:
    """What is judged.

    Attributes:
        description: what there is to know of it, by label.
        analyse: a case to what is said of it; the same again for the same case.
        parallel: how many cases it may be given at a time.
    """

    description: Mapping[str, str]
    analyse: Callable[[Case], Analysed]
    parallel: int = 1

    def described(self, **labels: str) -> "Subject":
        """The same, with more known of it, which comes first."""
        return replace(self, description={**labels, **self.description})

    @classmethod
    def of_workflow(cls, workflow: Workflow) -> "Subject":
        """The networks in this process."""
        description = {
            "Stage I": _describe(workflow.lungs),
            "Stage II": _describe(workflow.disease),
            "Threshold": f"{workflow.threshold:g}",
        }
        return cls(description, lambda case: workflow.analyse(case.pixels, uncertainty=True))


def _describe(stage: Stage) -> str:
    card = stage.card
    if card is None:
        return f"a network without a card, {stage.input_size} px"
    return f"{card.name}: {card.display_architecture}, {card.encoder}, {card.input_size} px, sha256 {card.sha256}"
