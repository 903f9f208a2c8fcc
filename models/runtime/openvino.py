"""OpenVINO, which runs networks on a CPU."""

from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from models.precision import Precision
from models.runtime.engine import Maps, StageInput
from models.runtime.processors import available_cpus

_HINTS: Final = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "int8": "f32"}
"""The arithmetic of parts that are not quantized."""


class OpenVinoEngine:
    """A converted network, compiled twice: for one picture on all processors, and for several side by side.

    Pictures are never stacked: on a CPU a batch gains nothing over several streams of one thread each.
    """

    def __init__(self, model: ov.Model, mean: Sequence[float], std: Sequence[float], precision: Precision) -> None:
        """Compiles the network.

        Args:
            model: float32 [1, 3, h, w], normalised, to a map and perhaps a label.
        """
        self.streams = available_cpus()
        self._wide = _Compiled(model, precision, 1, self.streams)
        self._narrow = _Compiled(model, precision, self.streams, self.streams) if self.streams > 1 else self._wide
        self._mean, self._std = mean, std

    def warm_up(self, max_batch_size: int) -> int:
        """Runs each stream once; a launch takes one picture."""
        for compiled in (self._wide, self._narrow):
            compiled.warm_up()
        return 1

    def launch(self, batch: Sequence[StageInput], alone: bool) -> "_Runs":
        """Starts one run per picture, as many as there are streams; the others follow as these end."""
        compiled = self._wide if alone else self._narrow
        return _Runs(compiled, (normalised(picture, self._mean, self._std) for picture in batch))


def normalised(picture: StageInput, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """A picture as the network takes it, float32 [1, 3, h, w], by channel."""
    images = np.empty((1, 3, *picture.shape[:2]), np.float32)
    full = 255 if picture.dtype == np.uint8 else 1
    for channel, (middle, deviation) in enumerate(zip(mean, std, strict=True)):
        # (x - mean) / std as x * scale + shift: one pass over memory.
        values = picture if picture.ndim == 2 else picture[..., channel]
        np.multiply(values, np.float32(1 / (full * deviation)), out=images[0, channel])
        images[0, channel] += np.float32(-middle / deviation)
    return images


def supported_precisions() -> frozenset[str]:
    """The number formats that this processor computes in."""
    names = {"FP32": "float32", "BF16": "bfloat16", "FP16": "float16", "INT8": "int8"}
    return frozenset(names[name] for name in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") if name in names)


def read_model(xml: bytes, weights: bytes) -> ov.Model:
    """A model from the bytes of its two files; raises RuntimeError if they are not a model's."""
    return _core().read_model(xml, ov.Tensor(np.frombuffer(weights, np.uint8)))


class _Compiled:
    """A network compiled for some streams; requests are used again, as each has memory for all layers."""

    def __init__(self, model: ov.Model, precision: Precision, streams: int, threads: int) -> None:
        settings: dict[str, Any] = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            # Other processes of this machine would pin themselves to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._model = _core().compile_model(model, "CPU", settings)
        self.streams = streams
        self._idle: deque[ov.InferRequest] = deque()

    def warm_up(self) -> None:
        requests = [self._request() for _ in range(self.streams)]
        for request in requests:
            request.start_async()
        for request in requests:
            request.wait()
            self.give_back(request)

    def start(self, images: NDArray[np.float32]) -> ov.InferRequest:
        request = self._request()
        request.set_input_tensor(ov.Tensor(images))
        request.start_async()
        return request

    def give_back(self, request: ov.InferRequest) -> None:
        """Keeps a request for the next picture; a failed one must not be given back."""
        self._idle.append(request)

    def _request(self) -> ov.InferRequest:
        # Popping is atomic: requests are taken in one thread and given back in others.
        try:
            return self._idle.popleft()
        except IndexError:
            return self._model.create_infer_request()


class _Runs:
    """A ``Pending`` of one run per picture."""

    def __init__(self, compiled: _Compiled, pictures: Iterator[NDArray[np.float32]]) -> None:
        self._compiled, self._pictures = compiled, pictures
        self._running = deque(compiled.start(images) for images in islice(pictures, compiled.streams))

    def result(self) -> Maps:
        answers = []
        while self._running:
            request = self._running.popleft()
            request.wait()
            answers.append([np.array(tensor.data, np.float32) for tensor in request.output_tensors])
            self._compiled.give_back(request)
            self._running.extend(self._compiled.start(images) for images in islice(self._pictures, 1))
        maps = np.stack([answer[0].reshape(answer[0].shape[-2:]) for answer in answers])
        has_label = len(answers[0]) > 1
        return maps, np.array([answer[1].item() for answer in answers], np.float32) if has_label else None


@cache
def _core() -> ov.Core:
    """One per process, as OpenVINO intends: it loads the device's plugin."""
    return ov.Core()
