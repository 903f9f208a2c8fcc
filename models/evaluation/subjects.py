"""What an acceptance judges: a pair of weights, or anything else that can analyse a case."""

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
        description: what the report says about it, by label.
        analyse: from a case to its analysis; the same case always gives the same.
        parallel: how many cases it may be given at a time.
    """

    description: Mapping[str, str]
    analyse: Callable[[Case], Analysed]
    parallel: int = 1

    def described(self, **labels: str) -> "Subject":
        """The same with more labels, which come first."""
        return replace(self, description={**labels, **self.description})

    @classmethod
    def of_workflow(cls, workflow: Workflow) -> "Subject":
        """A subject that runs the networks in this process."""
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
