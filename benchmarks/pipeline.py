"""``python -m benchmarks.pipeline``: the published way of working, around the same networks.

One radiograph at a time, float32, both networks in turn, each picture to the network and its map back to the CPU
before the next step; the networks as built, their memory layout and torch's settings as they come. No drawing, no
HTTP: what is measured is less than what the service does.
"""

import argparse
import json
import time
from collections.abc import Sequence
from statistics import median

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks import uploads
from benchmarks.peers.workflows import KINDS, Kind, build_outline, untrained
from models.runtime.device import resolve_device
from models.runtime.stage import Stage
from models.weights import default_weights
from models.weights.cards import ModelCard, Role
from models.weights.checkpoints import load_checkpoint
from models.workflow import Workflow


class Step:
    """One network as the published code calls it."""

    def __init__(self, network: nn.Module, card: ModelCard, device: str) -> None:
        self._network, self._card, self._device = network.eval().to(device), card, device

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 [H, W] to a map float32 [h, w]."""
        size = (self._card.input_size,) * 2
        colour = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB).astype(np.float32) / 255
        scaled = cv2.resize(colour, size, interpolation=cv2.INTER_CUBIC)
        normalised = (scaled - np.array(self._card.mean)) / np.array(self._card.std)
        image = torch.from_numpy(normalised.transpose(2, 0, 1)).float()[None].to(self._device)
        with torch.no_grad():
            answer = self._network(image)
        maps = answer[0] if isinstance(answer, tuple) else answer
        return maps.cpu().numpy().reshape(maps.shape[-2:])


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints radiographs a second."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument("--workflow", choices=[kind for kind in KINDS if kind != "free"], default="published")
    parser.add_argument("--radiographs", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rate = measure(options.workflow, options.radiographs, resolve_device(options.device))
    print(json.dumps({"rate": rate}) if options.json else f"{rate:.2f} radiographs a second")


def measure(kind: Kind, count: int, device: str) -> float:
    """One over the median seconds of a radiograph, after one that does not count."""
    outline = build_outline(kind)
    lungs, disease = step("lungs", kind, outline.lungs, device), step("disease", kind, outline.disease, device)
    bodies = uploads.bodies("mixed")
    seconds = []
    for index in range(count + 1):
        started = time.perf_counter()
        analyse(outline, lungs, disease, bodies[index % len(bodies)])
        seconds.append(time.perf_counter() - started)
    return 1 / median(seconds[1:])


def step(role: Role, kind: Kind, outline: Stage, device: str) -> Step:
    """The network of a role."""
    assert outline.card is not None
    if kind == "published":
        return Step(untrained(outline.card), outline.card, device)
    return Step(*load_checkpoint(default_weights(role), role), device)


def analyse(workflow: Workflow, lungs: Step, disease: Step, body: bytes) -> None:
    """One upload, from its bytes to its shares."""
    pixels = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_GRAYSCALE)
    prepared = workflow.prepare(np.asarray(pixels, np.uint8))
    cropped = workflow.crop_lungs(prepared, lungs(prepared.picture))
    workflow.conclude(cropped, disease(cropped.image), None)


if __name__ == "__main__":
    main()
