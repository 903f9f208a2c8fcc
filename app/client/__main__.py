"""``cxr-score``, or ``python -m app.client``; says what to install where the extra ``client`` is missing."""

import sys

NEEDED = frozenset({"httpx", "rich", "typer"})
USAGE_STATUS = 2


def main() -> None:
    """Runs the command; ends the process with its exit status."""
    try:
        from app.client.command import app
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        sys.stderr.write(f"{error.name} is missing: pip install 'cxr-severity[client]'\n")
        sys.exit(USAGE_STATUS)
    app()


if __name__ == "__main__":
    main()
