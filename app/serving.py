"""Runs the service on uvicorn: its socket, its signals, its shutdown."""

import logging.config
import os
import resource
import signal
import socket
import threading
from types import FrameType

import uvicorn

from app.http.protocol import BoundedProtocol
from app.logs import SERVICE_LOGGER, log_config, log_event
from app.main import create_app
from app.service import Service
from app.settings import DRAIN_SECONDS, Settings
from models.workflow import Workflow

BROKEN_SECONDS = 4.0
"""How long a process that cannot go on may take for its last answers."""
BROKEN_STATUS = 3
MANY_DESCRIPTORS = 65_536


class _DrainingServer(uvicorn.Server):
    """A server that stops being ready when it is told to end, and finishes the requests under way first.

    With a drain delay it accepts requests for so long after it stopped being ready; a second signal ends the delay.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        delay = self._service.settings.drain_delay_s
        if delay and self._service.ready:
            self._service.withdraw()
            later = threading.Timer(delay, self._end_delay, (sig, frame))
            later.daemon = True
            later.start()
        else:
            self._end(sig, frame)

    def _end_delay(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self._end(sig, frame)

    def _end(self, sig: int, frame: FrameType | None) -> None:
        self._service.drain()
        super().handle_exit(sig, frame)


def serve(settings: Settings, workflow: Workflow | None = None) -> int:
    """Runs the server until it is told to stop.

    Returns:
        0 after a clean shutdown; 3 when the address cannot be bound, the networks do not start or the device is lost.
    """
    logging.config.dictConfig(log_config(settings.log_level))
    _allow_descriptors()
    if unknown := Settings.unknown():
        log_event(SERVICE_LOGGER, "unknown settings", logging.WARNING, variables=unknown)
    try:
        _try_address(settings.host, settings.port)
    except OSError as error:
        log_event(SERVICE_LOGGER, "start failed", logging.CRITICAL, reason=f"{settings.host}:{settings.port}: {error}")
        return BROKEN_STATUS

    def end() -> None:
        server.should_exit = True
        # A lost device may block a thread for ever, and with it a clean shutdown.
        last_resort = threading.Timer(BROKEN_SECONDS, os._exit, (BROKEN_STATUS,))
        last_resort.daemon = True
        last_resort.start()

    app = create_app(settings, workflow, on_failure=end)
    server = _DrainingServer(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=BoundedProtocol,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.request_timeout_s) + DRAIN_SECONDS,
        ),
        app.state.service,
    )
    # After a clean shutdown uvicorn raises the signal again, which would end the process as if it had failed.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: None)
    server.run()
    if app.state.service.failure:
        # A lost device may block CUDA's teardown for ever, too. No log line is lost, as each is flushed when written.
        os._exit(BROKEN_STATUS)
    return 0


def _try_address(host: str, port: int) -> None:
    """Binds the address and frees it, to fail before the networks are loaded; raises OSError where it cannot."""
    for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            probe = socket.socket(family, kind)
        except OSError:
            continue  # A kernel without IPv6; the server skips it as well.
        with probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)


def _allow_descriptors() -> None:
    """Raises the limit on file descriptors, one per connection: at the usual 1,024 even health checks would fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MANY_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MANY_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
