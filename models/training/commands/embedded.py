"""The embedded default: both stages, their operating point and their average."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

from models.anatomy.uncertainty import SpreadRule
from models.pack import Case, Pack
from models.runtime.stage import Stage
from models.training.commands.arguments import (
    Commands,
    add_command,
    add_pack,
    add_recipe,
    add_run,
    add_weights,
    asked_run,
    load_stage,
)
from models.training.crossvalidation import Choice, choose, hold_out, parted
from models.training.emphasis import EMPHASES
from models.training.intervals import COVERAGE, SpreadChoice, choose_spread
from models.training.recipes import average, calibrate_disease, fit_disease, fit_lungs
from models.training.runs import ADULTS_DATA, TRAINING_DATA, Run
from models.weights.cards import Role

INPUT_SIZE = 320


def add(commands: Commands) -> None:
    """Adds the commands."""
    _add_fits(commands)
    _add_finish(commands)


def _add_fits(commands: Commands) -> None:
    lungs = add_command(commands, "lungs", "fit stage I on the drawn lung masks", _lungs)
    add_pack(lungs)
    add_run(lungs, 16)
    add_recipe(lungs)

    disease = add_command(commands, "disease", "fit stage II on masks, zone shares, scores and normals", _disease)
    cross = add_command(
        commands, "crossvalidate", "fit stage II by folds of patients and choose the operating point", _crossvalidate
    )
    cross.add_argument("--folds", type=int, default=3)
    cross.add_argument("--fold", type=int, help="fit, judge and choose by this fold alone, from 0")
    cross.add_argument(
        "--map-alone", action="store_true", help="choose for the map without the head, which then only helps training"
    )
    cross.add_argument("--coverage", type=float, default=COVERAGE, help="coverage of the range of scores, on COVID-19")
    for command in (disease, cross):
        add_pack(command)
        add_run(command, 10, f"{TRAINING_DATA} {ADULTS_DATA}")
        add_recipe(command)
        add_weights(command, "lungs")
        command.add_argument("--batches", type=int, default=60, help="batches per epoch")
        command.add_argument("--threshold", type=float, default=0.3, help="for the card")
        command.add_argument(
            "--head",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="a head that tells whether there is any disease",
        )
        command.add_argument(
            "--emphasis", choices=tuple(EMPHASES), default="outlines", help="what the fit lays weight on"
        )
        command.add_argument("--own-side", type=int, help="cut crops from the radiograph at this side, not stage I's")


def _add_finish(commands: Commands) -> None:
    calibrate = add_command(
        commands, "calibrate", "write the chosen operating point into stage II's weights", _calibrate
    )
    calibrate.add_argument("--weights", type=Path, required=True, help="stage II's weights, as trained")
    calibrate.add_argument("--choice", type=Path, required=True, help="choice.json of crossvalidate")
    calibrate.add_argument("--out", type=Path, required=True, help="file for the calibrated weights")

    mean = add_command(commands, "average", "average two weights, of which the second continued from the first", _mean)
    mean.add_argument("role", choices=get_args(Role))
    mean.add_argument("first", type=Path)
    mean.add_argument("second", type=Path)
    mean.add_argument("--share", type=float, default=0.5, help="share of the second")
    mean.add_argument("--out", type=Path, required=True)


def _lungs(options: argparse.Namespace) -> int:
    cases = Pack(*options.data).split("train")
    return _say(fit_lungs(asked_run(options, INPUT_SIZE), cases, options.rate, options.encoder))


def _disease(options: argparse.Namespace) -> int:
    cases, lungs = Pack(*options.data).split("train"), load_stage(options, "lungs")
    run = asked_run(options, INPUT_SIZE)
    return _say(_fit_disease(options, run, lungs, cases))


def _fit_disease(options: argparse.Namespace, run: Run, lungs: Stage, cases: Sequence[Case]) -> Path:
    return fit_disease(
        run,
        lungs,
        cases,
        options.batches,
        options.threshold,
        options.rate,
        options.encoder,
        options.own_side,
        options.head,
        options.emphasis,
    )


def _crossvalidate(options: argparse.Namespace) -> int:
    lungs, run = load_stage(options, "lungs"), asked_run(options, INPUT_SIZE)

    def fit_fold(number: int, training: Sequence[Case]) -> Path:
        name = f"fold-{number}"
        # A folder of another cross-validation: each fold continues its own weights, which saw none of its patients.
        start = run.start / name / "disease.safetensors" if run.start and run.start.is_dir() else run.start
        inside = replace(run, out=run.out / name, seed=run.seed + number, start=start)
        return _fit_disease(options, inside, lungs, training)

    run.out.mkdir(parents=True, exist_ok=True)
    held_out = hold_out(Pack(*options.data).split("all"), lungs, fit_fold, options.folds, run.out, options.fold)
    if options.map_alone:
        held_out = [replace(item, label=None) for item in held_out]
    choice = choose(held_out)
    intervals = choose_spread(held_out if options.fold is None else parted(held_out), choice, options.coverage)
    found = {"choice": asdict(choice), "intervals": {**asdict(intervals), "rule": intervals.rule.model_dump()}}
    text = json.dumps(found, indent=2)
    (run.out / "choice.json").write_text(f"{text}\n", encoding="utf-8")
    return _say(text)


def _calibrate(options: argparse.Namespace) -> int:
    found = json.loads(options.choice.read_text(encoding="utf-8"))
    intervals = SpreadChoice(**{**found["intervals"], "rule": SpreadRule(**found["intervals"]["rule"])})
    return _say(calibrate_disease(options.weights, options.out, Choice(**found["choice"]), intervals))


def _mean(options: argparse.Namespace) -> int:
    return _say(average(options.role, options.first, options.second, options.share, options.out))


def _say(what: object) -> int:
    sys.stdout.write(f"{what}\n")
    return 0
