"""A pair judged against people, and the reference that sites are held against."""

import argparse
import sys

from models import evaluation
from models.cards import Role, read_card
from models.pack import Pack
from models.training.commands.arguments import Commands, add_command, add_pack, add_weights, load_stage
from models.training.reference import is_judged_adult, record_reference
from models.workflow import Workflow

_ROLES: tuple[Role, ...] = ("lungs", "disease")


def add(commands: Commands) -> None:
    """Adds the commands."""
    record = add_command(commands, "record", "write the figures of a split into both cards", _record)
    add_pack(record)
    add_weights(record, *_ROLES)
    record.add_argument("--split", default="val", help="of the pack's table")

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


def _record(options: argparse.Namespace) -> int:
    """Each card gets its stage's figures."""
    workflow = _workflow(options)
    cases = Pack(*options.data).split(options.split)
    results = evaluation.evaluate(lambda case: workflow.analyse(case.pixels, uncertainty=True), cases)
    lines = evaluation.figures(results)
    for role in _ROLES:
        weights = getattr(options, role)
        card = read_card(weights)
        found = {line.name: round(line.value, 4) for line in lines if line.role == role}
        updated = card.model_copy(update={"metrics": {**card.metrics, options.split: found}})
        weights.with_suffix(".json").write_text(updated.to_json(), encoding="utf-8")
    sys.stdout.write(f"{evaluation.table(lines)}\n")
    return 0


def _reference(options: argparse.Namespace) -> int:
    cases = [case for case in Pack(*options.data).split(options.split) if not options.adults or is_judged_adult(case)]
    record_reference(_workflow(options), cases, options.lungs, options.disease)
    return 0


def _workflow(options: argparse.Namespace) -> Workflow:
    return Workflow(load_stage(options, "lungs"), load_stage(options, "disease"))
