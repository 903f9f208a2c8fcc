"""The command line: the published outputs, the networks' costs, acceptance, and two acceptances side by side."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TypeAlias, get_args

from matplotlib.figure import Figure

from models.evaluation import acceptance, bars, cases, complexity, page, plots, publication, sheets, streams
from models.evaluation.agreement import RESAMPLES
from models.evaluation.outputs import SUBSETS, OutputsError, read_outputs
from models.evaluation.subjects import Subject
from models.pack import HELD_OUT, Pack, PackError
from models.precision import Precision
from models.quality.drift import LEAST_COUNT
from models.runtime.device import resolve_device
from models.runtime.errors import DeviceError
from models.runtime.processors import limit_threads
from models.runtime.stage import Stage
from models.weights import default_weights
from models.weights.architectures import UnknownNetworkError, canonical_architecture
from models.weights.cards import Role
from models.weights.files import CheckpointError
from models.weights.networks import ARCHITECTURES
from models.workflow import Workflow

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_ERRORS = (CheckpointError, DeviceError, OutputsError, PackError, UnknownNetworkError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line, runs what it names and returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except _ERRORS as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _published(options: argparse.Namespace) -> int:
    outputs = read_outputs(options.data)
    found = publication.Publication(
        outputs, tuple(options.subset), tuple(options.choose_on), options.resamples, options.seed
    )
    sys.stdout.write(publication.report(found))
    if options.plots:
        judged, normal = found.judged, outputs.is_normal
        groups = {"COVID-19": found.agreements(judged & ~normal), "normals": found.agreements(judged & normal)}
        shared = {name: {system: table[system] for system in found.ranked()} for name, table in groups.items() if table}
        _save(options.plots, "evaluation-thresholds", plots.threshold_curves(found.sweeps(), outputs.networks))
        _save(options.plots, "evaluation-errors", plots.errors_by_group(shared, found.between_readers()))
    if options.check and (differing := found.differing()):
        sys.stderr.write(f"the test subset's MAE is not the paper's: {', '.join(differing)}\n")
        return 1
    return 0


def _networks(options: argparse.Namespace) -> int:
    limit_threads()
    device = resolve_device(options.device)
    names = [canonical_architecture(name) for name in options.architectures]
    measured = complexity.count(complexity.select(names, options.input_size))
    if options.rounds:
        measured = complexity.clock(measured, device, options.rounds)
    sys.stdout.write(complexity.report(measured, device))
    if options.plots:
        _save(options.plots, "evaluation-networks", plots.costs(complexity.pairs(measured), device))
    return 0


def _weights(options: argparse.Namespace) -> int:
    limit_threads()
    workflow = _workflow(options, options.threshold)
    status = accept(options, Subject.of_workflow(workflow))
    card = workflow.disease.card
    if card is not None and (lines := bars.cross_validated(card.metrics)):
        sys.stdout.write(f"\nOf the card's own cross-validation, not of these radiographs:\n\n{bars.table(lines)}\n")
    return status


def _compare(options: argparse.Namespace) -> int:
    first, second = (cases.read_cases(path) for path in (options.first, options.second))
    sys.stdout.write(f"First: {options.first}; second: {options.second}.\n\n")
    sys.stdout.write(f"{cases.compared(first, second, options.resamples, options.seed)}\n")
    return 0


def _drift(options: argparse.Namespace) -> int:
    limit_threads()
    workflow = _workflow(options)
    known = streams.card_reference(workflow)
    if not known:
        raise PackError("the cards have no reference: python -m models.training reference writes one")
    cases = Pack(*options.data).split(options.split)
    found = []
    for stream in streams.STREAMS:
        measured = streams.measure(workflow, filter(stream.keep, cases), stream.change)
        if measured:
            found.append(streams.drift(stream, measured, known, options.size, options.samples, options.seed))
    sys.stdout.write(f"{streams.report(found, options.size)}\n")
    wrong = [item.stream.name for item in found if (item.rang > 0.5) is not item.stream.rings]
    if options.check and wrong:
        sys.stderr.write(f"the alert is wrong about: {', '.join(wrong)}\n")
        return 1
    return 0


def _sheets(options: argparse.Namespace) -> int:
    limit_threads()
    return sheets.run(options, _workflow)


def _workflow(options: argparse.Namespace, threshold: float | None = None) -> Workflow:
    device = resolve_device(options.device)

    def stage(role: Role, weights: Path) -> Stage:
        return Stage.load(weights, role=role, device=device, precision=options.precision)

    return Workflow(stage("lungs", options.lungs), stage("disease", options.disease), threshold=threshold)


def accept(options: argparse.Namespace, subject: Subject) -> int:
    """Judges a subject, writes the report and the table of cases, and returns the exit status.

    Args:
        options: of ``add_acceptance``.
    """
    radiographs = Pack(*options.data).split(options.split)
    folders = ", ".join(map(str, options.data))
    if not radiographs:
        raise PackError(f"{folders}: expected radiographs of the split {options.split!r}, found none")
    subject = subject.described(Date=f"{date.today():%Y-%m-%d}", Data=folders)
    found = acceptance.accept(subject, radiographs, options.split, options.resamples, options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page.render(found, subject, options.worst), encoding="utf-8")
    table = options.out.with_suffix(".csv")
    cases.write_cases(table, found.results)
    sys.stdout.write(f"{acceptance.summary(found)}\n\n{options.out}, {table}\n")
    return 0 if found.passes or not options.check else 1


def _save(folder: Path, name: str, figure: Figure) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.svg").write_text(plots.svg(figure) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.evaluation", description=__doc__)
    commands = parser.add_subparsers(required=True)

    published = _command(commands, "published", "the paper's table from its published outputs", _published)
    published.add_argument("--data", type=Path, required=True, help="folder of the published outputs")
    published.add_argument("--subset", nargs="+", choices=SUBSETS, default=["test"], help="what the tables cover")
    published.add_argument("--choose-on", nargs="+", choices=SUBSETS, default=["train", "val"])
    published.add_argument("--check", action="store_true", help="exit with 1 when an MAE is not the paper's")
    published.add_argument("--plots", type=Path, help="folder for the curves as SVG")
    _add_bootstrap(published)

    networks = _command(commands, "networks", "parameters, arithmetic and latency of the paper's networks", _networks)
    networks.add_argument("--architectures", nargs="+", default=[], metavar="NAME", help=", ".join(ARCHITECTURES))
    networks.add_argument("--input-size", type=int, help="pixels, a multiple of 32, instead of each network's own")
    networks.add_argument("--device", default="auto")
    networks.add_argument("--rounds", type=int, default=7, help="0: count only, no latencies")
    networks.add_argument("--plots", type=Path, help="folder for the picture as SVG")

    weights = _command(commands, "weights", "judge a pair of weights on a radiograph pack: an HTML report", _weights)
    _add_weights(weights)
    add_acceptance(weights)

    _add_drift(_command(commands, "drift", "try the drift alert on streams like and unlike the reference", _drift))

    looked_at = _command(commands, "sheets", "pictures of what one or two pairs of weights mark", _sheets)
    _add_weights(looked_at)
    sheets.add_arguments(looked_at)

    compare = _command(commands, "compare", "two acceptances of the same radiographs, paired", _compare)
    compare.add_argument("first", type=Path, help="table of cases that weights or service wrote beside its report")
    compare.add_argument("second", type=Path, help="the table to compare with it")
    _add_bootstrap(compare)
    return parser


def _add_drift(drift: argparse.ArgumentParser) -> None:
    drift.add_argument("--data", type=Path, nargs="+", required=True, help="folders of the radiograph packs")
    drift.add_argument("--split", default="val", help="split of the pack's table; all: every radiograph")
    _add_weights(drift)
    drift.add_argument("--size", type=int, default=LEAST_COUNT, help="radiographs per sample")
    drift.add_argument("--samples", type=int, default=500)
    drift.add_argument("--seed", type=int, default=0)
    drift.add_argument("--check", action="store_true", help="exit with 1 if the alert is wrong about a stream")


class Help(argparse.HelpFormatter):
    """Shows the defaults that tell something."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        # By identity: 0 is a default worth showing, and it equals False.
        if action.default is None or action.default is False or action.default in (argparse.SUPPRESS, []):
            return text
        return f"{text} (default: %(default)s)".lstrip()


