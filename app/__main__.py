"""``python -m app``: the service on uvicorn, configured by the environment."""

import logging.config
import sys

import uvicorn
from pydantic import ValidationError

from app.logs import log_config
from app.main import create_app
from app.settings import Settings

DRAIN_SECONDS = 5
"""Beyond the deadline of a request: how long a shutdown waits for answers under way."""


def main() -> int:
    """Serves until told to stop; returns the exit status, 3 when the networks could not be started."""
    try:
        settings = Settings()
    except ValidationError as error:
        faults = [f"CXR_{fault['loc'][0]}".upper() + f": {fault['msg']}" for fault in error.errors()]
        print(f"settings: {'; '.join(faults)}", file=sys.stderr)
        return 2
    logging.config.dictConfig(log_config(settings.log_level))
    app = create_app(settings, on_failure=lambda: setattr(server, "should_exit", True))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.request_timeout_s) + DRAIN_SECONDS,
        )
    )
    server.run()
    return 3 if app.state.service.failure else 0


if __name__ == "__main__":
    sys.exit(main())
