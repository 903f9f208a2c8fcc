"""Judges a pair against people, and writes the reference that sites are compared with."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from models import evaluation
from models.evaluation.precisions import Difference, compare
from models.pack import Case, Pack
from models.precision import FASTEST_FIRST, Precision, form_of
from models.runtime import converted
from models.runtime.openvino import supported_precisions
from models.runtime.stage import Stage
from models.training.commands.arguments import Commands, add_command, add_pack, add_weights, load_stage
from models.training.reference import is_judged_adult, record_reference
from models.weights.cards import Judged, Role, read_card, write_card
from models.workflow import Workflow

_ROLES: tuple[Role, ...] = ("lungs", "disease")


def add(commands: Commands) -> None:
    """Adds the commands."""
    record = add_command(commands, "record", "write the figures of a split into both cards", _record)
    add_pack(record)
    add_weights(record, *_ROLES)
    record.add_argument("--split", default="val", help="split of the pack's table")

    quantized = add_command(commands, "quantize", "write the int8 form of a stage's weights beside them", _quantize)
    quantized.add_argument("role", choices=_ROLES)
    add_pack(quantized)
    add_weights(quantized, *_ROLES)
    quantized.add_argument("--split", default="train", help="split of the pack's table")
    quantized.add_argument("--seed", type=int, default=0, help="seed of the choice of radiographs")

    precisions = add_command(
        commands, "precisions", "write into both cards what other number formats cost", _precisions
    )
    add_pack(precisions)
    add_weights(precisions, *_ROLES)
    precisions.add_argument("--split", default="val", help="split of the pack's table")

    reference = add_command(
        commands, "reference", "write into both cards what a site's radiographs are compared with", _reference
    )
    add_pack(reference)
    add_weights(reference, *_ROLES)
    reference.add_argument("--split", default="train", help="split of the pack's table; all: every radiograph")
    reference.add_argument(
        "--adults",
        action="store_true",
        help="leave out children, and COVID-19 radiographs that nobody scored or drew on",
    )


def _record(options: argparse.Namespace) -> int:
    """Writes each stage's figures into its card."""
    _, lines = _judged(_workflow(options), Pack(*options.data).split(options.split))
    for role in _ROLES:
        weights = getattr(options, role)
        card = read_card(weights)
        found = _values(line for line in lines if line.role == role)
        write_card(weights, card.model_copy(update={"metrics": {**card.metrics, options.split: found}}))
    sys.stdout.write(f"{evaluation.table(lines)}\n")
    return 0


def _quantize(options: argparse.Namespace) -> int:
    from models.runtime.conversion import convert
    from models.training.quantization import draw, quantize
    from models.weights.checkpoints import load_checkpoint

    weights = getattr(options, options.role)
    network, card = load_checkpoint(weights, options.role)
    cases = draw(Pack(*options.data).split(options.split), options.seed)
    model = quantize(convert(network, card.input_size), _workflow(options), options.role, cases)
    digest = converted.keep(model, converted.beside(weights, "int8"), card)
    write_card(weights, card.model_copy(update={"forms": {**card.forms, "int8": digest}}))
    return 0


def _precisions(options: argparse.Namespace) -> int:
    """Judges one stage at a time in each format that this processor has and the weights have a form for.

    Radiographs with drawn disease count whatever their split: formats are compared here, not networks with people,
    and a split has few masks.
    """
    pack = Pack(*options.data)
    cases = list({case.id: case for case in (*pack.split(options.split), *filter(_is_drawn_on, pack))}.values())
    whole = _workflow(options)
    exact = _judged(whole, cases)
    sys.stdout.write(f"float32: {json.dumps(_values(exact[1]))}\n")
    for role in _ROLES:
        weights = getattr(options, role)
        found: dict[Precision, Judged] = {}
        for precision in FASTEST_FIRST:
            if precision == "float32" or precision not in supported_precisions():
                continue
            if form_of(precision) == "int8" and not converted.beside(weights, "int8").is_file():
                continue
            stage = Stage.load(weights, role=role, precision=precision)
            pair = (stage, whole.disease) if role == "lungs" else (whole.lungs, stage)
            other = _judged(Workflow(*pair), cases)
            difference = compare(exact, other)
            metrics = _values(other[1]) | _rounded(difference)
            found[precision] = Judged(holds=not difference.worse, metrics=metrics)
            sys.stdout.write(f"{role} {precision}: {json.dumps(metrics)}\n")
        write_card(weights, read_card(weights).model_copy(update={"precisions": found}))
    lungs, disease = (Stage.load(getattr(options, role), role=role, precision="auto") for role in _ROLES)
    both = _judged(Workflow(lungs, disease), cases)
    metrics = _values(both[1]) | _rounded(compare(exact, both))
    sys.stdout.write(f"both as auto chooses: {json.dumps(metrics)}\n")
    return 0


def _is_drawn_on(case: Case) -> bool:
    return case.has_disease


def _judged(workflow: Workflow, cases: Sequence[Case]) -> tuple[list[evaluation.Result], list[evaluation.Figure]]:
    results = evaluation.evaluate(lambda case: workflow.analyse(case.pixels, uncertainty=True), cases)
    return results, evaluation.figures(results)


def _values(lines: Iterable[evaluation.Figure]) -> dict[str, object]:
    """The figures as a card keeps them."""
    return {line.name: round(line.value, 4) for line in lines}


def _rounded(difference: Difference) -> dict[str, object]:
    names = {"count": "radiographs", "scores": "scores that differ from float32's", "worse": "worse than is allowed"}
    names |= {"median": "largest move of a share, median", "most": "largest move of a share, 95th percentile"}
    return {
        names[name]: round(value, 4) if isinstance(value, float) else value
        for name, value in asdict(difference).items()
    }


def _reference(options: argparse.Namespace) -> int:
    cases = [case for case in Pack(*options.data).split(options.split) if not options.adults or is_judged_adult(case)]
    record_reference(_workflow(options), cases, options.lungs, options.disease)
    return 0


def _workflow(options: argparse.Namespace) -> Workflow:
    return Workflow(load_stage(options, "lungs"), load_stage(options, "disease"))
