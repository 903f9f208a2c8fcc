"""Trains a small pair on a larger one's answers."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from models.training.commands.arguments import (
    Commands,
    add_command,
    add_recipe,
    add_run,
    add_weights,
    asked_run,
    load_stage,
)
from models.training.commands.embedded import INPUT_SIZE
from models.training.distillation import distil, read_folder, teach_disease, teach_lungs


def add(commands: Commands) -> None:
    """Adds the command."""
    command = add_command(
        commands, "distil", "fit a small pair to a larger one's answers on a folder of radiographs", _distil
    )
    command.add_argument("--images", type=Path, required=True, help="folder of radiographs; they need no drawn masks")
    add_weights(command, "lungs", "disease")
    add_run(command, 12)
    add_recipe(command)


def _distil(options: argparse.Namespace) -> int:
    run, radiographs = asked_run(options, INPUT_SIZE), read_folder(options.images)
    lungs, disease = load_stage(options, "lungs"), load_stage(options, "disease")
    taught = teach_lungs(lungs, radiographs, run.input_size)
    first = distil("lungs", replace(run, out=run.out / "lungs"), taught, options.rate, encoder=options.encoder)
    taught = teach_disease(disease, lungs, radiographs)
    threshold = disease.card.threshold if disease.card else None
    inside = replace(run, out=run.out / "disease")
    second = distil("disease", inside, taught, options.rate, threshold, options.encoder)
    sys.stdout.write(f"{first}\n{second}\n")
    return 0
