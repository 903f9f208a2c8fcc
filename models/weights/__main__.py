"""``python -m models.weights``: converts weights to the form that the CPU engine runs without PyTorch."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from models.runtime import converted
from models.runtime.conversion import convert
from models.runtime.errors import ConversionError
from models.weights.cards import Role, write_card
from models.weights.checkpoints import load_checkpoint
from models.weights.files import CheckpointError


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line, converts and returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        network, card = load_checkpoint(options.weights, options.role)
        xml = converted.beside(options.weights, "float")
        digest = converted.keep(convert(network, card.input_size), xml, card)
        write_card(options.weights, card.model_copy(update={"forms": {**card.forms, "float": digest}}))
    except (CheckpointError, ConversionError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{xml}, {xml.with_suffix('.bin').name}, {options.weights.with_suffix('.json').name}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.weights", description=__doc__)
    commands = parser.add_subparsers(required=True)
    text = "write a converted network and its complete card beside the weights"
    command = commands.add_parser("convert", help=text, description=text)
    command.add_argument("weights", type=Path, help="a .safetensors file with its card, or a published weights.pth")
    command.add_argument("role", choices=get_args(Role), help="the stage that it serves")
    return parser


if __name__ == "__main__":
    sys.exit(main())