def _command(
    commands: Commands, name: str, text: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, formatter_class=Help)
    command.set_defaults(run=run)
    return command


def _add_weights(command: argparse.ArgumentParser) -> None:
    command.add_argument("--lungs", type=Path, default=default_weights("lungs"), help="stage I's weights")
    command.add_argument("--disease", type=Path, default=default_weights("disease"), help="stage II's weights")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    command.add_argument("--precision", choices=("auto", *get_args(Precision)), default="auto")


def add_acceptance(command: argparse.ArgumentParser) -> None:
    """Adds what ``accept`` takes to a command line."""
    command.add_argument("--data", type=Path, nargs="+", required=True, help="folders of the radiograph packs")
    command.add_argument(
        "--split", default=HELD_OUT, help="split of the table; held-out: all but train; all: every radiograph"
    )
    command.add_argument("--check", action="store_true", help="exit with 1 if a figure falls behind its bar")
    command.add_argument("--threshold", type=float, help="instead of the card's or the service's")
    command.add_argument(
        "--out",
        type=Path,
        default=Path("acceptance.html"),
        help="the report, which shows radiographs; a table of all cases is written beside it",
    )
    command.add_argument("--worst", type=int, default=12, help="how many of the worst cases to show as pictures")
    _add_bootstrap(command)


def _add_bootstrap(command: argparse.ArgumentParser) -> None:
    command.add_argument("--resamples", type=int, default=RESAMPLES, help="resamples of the bootstrap")
    command.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
