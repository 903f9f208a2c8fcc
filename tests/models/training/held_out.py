"""What a cross-validation's networks might have said, and an operating point."""

from collections.abc import Sequence

from models.evaluation.groups import GROUPS
from models.pack import Case
from models.training.crossvalidation import SHIFTS, Choice, HeldOut


def seen_at(
    case: Case,
    shares: Sequence[tuple[float, ...]],
    dice: float | None = None,
    label: float | None = None,
    fold: int = 0,
) -> HeldOut:
    """A held-out radiograph with its six shares at each shift; the lungs' share is the mean of the zones'."""
    diseased = tuple(sum(zones) / len(zones) for zones in shares)
    overlaps = () if dice is None else (dice,) * len(SHIFTS)
    return HeldOut(case, tuple(shares), diseased, overlaps, label, fold)


def a_choice(shift: float = 0.75, threshold: float = 0.22, label_shift: float = 0.0) -> Choice:
    """An operating point with figures of no importance."""
    return Choice(
        shift=shift,
        label_shift=label_shift,
        threshold=threshold,
        covid=0.7,
        mixture=0.3,
        adults=0.04,
        adults_over=0.03,
        bedside=0.8,
        children=0.01,
        against_normal=0.96,
        against_other=0.8,
        dice=0.65,
        masked=3,
        counts=dict.fromkeys(GROUPS, 5),
    )
