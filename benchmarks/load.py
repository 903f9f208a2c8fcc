"""``python -m benchmarks.load``: clients that ask one after another, for measuring a server on the same machine.

It leaves the processors to the server: one thread in a process of its own waits on all sockets at once, requests are
built before the clock starts, and of an answer only the status and the length are read. What it took is reported
(``cpu_ms``, milliseconds of CPU a request).
"""

import argparse
import contextlib
import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import mean

from benchmarks import uploads

_CHUNK = memoryview(bytearray(1 << 20))
PATIENCE = 600.0
"""Seconds without any answer after which the server is taken for dead."""


@dataclass
class Client:
    """One connection that carries one request after another.

    Attributes:
        done: when each answer was complete.
        seconds: how long each took.
    """

    index: int
    connection: socket.socket
    asked: int = 0
    started: float = 0.0
    sending: memoryview = field(default_factory=lambda: memoryview(b""))
    head: bytearray = field(default_factory=bytearray)
    left: int | None = None
    status: int = 0
    done: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def receive(self) -> bool:
        """Reads what has come; whether the answer is complete."""
        count = self.connection.recv_into(_CHUNK)
        if not count:
            raise ConnectionError("the server closed a connection")
        if self.left is None:
            self.head += _CHUNK[:count]
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.status, length = parse_head(bytes(self.head[:end]))
            count, self.left = len(self.head) - end - 4, length
        self.left -= count
        return self.left <= 0


@dataclass(frozen=True)
class Report:
    """What a run found.

    Attributes:
        rate: answers a second.
        p50, p95, p99, mean: milliseconds from the first byte sent to the last received.
        answers: how many were counted, by status; ``all_answers``: with those before the clock started.
        cpu_ms: the generator's own CPU milliseconds an answer.
    """

    clients: int
    rate: float
    p50: float
    p95: float
    p99: float
    mean: float
    answers: dict[str, int]
    cpu_ms: float
    all_answers: int


def parse_head(head: bytes) -> tuple[int, int]:
    """Status and body length of an answer."""
    first, *lines = head.split(b"\r\n")
    fields = dict(line.lower().split(b":", 1) for line in lines)
    return int(first.split(b" ", 2)[1]), int(fields[b"content-length"])


def build_requests(bodies: Sequence[bytes], path: str, priority: str = "") -> list[bytes]:
    """Whole HTTP/1.1 requests."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nAccept: */*\r\n"
    if priority:
        head += f"Priority: {priority}\r\n"
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


def measure(port: int, clients: int, seconds: float, requests: Sequence[bytes]) -> Report:
    """Runs until every client has had an answer (which does not count), ``seconds`` more and another answer each."""
    crowd = [Client(index, socket.create_connection(("127.0.0.1", port))) for index in range(clients)]
    answers: dict[str, int] = {}
    with selectors.DefaultSelector() as selector:
        for client in crowd:
            client.connection.setblocking(False)
            client.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(client.connection, selectors.EVENT_READ, client)
            _ask(selector, client, requests)
        waiting, begin, cpu = set(range(clients)), 0.0, 0.0
        uncounted = set(range(clients))
        while waiting or uncounted or time.perf_counter() < begin + seconds:
            events = selector.select(PATIENCE)
            if not events:
                raise TimeoutError(f"no answer within {PATIENCE:g} s")
            for key, mask in events:
                client = key.data
                if mask & selectors.EVENT_WRITE:
                    _send(selector, client)
                if mask & selectors.EVENT_READ and client.receive():
                    _finish(client)
                    if client.index in waiting:
                        waiting.discard(client.index)
                        if not waiting:
                            begin, cpu = time.perf_counter(), time.process_time()
                    elif not waiting:
                        uncounted.discard(client.index)
                        answers[str(client.status)] = answers.get(str(client.status), 0) + 1
                    _ask(selector, client, requests)
        cpu = time.process_time() - cpu
    for client in crowd:
        client.connection.close()
    return _report(crowd, begin, answers, cpu)


def _ask(selector: selectors.BaseSelector, client: Client, requests: Sequence[bytes]) -> None:
    client.sending = memoryview(requests[(client.index + client.asked) % len(requests)])
    client.asked += 1
    client.started, client.left = time.perf_counter(), None
    client.head.clear()
    _send(selector, client)


def _send(selector: selectors.BaseSelector, client: Client) -> None:
    with contextlib.suppress(BlockingIOError):
        client.sending = client.sending[client.connection.send(client.sending) :]
    more = selectors.EVENT_WRITE if client.sending else 0
    selector.modify(client.connection, selectors.EVENT_READ | more, client)


def _finish(client: Client) -> None:
    now = time.perf_counter()
    client.done.append(now)
    client.seconds.append(now - client.started)


def _report(crowd: Sequence[Client], begin: float, answers: dict[str, int], cpu: float) -> Report:
    """Each client's own rate, added up: answers come in batches, so counting them in a window would be off by one."""
    rate, taken = 0.0, []
    for client in crowd:
        inside = [index for index, at in enumerate(client.done) if at >= begin]
        before = client.done[inside[0] - 1] if inside and inside[0] else begin
        rate += len(inside) / (client.done[-1] - before) if inside else 0.0
        taken += [client.seconds[index] for index in inside]
    taken.sort()

    def percentile(share: float) -> float:
        return round(taken[min(len(taken) - 1, int(share * len(taken)))] * 1000, 2) if taken else float("nan")

    return Report(
        clients=len(crowd),
        rate=rate,
        p50=percentile(0.5),
        p95=percentile(0.95),
        p99=percentile(0.99),
        mean=round(mean(taken) * 1000, 2) if taken else float("nan"),
        answers=answers,
        cpu_ms=round(cpu / max(1, len(taken)) * 1000, 3),
        all_answers=sum(len(client.done) for client in crowd),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a ``Report`` as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--path", default="/score")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--uploads", choices=("mixed", "jpeg", "tiny"), default="mixed")
    parser.add_argument("--priority", default="", help="the header of this name")
    options = parser.parse_args(arguments)
    requests = build_requests(uploads.bodies(options.uploads), options.path, options.priority)
    report = measure(options.port, options.clients, options.seconds, requests)
    json.dump(asdict(report), sys.stdout)
    print()


if __name__ == "__main__":
    main()
