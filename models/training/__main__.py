"""``python -m models.training``: the embedded default, fitted on a radiograph pack and judged against people."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeAlias, get_args

import torch

from models import evaluation
from models.cards import Role
from models.checkpoints import CheckpointError, read_card
from models.pack import Case, Pack, PackError
from models.stage import Stage
from models.training.crossvalidation import Choice, choose, hold_out
from models.training.encoders import StartError
from models.training.recipes import Fitting, average, calibrate_disease, fit_disease, fit_lungs
from models.weights import default_weights
from models.workflow import Workflow

logger = logging.getLogger(__name__)

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line, runs what it names and returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (CheckpointError, PackError, StartError) as error:
        print(error, file=sys.stderr)
        return 2


def _lungs(options: argparse.Namespace) -> int:
    print(fit_lungs(_fitting(options)))
    return 0


def _disease(options: argparse.Namespace) -> int:
    lungs = Stage.load(options.lungs, role="lungs", device=options.device)
    cases = Pack(options.data).split("train")
    print(fit_disease(_fitting(options), lungs, cases, options.batches, options.threshold))
    return 0


def _crossvalidate(options: argparse.Namespace) -> int:
    lungs = Stage.load(options.lungs, role="lungs", device=options.device)
    cases = Pack(options.data).split("all")
    fitting = _fitting(options)

    def fit_fold(number: int, training: Sequence[Case]) -> Path:
        inside = replace(fitting, out=fitting.out / f"fold-{number}", seed=fitting.seed + number)
        return fit_disease(inside, lungs, training, options.batches, options.threshold)

    fitting.out.mkdir(parents=True, exist_ok=True)
    choice = choose(hold_out(cases, lungs, fit_fold, options.folds, fitting.out))
    (fitting.out / "choice.json").write_text(json.dumps(asdict(choice), indent=2) + "\n", encoding="utf-8")
    print(json.dumps(asdict(choice), indent=2))
    return 0


def _average(options: argparse.Namespace) -> int:
    print(average(options.role, options.first, options.second, options.share, options.out))
    return 0


def _calibrate(options: argparse.Namespace) -> int:
    choice = Choice(**json.loads(options.choice.read_text(encoding="utf-8")))
    print(calibrate_disease(options.weights, options.out, choice))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    workflow = Workflow(
        Stage.load(options.lungs, role="lungs", device=options.device),
        Stage.load(options.disease, role="disease", device=options.device),
        threshold=options.threshold,
    )
    pack = Pack(options.data)
    cases = pack.split(options.split)
    results = evaluation.evaluate(lambda case: workflow.analyse(case.pixels), cases)
    lines = evaluation.figures(results)
    if options.record:
        _record(options, lines)
    if workflow.disease.card is not None:
        adults = pack.select(lambda case: case.is_adult_normal)
        lines += evaluation.cross_validated(workflow.disease.card.metrics, len(adults))
    print(f"{len(cases)} radiographs of split '{options.split}', threshold {workflow.threshold}\n")
    print(evaluation.table(lines))
    return 0 if all(line.met for line in lines) or not options.check else 1


def _record(options: argparse.Namespace, lines: Sequence[evaluation.Figure]) -> None:
    """Writes the split's figures into both cards: each gets its stage's."""
    for weights in (options.lungs, options.disease):
        role = "lungs" if weights is options.lungs else "disease"
        card = read_card(weights)
        found = {line.name: round(line.value, 4) for line in lines if line.role == role}
        updated = card.model_copy(update={"metrics": {**card.metrics, options.split: found}})
        weights.with_suffix(".json").write_text(updated.to_json(), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    commands = parser.add_subparsers(required=True)

    lungs = _command(commands, "lungs", "fit stage I on the drawn lung masks")
    _add_fitting(lungs, epochs=16)
    lungs.set_defaults(run=_lungs)

    disease = _command(commands, "disease", "fit stage II on masks, zone shares, scores and normals")
    _add_fitting(disease, epochs=12)
    _add_disease(disease)
    disease.set_defaults(run=_disease)

    cross = _command(commands, "crossvalidate", "fit stage II by folds of patients and choose the operating point")
    _add_fitting(cross, epochs=12)
    _add_disease(cross)
    cross.add_argument("--folds", type=int, default=3)
    cross.set_defaults(run=_crossvalidate)

    calibrate = commands.add_parser("calibrate", help="write the chosen operating point into stage II's weights")
    calibrate.add_argument("--weights", type=Path, required=True, help="of stage II, as fitted")
    calibrate.add_argument("--choice", type=Path, required=True, help="choice.json of crossvalidate")
    calibrate.add_argument("--out", type=Path, required=True, help="file for the calibrated weights")
    calibrate.set_defaults(run=_calibrate)

    mean = commands.add_parser("average", help="the mean of two weights, the second of which went on from the first")
    mean.add_argument("role", choices=get_args(Role))
    mean.add_argument("first", type=Path)
    mean.add_argument("second", type=Path)
    mean.add_argument("--share", type=float, default=0.5, help="of the second")
    mean.add_argument("--out", type=Path, required=True)
    mean.set_defaults(run=_average)

    evaluate = _command(commands, "evaluate", "the whole workflow against people and published systems")
    evaluate.add_argument("--split", choices=("train", "val", "test", "all"), default="val")
    evaluate.add_argument("--lungs", type=Path, default=default_weights("lungs"))
    evaluate.add_argument("--disease", type=Path, default=default_weights("disease"))
    evaluate.add_argument("--threshold", type=float, help="instead of the card's")
    evaluate.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    evaluate.add_argument("--record", action="store_true", help="write the figures into both cards")
    evaluate.set_defaults(run=_evaluate)
    return parser


def _command(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("--data", type=Path, required=True, help="folder of the radiograph pack")
    command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return command


def _add_fitting(command: argparse.ArgumentParser, epochs: int) -> None:
    command.add_argument("--out", type=Path, required=True, help="folder for the state, the history and the weights")
    command.add_argument("--epochs", type=int, default=epochs)
    command.add_argument("--input-size", type=int, default=320)
    command.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate")
    command.add_argument("--encoder", default="tu-tf_efficientnet_lite0")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--start", type=Path, help="weights to go on from, instead of the encoder's ImageNet ones")


def _add_disease(command: argparse.ArgumentParser) -> None:
    command.add_argument("--lungs", type=Path, default=default_weights("lungs"), help="stage I's weights")
    command.add_argument("--batches", type=int, default=60, help="batches an epoch")
    command.add_argument("--threshold", type=float, default=0.3, help="for the card")


def _fitting(options: argparse.Namespace) -> Fitting:
    return Fitting(
        data=options.data,
        out=options.out,
        epochs=options.epochs,
        input_size=options.input_size,
        rate=options.rate,
        encoder=options.encoder,
        seed=options.seed,
        device=torch.device(options.device),
        start=options.start,
    )


if __name__ == "__main__":
    sys.exit(main())
