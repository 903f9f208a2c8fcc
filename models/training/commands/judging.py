"""A pair judged against people, and the reference that sites are held against."""

import argparse
import sys
from collections.abc import Sequence

from models import evaluation
from models.cards import Role
from models.checkpoints import read_card
from models.pack import Pack
from models.training.commands.arguments import Commands, add_command, add_pack, add_weights, load_stage
from models.training.reference import is_judged_adult, record_reference
from models.workflow import Workflow

_ROLES: tuple[Role, ...] = ("lungs", "disease")


def add(commands: Commands) -> None:
    """Adds the commands."""
    evaluate = add_command(commands, "evaluate", "the whole workflow against people and published systems", _evaluate)
    add_pack(evaluate)
    add_weights(evaluate, *_ROLES)
    evaluate.add_argument("--split", choices=("train", "val", "test", "all"), default="val")
    evaluate.add_argument("--threshold", type=float, help="instead of the card's")
    evaluate.add_argument("--check", action="store_true", help="exit with 1 when a figure is worse than it was")
    evaluate.add_argument("--record", action="store_true", help="write the figures into both cards")

    reference = add_command(
        commands, "reference", "write into both cards what a site's radiographs are held against", _reference
    )
    add_pack(reference)
    add_weights(reference, *_ROLES)
    reference.add_argument("--split", default="train", help="of the pack's table; all: every radiograph")
    reference.add_argument(
        "--adults",
        action="store_true",
        help="leave out children, and COVID-19 radiographs that nobody scored or drew on",
    )


def _evaluate(options: argparse.Namespace) -> int:
    workflow = _workflow(options, options.threshold)
    cases = Pack(*options.data).split(options.split)
    results = evaluation.evaluate(lambda case: workflow.analyse(case.pixels, uncertainty=True), cases)
    lines = evaluation.figures(results)
    if options.record:
        _record(options, lines)
    if workflow.disease.card is not None:
        lines += evaluation.cross_validated(workflow.disease.card.metrics)
    sys.stdout.write(f"{len(cases)} radiographs of split '{options.split}', threshold {workflow.threshold}\n\n")
    sys.stdout.write(f"{evaluation.table(lines)}\n")
    return 0 if all(line.holds for line in lines) or not options.check else 1


def _record(options: argparse.Namespace, lines: Sequence[evaluation.Figure]) -> None:
    """Writes the split's figures into both cards: each gets its stage's."""
    for role in _ROLES:
        weights = getattr(options, role)
        card = read_card(weights)
        found = {line.name: round(line.value, 4) for line in lines if line.role == role}
        updated = card.model_copy(update={"metrics": {**card.metrics, options.split: found}})
        weights.with_suffix(".json").write_text(updated.to_json(), encoding="utf-8")


def _reference(options: argparse.Namespace) -> int:
    cases = [case for case in Pack(*options.data).split(options.split) if not options.adults or is_judged_adult(case)]
    record_reference(_workflow(options), cases, options.lungs, options.disease)
    return 0


def _workflow(options: argparse.Namespace, threshold: float | None = None) -> Workflow:
    return Workflow(load_stage(options, "lungs"), load_stage(options, "disease"), threshold=threshold)
