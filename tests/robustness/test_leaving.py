"""How soon the service notices that a client has left."""

import socket

from tests.support.gates import gated
from tests.support.polling import until


def test_a_client_that_leaves_gives_its_place_back(phantom_png: bytes) -> None:
    with gated(max_in_flight=1) as live:
        live.lungs.gate.clear()
        head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: {len(phantom_png)}\r\n\r\n".encode()
        with socket.create_connection(live.address, timeout=30) as connection:
            connection.sendall(head + phantom_png)
            live.entered()
        seconds = until(lambda: live.dropped("client_gone") == 1, "a client that left is noticed")
        assert seconds < 0.5, "a client that left is noticed in 50 ms on a quiet machine"
        until(lambda: live.in_flight() == 0, "places taken")
        live.lungs.gate.set()
        assert live.post(phantom_png).result(60).status_code == 200
