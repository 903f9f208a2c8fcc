"""``python -m app``: the service, configured by the environment."""

import sys

from pydantic import ValidationError

from app.settings import Settings

SETTINGS_STATUS = 2


def main() -> int:
    """Serves until told to stop; returns the exit status."""
    try:
        settings = Settings()
    except ValidationError as error:
        faults = [f"CXR_{fault['loc'][0]}".upper() + f": {fault['msg']}" for fault in error.errors()]
        print(f"settings: {'; '.join(faults)}", file=sys.stderr)
        return SETTINGS_STATUS
    # This import takes seconds; a wrong setting is reported before it.
    from app.serving import serve

    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
