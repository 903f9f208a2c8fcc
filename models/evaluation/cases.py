"""The table of an acceptance's result for each radiograph, and the paired comparison of two such tables."""

import csv
from collections.abc import Callable, Mapping, Sequence
from math import isfinite, nan
from pathlib import Path
from typing import Final

from models.anatomy.severity import ZONES
from models.evaluation.agreement import mean_estimate
from models.evaluation.results import Result
from models.evaluation.tables import markdown
from models.pack import PackError

COLUMNS: Final = (
    "radiograph",
    "score",
    "consensus",
    *ZONES,
    "threshold",
    "diseased_share",
    "lungs_dice",
    "disease_dice",
    "flags",
)
_FIGURES: Final[Mapping[str, Callable[[Mapping[str, float]], float]]] = {
    "score": lambda case: case["score"],
    "severity error": lambda case: abs(case["score"] - case["consensus"]),
    "diseased share": lambda case: case["diseased_share"],
    "lungs, Dice": lambda case: case["lungs_dice"],
    "disease, Dice": lambda case: case["disease_dice"],
}
"""The figures of each radiograph that are compared."""

Cases = Mapping[str, Mapping[str, float]]
"""By radiograph, its numbers by column; NaN where there is none."""


def write_cases(path: Path, results: Sequence[Result]) -> None:
    """Writes one row per radiograph, in the results' order; unknown values are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in results:
            numbers = (
                one.score,
                one.case.score,
                *one.shares,
                one.threshold,
                one.diseased_share,
                one.lung_dice,
                one.disease_dice,
            )
            writer.writerow([one.case.id, *map(_cell, numbers), ";".join(one.flags)])


def read_cases(path: Path) -> Cases:
    """Reads what ``write_cases`` wrote.

    Raises:
        PackError: the file is not such a table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != COLUMNS:
                raise PackError(f"{path}: expected the columns {', '.join(COLUMNS)}")
            return {row["radiograph"]: {name: float(row[name] or nan) for name in COLUMNS[1:-1]} for row in rows}
    except (OSError, ValueError) as error:
        raise PackError(f"{path}: {error}") from error


def compared(first: Cases, second: Cases, resamples: int, seed: int) -> str:
    """Markdown: the mean of each figure over the radiographs that have it in both tables, and of its difference.

    Raises:
        PackError: they have no radiograph in common.
    """
    both = [(first[name], second[name]) for name in first if name in second]
    if not both:
        raise PackError("the two tables have no radiograph in common")
    rows = []
    for name, figure in _FIGURES.items():
        pairs = [(figure(one), figure(other)) for one, other in both]
        known = [pair for pair in pairs if all(map(isfinite, pair))]
        if known:
            columns = ([one for one, _ in known], [other for _, other in known], [other - one for one, other in known])
            rows.append(
                (name, str(len(known)), *(mean_estimate(values, resamples, seed).text(3) for values in columns))
            )
    scores = [(one["score"], other["score"]) for one, other in both]
    scored = [pair for pair in scores if all(map(isfinite, pair))]
    said = (
        f"{len(both)} radiographs in both tables; {sum(one == other for one, other in scored)} of {len(scored)} "
        f"that both scored have the same score; {len(scores) - len(scored)} have none in one or both."
    )
    return f"{said}\n\n{markdown(('mean, 95 % interval', 'n', 'first', 'second', 'second less first'), rows)}"


def _cell(value: float | None) -> str:
    return "" if value is None or not isfinite(value) else f"{value:.6g}"
