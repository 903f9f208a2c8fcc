"""``cxr-health``: whether the service in this container is ready, for the container's health check."""

import http.client
import sys

from app.settings import Settings

TIMEOUT_SECONDS = 4.0


def main() -> int:
    """Returns 0 when ``/health/ready`` answers 200, else 1."""
    connection = http.client.HTTPConnection("127.0.0.1", Settings().port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{type(error).__name__}\n")
        return 1
    finally:
        connection.close()
    return 0 if status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main())
