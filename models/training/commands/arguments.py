"""What the commands have in common."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch

from models.runtime.stage import Stage
from models.training.recipes import ENCODER
from models.training.runs import LICENCE, TRAINING_DATA, Origin, Run
from models.weights import default_weights
from models.weights.cards import Role

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands, name: str, text: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Adds a command that runs ``run``, with ``--device``."""
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return command


def add_pack(command: argparse.ArgumentParser) -> None:
    """Adds ``--data``."""
    command.add_argument("--data", type=Path, nargs="+", required=True, help="folders of the radiograph packs")


def add_weights(command: argparse.ArgumentParser, *roles: Role) -> None:
    """Adds an option for each stage's weights, with the embedded default as its default."""
    for role, stage in (("lungs", "I"), ("disease", "II")):
        if role in roles:
            command.add_argument(f"--{role}", type=Path, default=default_weights(role), help=f"stage {stage}'s weights")


def add_run(command: argparse.ArgumentParser, epochs: int, training_data: str = TRAINING_DATA) -> None:
    """Adds what every training run needs; ``training_data`` goes into the card if the command line names none."""
    command.add_argument("--out", type=Path, required=True, help="folder for the state, the history and the weights")
    command.add_argument("--epochs", type=int, default=epochs)
    command.add_argument("--input-size", type=int, help="pixels, a multiple of 32; else the recipe's")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument(
        "--start",
        type=Path,
        help="weights to continue from, of any network: with their card, or as published; for crossvalidate also the "
        "folder of another cross-validation, whose folds are continued",
    )
    command.add_argument("--encoder-weights", type=Path, help="state dict to start the encoder from")
    command.add_argument("--training-data", default=training_data, help="for the card: what the radiographs are")
    command.add_argument("--licence", default=LICENCE, help="for the card: what may be done with the weights")


def add_recipe(command: argparse.ArgumentParser) -> None:
    """Adds what the embedded default's recipes leave open."""
    command.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate")
    command.add_argument("--encoder", default=ENCODER)


def asked_run(options: argparse.Namespace, input_size: int) -> Run:
    """The run that ``add_run``'s options ask for; ``input_size`` is used if none was given."""
    return Run(
        out=options.out,
        epochs=options.epochs,
        input_size=options.input_size or input_size,
        seed=options.seed,
        device=torch.device(options.device),
        start=options.start,
        encoder_weights=options.encoder_weights,
        origin=Origin(options.training_data, options.licence),
    )


def load_stage(options: argparse.Namespace, role: Role) -> Stage:
    """Loads a stage with the weights that ``add_weights``' options name."""
    return Stage.load(getattr(options, role), role=role, device=options.device)
