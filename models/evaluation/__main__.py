"""``python -m models.evaluation``: says what to install where the extra ``evaluation`` is missing."""

import sys

_NEEDED = frozenset({"matplotlib", "scipy", "sklearn"})


def _run() -> int:
    try:
        from models.evaluation.command import main
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(f"{error.name} is missing: pip install 'cxr-severity[evaluation]'\n")
        return 2
    return main()


if __name__ == "__main__":
    sys.exit(_run())
