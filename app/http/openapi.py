"""Adds recorded answers to the OpenAPI document as examples."""

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI

EXAMPLES = Path(__file__).parents[1] / "reports" / "examples.json"
"""By route: the recorded answer to docs/phantom.png with ``overlay=false``."""


def add_examples(app: FastAPI) -> None:
    """Puts the recorded answers into the finished document: the framework would drop the nulls in them."""
    build = app.openapi

    def openapi() -> dict[str, Any]:
        document = build()
        for route, answer in json.loads(EXAMPLES.read_text(encoding="utf-8")).items():
            answers = document["paths"][f"/{route}"]["post"]["responses"]
            answers["200"]["content"]["application/json"]["example"] = answer
        return document

    app.openapi = openapi  # type: ignore[method-assign]
