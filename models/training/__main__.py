"""``python -m models.training``: trains the embedded default and the paper's networks on a radiograph pack."""

import argparse
import logging
import sys
from collections.abc import Sequence

from models.pack import PackError
from models.training.commands import distilling, embedded, judging, recreating
from models.training.encoders import StartError
from models.weights.architectures import UnknownNetworkError
from models.weights.files import CheckpointError


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line, runs what it names and returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (CheckpointError, PackError, StartError, UnknownNetworkError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for part in (embedded, recreating, distilling, judging):
        part.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
