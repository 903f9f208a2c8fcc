"""``python -m models.training.doubts``: fits the rule that refuses other pictures, or prints each flag's figures."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import get_args

import torch

from models import quality
from models.analysis import Polarity
from models.evaluation.tables import markdown
from models.pack import Pack, PackError
from models.quality.rule import RULE_FILE
from models.runtime.stage import Stage
from models.training.doubts.alterations import INVERSION
from models.training.doubts.regression import Fitted, fit_rule
from models.training.doubts.samples import (
    CHEST,
    EXPOSED,
    HELD_OUT,
    Sample,
    observe,
    pictures_for_fitting,
    pictures_for_judging,
    pictures_of,
    wrong_for_fitting,
)
from models.weights import default_weights
from models.weights.files import CheckpointError
from models.workflow import Workflow


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line, runs what it names and returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (CheckpointError, PackError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _fit(options: argparse.Namespace) -> int:
    workflow = _workflow(options)
    card = workflow.lungs.card
    if card is None or not card.sha256:
        raise CheckpointError(options.lungs, "a card with a checksum", "none")
    pictures = pictures_for_fitting(Pack(*options.data).split("train"))
    if options.others:
        pictures = chain(pictures, wrong_for_fitting(options.others, options.without))
    found = fit_rule(list(observe(workflow, pictures)), card.sha256)
    options.out.write_text(found.rule.to_json(), encoding="utf-8")
    sys.stdout.write(f"{held_out_report(found)}\n\n{options.out}\n")
    return 0


def _report(options: argparse.Namespace) -> int:
    pictures = pictures_for_judging(Pack(*options.data).split(options.split))
    if options.others:
        pictures = chain(pictures, pictures_of(options.others, options.without))
    sys.stdout.write(report(observe(_workflow(options), pictures, options.polarity)) + "\n")
    return 0


def held_out_report(found: Fitted) -> str:
    """A table: each kind that was fitted on, and the share that rules fitted without the picture refuse."""
    rows = []
    for kind in dict.fromkeys(found.kinds.tolist()):
        inside = found.kinds == kind
        rows.append((kind, str(int(inside.sum())), f"{found.refused[inside].mean():.3f}"))
    limit = found.rule.sides_threshold
    rows.append(("called mirrored, as they came", str(len(found.mirrored)), f"{(found.mirrored < -limit).mean():.3f}"))
    rows.append(("called mirrored, mirrored", str(len(found.mirrored)), f"{(found.mirrored > limit).mean():.3f}"))
    return markdown(("held out, four folds", "n", "share"), rows)


def report(samples: Iterable[Sample]) -> str:
    """A table: each kind of picture, the share that gets no score, and the share that gets each flag."""
    counts: dict[str, int] = Counter()
    refused: dict[str, int] = Counter()
    flags: dict[str, Counter[str]] = {}
    for sample in samples:
        counts[sample.kind] += 1
        refused[sample.kind] += sample.cropped.refused
        flags.setdefault(sample.kind, Counter()).update(sample.cropped.flags)
    lines = ["| kind | n | no score | flags |", "|---|---|---|---|"]
    for kind, count in counts.items():
        found = ", ".join(f"{flag} {times / count:.3f}" for flag, times in flags[kind].most_common())
        note = " (not fitted on)" if kind in HELD_OUT else ""
        lines.append(f"| {kind}{note} | {count} | {refused[kind] / count:.3f} | {found} |")
    wrong = [kind for kind in counts if kind not in (CHEST, EXPOSED, *INVERSION)]
    apart = sum(refused[kind] for kind in wrong), sum(counts[kind] for kind in wrong)
    lines.append(f"| all that is no upright frontal chest | {apart[1]} | {apart[0] / max(apart[1], 1):.4f} | |")
    return "\n".join(lines)


def _workflow(options: argparse.Namespace) -> Workflow:
    lungs = Stage.load(options.lungs, role="lungs", device=options.device)
    disease = Stage.load(default_weights("disease"), role="disease")
    rule = quality.load_rule(options.rule) if options.rule else None
    return Workflow(lungs, disease, chest_rule=rule)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training.doubts", description=__doc__)
    commands = parser.add_subparsers(required=True)
    fit = _command(commands, "fit", "fit the rule on the split train and on drawings")
    fit.add_argument("--out", type=Path, default=RULE_FILE)
    fit.set_defaults(run=_fit, rule=None)
    judge = _command(commands, "report", "print each flag's figures on a split, altered copies of it, and drawings")
    judge.add_argument("--split", choices=("train", "val", "test", "all"), default="val")
    for command, use in ((fit, "fit to"), (judge, "judge")):
        command.add_argument("--others", type=Path, help=f"folder of pictures that are not chests, to {use} as well")
        command.add_argument("--without", nargs="+", default=(), metavar="NAME", help="pictures in it to leave out")
    judge.add_argument("--polarity", choices=get_args(Polarity), default="as_is")
    judge.add_argument("--rule", type=Path, help="instead of the one that comes with the package")
    judge.set_defaults(run=_report)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("--data", type=Path, nargs="+", required=True, help="folders of the radiograph packs")
    command.add_argument("--lungs", type=Path, default=default_weights("lungs"), help="stage I's weights")
    command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return command


if __name__ == "__main__":
    sys.exit(main())
