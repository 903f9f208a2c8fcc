"""What a service meets in its life: radiographs of all formats and sizes, files that are none, clients that leave."""

import asyncio
import io
import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from PIL import Image

from app.errors import Problem
from app.intake import Limits, decode
from benchmarks import uploads
from benchmarks.robustness.mutations import build_case
from benchmarks.robustness.seeds import seeds
from benchmarks.robustness.wire import CLOSED, connected, request
from models.phantom import draw_phantom
from tests.support.ports import Address

Kind: TypeAlias = Literal["good", "bad", "leaving"]
_SHARES: Final[dict[Kind, float]] = {"good": 0.75, "bad": 0.2, "leaving": 0.05}
_PATHS: Final = ("/score", "/score?overlay=false", "/segment", "/segment?contours=true&overlay_format=png")
_MUTATED: Final = 150
_TOO_MANY: Final = 1000
"""Requests under way at which the generator gives up: the service no longer answers."""


@dataclass(frozen=True)
class Ask:
    """A whole request, and what is done with it: a leaving client sends ``sent`` bytes and is gone."""

    kind: Kind
    data: bytes
    sent: int


def _form(upload: bytes) -> tuple[bytes, str]:
    """A form with the part ``file``, and its content type."""
    start = b'--soak\r\nContent-Disposition: form-data; name="file"; filename="chest"\r\n\r\n'
    return start + upload + b"\r\n--soak--\r\n", "multipart/form-data; boundary=soak"


def _good_uploads() -> list[bytes]:
    """Radiographs as hospitals send them, and one of each way of storing them."""
    picture = cv2.resize(draw_phantom(1024, uploads.HAZE), (1300, 1500), interpolation=cv2.INTER_LINEAR)
    saved = []
    for kind, image, options in (
        ("TIFF", picture.astype(np.uint16) * 257, {"compression": "tiff_adobe_deflate"}),
        ("TIFF", picture, {"compression": "tiff_lzw"}),
        ("BMP", picture, {}),
        ("JPEG", picture, {"progressive": True, "quality": 90}),
        ("JPEG", np.stack([picture] * 3, axis=-1), {"quality": 85}),
    ):
        file = io.BytesIO()
        Image.fromarray(image).save(file, kind, **options)
        saved.append(file.getvalue())
    return [*uploads.bodies("mixed"), *saved, *saved, *seeds().values()]


def _bad_uploads() -> list[bytes]:
    """Files that are refused: mutated ones, and what people send by mistake."""
    originals, refused = seeds(), []
    for index in range(_MUTATED):
        data = build_case(0, index, originals).data
        try:
            decode(data, Limits())
        except Problem:
            refused.append(data)
    return [*refused, b"%PDF-1.7 a letter", b"GIF89a" + bytes(99), bytes(4000), bytes(500_000), b""]


def asks() -> dict[Kind, list[Ask]]:
    """Everything that is sent, ready to be."""

    def whole(kind: Kind, bodies: list[bytes], as_sent: float = 1.0) -> list[Ask]:
        found = []
        for number, upload in enumerate(bodies):
            path = _PATHS[number % len(_PATHS)]
            body, media_type = _form(upload) if number % 2 else (upload, "application/octet-stream")
            data = request(body, path, Content_Type=media_type, Connection="close")
            found.append(Ask(kind, data, int(len(data) * as_sent)))
        return found

    good = _good_uploads()
    # Some leave in the midst of their body, some when all is sent and the analysis is under way.
    return {
        "good": whole("good", good),
        "bad": whole("bad", _bad_uploads()),
        "leaving": [*whole("leaving", good, 0.5), *whole("leaving", good)],
    }


class Traffic:
    """Sends requests and keeps count.

    Attributes:
        seconds: how long good requests took since it was last cleared.
        counts: ``good``, ``refused``, ``left`` and ``failed`` since it was last cleared.
        faults: answers that are in no order, at all times.
    """

    def __init__(self, address: Address, seed: int) -> None:
        self.seconds: list[float] = []
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._address, self._rng, self._asks = address, Random(seed), asks()  # noqa: S311 - to be repeated

    async def capacity(self, clients: int, seconds: float) -> float:
        """Requests a second of the same mix that ``clients`` get through who ask one after another."""
        done = 0
        ends = time.monotonic() + seconds

        async def client() -> None:
            nonlocal done
            while time.monotonic() < ends:
                await self._play(self._next())
                done += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
        return done / (time.monotonic() - ends + seconds)

    async def arrive(self, rate: float, seconds: float) -> None:
        """Requests that come by chance, ``rate`` a second on average, whether or not others are answered.

        Raises:
            RuntimeError: so many are under way that the service cannot be answering.
        """
        started = due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            under_way: set[asyncio.Task[None]] = set()
            while (due := due + self._rng.expovariate(rate)) < started + seconds:
                await asyncio.sleep(due - time.monotonic())
                if len(under_way) > _TOO_MANY:
                    raise RuntimeError(f"{_TOO_MANY} requests are under way")
                task = group.create_task(self._play(self._next()))
                under_way.add(task)
                task.add_done_callback(under_way.discard)

    def _next(self) -> Ask:
        (kind,) = self._rng.choices(list(_SHARES), list(_SHARES.values()))
        return self._rng.choice(self._asks[kind])

    async def _play(self, ask: Ask) -> None:
        started = time.monotonic()
        if ask.kind == "leaving":
            async with connected(self._address) as wire:
                await wire.send(ask.data[: ask.sent])
            self.counts["left"] += 1
            return
        async with connected(self._address) as wire:
            try:
                await wire.send(ask.data)
            except ConnectionError:
                outcome = CLOSED
            else:
                outcome = await wire.answer()
        if ask.kind == "good" and outcome == "200":
            self.seconds.append(time.monotonic() - started)
            self.counts["good"] += 1
        elif ask.kind == "bad" and outcome.startswith("4"):
            self.counts["refused"] += 1
        else:
            self.counts["failed"] += 1
            self.faults[f"{ask.kind}: {outcome}"] += 1
