"""The training loop: one network, one loss, seeded and resumable."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

from models.training.optimisers import OptimiserName, build_optimiser

logger = logging.getLogger(__name__)

Batch: TypeAlias = Mapping[str, Tensor]
Batches: TypeAlias = Callable[[int], Iterable[Batch]]
"""From an epoch's number, the first being 0, to its batches."""
Loss: TypeAlias = Callable[[Any, Batch], Tensor]
"""From the network's answer and its batch to a scalar. The answer is logits float32 [N, 1, H, W] or, with a
classification head, a pair of those and the labels' logits [N, 1]."""
Judge: TypeAlias = Callable[[nn.Module, int], float]
"""From the network in eval mode and the epoch's number to how good it is; more is better."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        rate: learning rate; the peak of one cycle, or throughout if ``constant``.
        weight_decay: None is the optimiser's own default.
        patience: epochs without ``least_gain`` after which training ends; None: it never ends early.
        mixed: arithmetic in bfloat16 where autocast allows it.
        clip: norm to which gradients are clipped; None: they are not.
    """

    epochs: int
    batches: int
    rate: float = 1.5e-3
    weight_decay: float | None = 1e-2
    seed: int = 0
    optimiser: OptimiserName = "AdamW"
    constant: bool = False
    patience: int | None = None
    least_gain: float = 0.0
    mixed: bool = True
    clip: float | None = 5.0


class Progress:
    """The judge's figures so far, and the best weights."""

    def __init__(self) -> None:
        self.best = self.reference = -inf
        self.waited = 0
        self.weights: dict[str, Tensor] = {}

    def note(self, figure: float, network: nn.Module, least_gain: float) -> None:
        """Keeps the weights if they are the best, and counts the epochs without a gain."""
        if figure > self.best:
            self.best = figure
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
        if figure > self.reference + least_gain:
            self.reference, self.waited = figure, 0
        else:
            self.waited += 1

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)


def fit(
    network: nn.Module,
    batches: Batches,
    loss: Loss,
    schedule: Schedule,
    out: Path,
    device: torch.device,
    judge: Judge | None = None,
) -> nn.Module:
    """Trains ``network`` in place and returns it in eval mode, continuing from ``out/state.pt`` if it is there.

    The state is kept after each epoch, so that an interrupted run continues where it stopped and ends with the same
    weights as any other, up to the machine's arithmetic.

    Args:
        network: images [N, 3, H, W] to logits float32 [N, 1, H, W].
        batches: the epoch's batches; each holds ``image`` and whatever ``loss`` needs.
        loss: logits and batch to a scalar.
        out: folder for the state and ``history.jsonl``.
        judge: called after each epoch; the weights that it rates best are returned.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(schedule.seed)
    network = network.to(device).to(memory_format=torch.channels_last)
    optimiser = build_optimiser(schedule.optimiser, network.parameters(), schedule.rate, schedule.weight_decay)
    progress = Progress()
    parts: dict[str, Any] = {"network": network, "optimiser": optimiser, "cycle": _rates(optimiser, schedule)}
    parts["progress"] = progress
    state = out / "state.pt"
    first = _resume(state, parts, schedule)
    for epoch in range(first, schedule.epochs):
        if schedule.patience is not None and progress.waited >= schedule.patience:
            break
        started = time.monotonic()
        torch.manual_seed(schedule.seed * 1000 + epoch)
        mean_loss = _run_epoch(network, batches(epoch), loss, parts, schedule, device, f"epoch {epoch + 1}")
        record: dict[str, float] = {"epoch": epoch + 1, "loss": round(mean_loss, 5)}
        if judge is not None:
            figure = judge(network.eval(), epoch)
            progress.note(figure, network, schedule.least_gain)
            record["judged"] = round(figure, 5)
        record["seconds"] = round(time.monotonic() - started, 1)
        _save(state, parts, schedule, epoch + 1)
        with (out / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        logger.info("%s", record)
    if progress.weights:
        network.load_state_dict(progress.weights)
    return network.eval()


def normalised(pictures: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Gray pictures float32 [N, H, W] on the 0..1 scale as images [N, 3, H, W], by channel."""
    means, deviations = (torch.tensor(values, dtype=torch.float32).view(-1, 1, 1) for values in (mean, std))
    return (pictures[:, None] - means) / deviations


def dice_loss(probability: Tensor, target: Tensor, within: Tensor | None = None) -> Tensor:
    """One minus the soft Dice of each picture, averaged: [N, 1, H, W] each, ``within`` limits the area."""
    if within is not None:
        probability, target = probability * within, target * within
    axes = (1, 2, 3)
    overlap = (probability * target).sum(axes)
    loss: Tensor = (1 - (2 * overlap + 1.0) / (probability.sum(axes) + target.sum(axes) + 1.0)).mean()
    return loss


def _rates(optimiser: torch.optim.Optimizer, schedule: Schedule) -> torch.optim.lr_scheduler.LRScheduler:
    if schedule.constant:
        return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda _: 1.0)
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=schedule.epochs * schedule.batches, pct_start=0.2
    )


def _run_epoch(
    network: nn.Module,
    batches: Iterable[Batch],
    loss: Loss,
    parts: Mapping[str, Any],
    schedule: Schedule,
    device: torch.device,
    title: str,
) -> float:
    network.train()
    if schedule.mixed and device.type == "cpu":
        _keep_depthwise_whole(network)
    optimiser, cycle = parts["optimiser"], parts["cycle"]
    total, count = 0.0, 0
    for batch in tqdm(batches, desc=title, mininterval=5):
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        image = moved["image"].contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=schedule.mixed):
            answer = network(image)
        value = loss(_floats(answer), moved)
        if not torch.isfinite(value):
            raise FloatingPointError(f"{title}: the loss is {value.item()}")
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        if schedule.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
        optimiser.step()
        cycle.step()
        total += float(value.detach())
        count += 1
    return total / count


def _keep_depthwise_whole(network: nn.Module) -> None:
    """Takes depthwise convolutions out of autocast: in oneDNN their gradients take 5 times as long in bfloat16."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1 and "forward" not in vars(module):
            module.forward = _whole(module.forward)  # type: ignore[assignment,method-assign]


def _whole(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def run(image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            return forward(image.float())

    return run


def _floats(answer: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    return tuple(part.float() for part in answer) if isinstance(answer, tuple) else answer.float()


def _resume(state: Path, parts: Mapping[str, Any], schedule: Schedule) -> int:
    if not state.is_file():
        return 0
    kept = torch.load(state, map_location="cpu", weights_only=True)
    if kept["schedule"] != asdict(schedule):
        raise ValueError(f"{state}: expected the state of {schedule}, found that of {kept['schedule']}")
    for name, part in parts.items():
        part.load_state_dict(kept[name])
    logger.info("continuing after epoch %d", kept["epoch"])
    return int(kept["epoch"])


def _save(state: Path, parts: Mapping[str, Any], schedule: Schedule, epoch: int) -> None:
    kept = {name: part.state_dict() for name, part in parts.items()}
    unfinished = state.with_suffix(".part")
    torch.save({**kept, "schedule": asdict(schedule), "epoch": epoch}, unfinished)
    unfinished.replace(state)
