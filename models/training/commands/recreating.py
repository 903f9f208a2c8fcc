"""Trains the paper's networks by the paper's recipes, and searches for others."""

import argparse
import sys
from typing import get_args

from models.evaluation.tables import markdown
from models.pack import Pack
from models.training.commands.arguments import (
    Commands,
    add_command,
    add_pack,
    add_run,
    add_weights,
    asked_run,
    load_stage,
)
from models.training.presets import EPOCHS, preset
from models.training.published import Sample
from models.training.recreation import make_samples, recreate
from models.weights.cards import Role
from models.weights.networks import ARCHITECTURES

_TUNING_EPOCHS = 16


def add(commands: Commands) -> None:
    """Adds the commands."""
    published = add_command(commands, "published", "fit a network of the paper by the paper's recipe", _published)
    published.add_argument("architecture", help=", ".join(ARCHITECTURES))
    tune = add_command(commands, "tune", "search architecture, encoder, size, losses, optimiser and rate", _tune)
    tune.add_argument("--trials", type=int, default=300)
    tune.add_argument("--encoders", nargs="+", help="instead of the paper's")
    for command, epochs in ((published, EPOCHS), (tune, _TUNING_EPOCHS)):
        command.add_argument("role", choices=get_args(Role))
        add_pack(command)
        add_run(command, epochs)
        add_weights(command, "lungs")


def _published(options: argparse.Namespace) -> int:
    recipe = preset(options.role, options.architecture)
    run = asked_run(options, recipe.configuration.input_size)
    training, validation = _samples(options, run.input_size)
    sys.stdout.write(f"{recreate(recipe, run, training, validation)}\n")
    return 0


def _tune(options: argparse.Namespace) -> int:
    try:
        from models.training import tuning
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        sys.stderr.write("optuna is missing: pip install 'cxr-severity[tuning]'\n")
        return 2
    sizes = [options.input_size] if options.input_size else tuning.SIZES
    run = asked_run(options, sizes[-1])
    training, validation = _samples(options, sizes[-1])
    study = tuning.search(
        options.role, run, training, validation, options.trials, options.encoders or tuning.ENCODERS, sizes
    )
    header, rows = tuning.ranking(study)
    if not rows:
        sys.stderr.write(f"none of {len(study.trials)} trials finished\n")
        return 1
    sys.stdout.write(f"{markdown(header, rows)}\n\n{tuning.best_weights(study, options.role, run.out)}\n")
    return 0


def _samples(options: argparse.Namespace, size: int) -> tuple[list[Sample], list[Sample]]:
    """The samples to train on and to judge by, divided as in the paper."""
    lungs = None if options.role == "lungs" else load_stage(options, "lungs")
    pack = Pack(*options.data)
    training, validation = (make_samples(options.role, pack.split(name), size, lungs) for name in ("train", "val"))
    return training, validation
