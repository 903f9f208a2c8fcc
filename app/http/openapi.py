"""Completes the OpenAPI document: examples, and what every answer has."""

import json
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from app.http.context import CALLER_HEADER, VERSION_HEADER
from app.http.request_id import REQUEST_ID_HEADER
from app.reports.schema import ProblemReport

EXAMPLES: Final = Path(__file__).parents[1] / "reports" / "examples.json"
"""By route: the recorded answer to docs/phantom.png with ``overlay=false``."""
_HEADERS: Final = {
    REQUEST_ID_HEADER: {"description": "the request's id, as in the log", "schema": {"type": "string"}},
    VERSION_HEADER: {"description": "the service's version", "schema": {"type": "string"}},
    CALLER_HEADER: {"description": "whose key it was, where one was sent", "schema": {"type": "string"}},
}
"""Of every answer."""


def complete(app: FastAPI) -> None:
    """Puts examples, common headers and the problems' schema into the finished document.

    The framework would drop the nulls in the examples.
    """
    build = app.openapi

    def openapi() -> dict[str, Any]:
        document = build()
        document["components"]["schemas"]["ProblemReport"] = ProblemReport.model_json_schema()
        for methods in document["paths"].values():
            for operation in methods.values():
                for answer in operation["responses"].values():
                    answer["headers"] = {**_HEADERS, **answer.get("headers", {})}
        for route, example in json.loads(EXAMPLES.read_text(encoding="utf-8")).items():
            answers = document["paths"][f"/{route}"]["post"]["responses"]
            answers["200"]["content"]["application/json"]["example"] = example
        return document

    app.openapi = openapi  # type: ignore[method-assign]
