"""The fitting loop: one network, one loss, seeded and resumable."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

logger = logging.getLogger(__name__)

Batch: TypeAlias = Mapping[str, Tensor]
Batches: TypeAlias = Callable[[int], Iterable[Batch]]
"""An epoch's number, from 0, to its batches."""
Loss: TypeAlias = Callable[[Tensor, Batch], Tensor]
"""Logits and batch to a scalar."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to fit.

    Attributes:
        rate: peak learning rate of the one-cycle schedule (AdamW).
        weight_decay: AdamW's decoupled weight decay.
    """

    epochs: int
    batches: int
    rate: float = 1.5e-3
    weight_decay: float = 1e-2
    seed: int = 0


def fit(
    network: nn.Module,
    batches: Batches,
    loss: Loss,
    schedule: Schedule,
    out: Path,
    device: torch.device,
) -> nn.Module:
    """Fits ``network`` in place and returns it in eval mode, going on from ``out/state.pt`` if it is there.

    The epoch's state is kept after each epoch, so a run that was cut off goes on where it stopped and
    ends with the same weights as one that was not, up to the arithmetic of the machine.

    Args:
        network: answers logits float32 [N, 1, H, W] to images [N, 3, H, W].
        batches: the epoch's batches; each holds ``image`` and whatever ``loss`` needs.
        loss: logits and batch to a scalar.
        out: folder for the state and ``history.jsonl``.

    Raises:
        FloatingPointError: the loss is no longer finite.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(schedule.seed)
    network = network.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), schedule.rate, weight_decay=schedule.weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=schedule.epochs * schedule.batches, pct_start=0.2
    )
    parts = {"network": network, "optimiser": optimiser, "cycle": cycle}
    state = out / "state.pt"
    first = _resume(state, parts, schedule)
    for epoch in range(first, schedule.epochs):
        started = time.monotonic()
        torch.manual_seed(schedule.seed * 1000 + epoch)
        mean_loss = _run_epoch(network, batches(epoch), loss, optimiser, cycle, device, f"epoch {epoch + 1}")
        _save(state, parts, schedule, epoch + 1)
        record = {"epoch": epoch + 1, "loss": round(mean_loss, 5), "seconds": round(time.monotonic() - started, 1)}
        with (out / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        logger.info("%s", record)
    return network.eval()


def _run_epoch(
    network: nn.Module,
    batches: Iterable[Batch],
    loss: Loss,
    optimiser: torch.optim.Optimizer,
    cycle: torch.optim.lr_scheduler.LRScheduler,
    device: torch.device,
    title: str,
) -> float:
    network.train()
    total, count = 0.0, 0
    for batch in tqdm(batches, desc=title, mininterval=5):
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        image = moved["image"].contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(image)
        value = loss(logits.float(), moved)
        if not torch.isfinite(value):
            raise FloatingPointError(f"{title}: the loss is {value.item()}")
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        cycle.step()
        total += float(value.detach())
        count += 1
    return total / count


def _resume(state: Path, parts: Mapping[str, Any], schedule: Schedule) -> int:
    if not state.is_file():
        return 0
    kept = torch.load(state, map_location="cpu", weights_only=True)
    if kept["schedule"] != asdict(schedule):
        raise ValueError(f"{state}: expected the state of {schedule}, found that of {kept['schedule']}")
    for name, part in parts.items():
        part.load_state_dict(kept[name])
    logger.info("going on after epoch %d", kept["epoch"])
    return int(kept["epoch"])


def _save(state: Path, parts: Mapping[str, Any], schedule: Schedule, epoch: int) -> None:
    kept = {name: part.state_dict() for name, part in parts.items()}
    unfinished = state.with_suffix(".part")
    torch.save({**kept, "schedule": asdict(schedule), "epoch": epoch}, unfinished)
    unfinished.replace(state)


def dice_loss(probability: Tensor, target: Tensor, within: Tensor | None = None) -> Tensor:
    """One minus the soft Dice of each picture, averaged: [N, 1, H, W] each, ``within`` limits the area."""
    if within is not None:
        probability, target = probability * within, target * within
    axes = (1, 2, 3)
    overlap = (probability * target).sum(axes)
    loss: Tensor = (1 - (2 * overlap + 1.0) / (probability.sum(axes) + target.sum(axes) + 1.0)).mean()
    return loss
