"""What a site's radiographs are compared with: the distributions of measures over the training radiographs."""

from collections.abc import Iterable
from pathlib import Path

from models.pack import Case
from models.quality.drift import DISEASE_MEASURES, LUNG_MEASURES, reference
from models.weights.cards import read_card, write_card
from models.workflow import Workflow


def is_judged_adult(case: Case) -> bool:
    """Whether a radiograph is not a child's, and more is known about it than a positive test for COVID-19."""
    if case.is_normal:
        return case.is_adult_normal
    return case.label != "COVID-19" or case.score is not None or case.has_disease


def record_reference(workflow: Workflow, cases: Iterable[Case], lungs: Path, disease: Path) -> None:
    """Writes the distributions over ``cases`` into the cards beside both weights.

    Raises:
        CheckpointError: there is no card.
    """
    found = reference(workflow.analyse(case.pixels).measures for case in cases)
    for weights, measures in ((lungs, LUNG_MEASURES), (disease, DISEASE_MEASURES)):
        kept = {name: found[name] for name in measures if name in found}
        card = read_card(weights).model_copy(update={"reference": kept})
        write_card(weights, card)
