"""True answers for the OpenAPI document: what the embedded default says of the phantom."""

import json
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("examples.json")


@cache
def example(name: str) -> dict[str, Any]:
    """The recorded answer of route ``name`` to docs/phantom.png with ``overlay=false``."""
    examples: dict[str, dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return examples[name]
