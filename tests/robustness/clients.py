"""Clients that mean ill: each is one connection, from its first byte to what came of it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeAlias

from benchmarks.robustness.wire import CLOSED, LEFT, Wire, connected, head, request
from tests.support.ports import Address

Client: TypeAlias = Callable[[Address, asyncio.Event], Awaitable[str]]
"""Plays its part once; a long one ends when the event is set. Returns an outcome of ``wire``."""

KEPT: Final = "kept"
"""The outcome of a connection that stood open to the end."""
SWALLOWED: Final = "swallowed"
"""The outcome of a client that could send all it had without being stopped."""
_FORM: Final = "multipart/form-data; boundary=XX"
_BLOCK: Final = 64 * 1024
_GOING_ON: Final = 200
"""Pieces of a body that was refused, twenty a second: longer than a connection without a request is kept."""


def sends(data: bytes) -> Client:
    """Sends ``data`` and waits for one answer."""

    async def client(address: Address, stop: asyncio.Event) -> str:
        async with connected(address) as wire:
            return await _sent(wire, data)

    return client


def leaves_after(data: bytes) -> Client:
    """Sends ``data`` and is gone."""

    async def client(address: Address, stop: asyncio.Event) -> str:
        async with connected(address) as wire:
            await wire.send(data)
        return LEFT

    return client


def uploads(body: bytes, media_type: str = "application/octet-stream") -> Client:
    """Posts ``body``."""
    return sends(request(body, Content_Type=media_type))


def posts_form(body: bytes) -> Client:
    """Posts ``body`` as a form whose boundary is XX."""
    return uploads(body, _FORM)


async def _sent(wire: Wire, data: bytes) -> str:
    """The answer, which may come before all is sent."""
    answering = asyncio.ensure_future(wire.answer())
    try:
        await wire.send(data)
    except ConnectionError:
        # Refused while still sending: the answer may have come all the same.
        return await answering
    return await answering


async def drips(address: Address, stop: asyncio.Event) -> str:
    """A body of which a byte comes now and then."""
    async with connected(address) as wire:
        await wire.send(head(Content_Length=100_000))
        answering = asyncio.ensure_future(wire.answer())
        while not answering.done():
            await wire.send(b"x")
            await asyncio.wait({answering}, timeout=0.05)
        return answering.result()


async def goes_on(address: Address, stop: asyncio.Event) -> str:
    """Is refused at its head, and sends its body all the same, a little at a time, for as long as it may."""
    async with connected(address) as wire:
        await wire.send(head(Content_Length=2**40))
        if not (await wire.answer()).startswith("413"):
            return SWALLOWED
        closing = asyncio.ensure_future(wire.reader.read(1))
        with suppress(ConnectionError):
            for _ in range(_GOING_ON):
                await wire.send(b"x" * 1000)
                await asyncio.wait({closing}, timeout=0.05)
                if closing.done():
                    break
            else:
                closing.cancel()
                return SWALLOWED
        return CLOSED


async def idles(address: Address, stop: asyncio.Event) -> str:
    """Connects and says nothing."""
    return await _held(address, b"", stop)


async def begins(address: Address, stop: asyncio.Event) -> str:
    """Never ends its first line."""
    return await _held(address, b"POST /sco", stop)


async def _held(address: Address, beginning: bytes, stop: asyncio.Event) -> str:
    async with connected(address) as wire:
        await wire.send(beginning)
        closing, stopping = (asyncio.ensure_future(each) for each in (wire.reader.read(1), stop.wait()))
        await asyncio.wait({closing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not closing.done():
            closing.cancel()
            return KEPT
        return CLOSED


def floods(beginning: bytes, piece: bytes, size: int, heeds: bool = True) -> Client:
    """Repeats ``piece`` until ``size`` bytes are sent or the service stops it; then what it answered.

    Args:
        heeds: whether an answer stops it too; otherwise only a broken connection does.
    """

    async def client(address: Address, stop: asyncio.Event) -> str:
        block = piece * (_BLOCK // len(piece))
        async with connected(address) as wire:
            answering = asyncio.ensure_future(wire.answer())
            try:
                await wire.send(beginning)
                for _ in range(size // len(block)):
                    if heeds and answering.done():
                        break
                    await wire.send(block)
            except ConnectionError:
                return await answering if heeds else CLOSED
            if heeds and answering.done():
                return answering.result()
            answering.cancel()
            return SWALLOWED

    return client


def pipelines(data: bytes, count: int) -> Client:
    """Sends ``count`` requests at once; the outcome is that of the answers, if all have the same."""

    async def client(address: Address, stop: asyncio.Event) -> str:
        async with connected(address) as wire:
            answering = asyncio.ensure_future(_answers(wire, count))
            await wire.send(data * count)
            return await answering

    return client


async def _answers(wire: Wire, count: int) -> str:
    outcomes = {await wire.answer() for _ in range(count)}
    return " and ".join(sorted(outcomes))


def reads_nothing(data: bytes) -> Client:
    """Asks for a large answer and leaves it in the service's hands."""

    async def client(address: Address, stop: asyncio.Event) -> str:
        async with connected(address, receive_buffer=4096) as wire:
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await wire.send(data)
            await stop.wait()
            return KEPT

    return client
