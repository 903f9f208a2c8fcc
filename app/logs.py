"""Structured logs: one JSON object a line. They hold no file names, no pictures and no patient data."""

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import Any

REQUEST_LOGGER = "cxr.request"
SERVICE_LOGGER = "cxr.service"


class JsonFormatter(logging.Formatter):
    """A record's message and its ``fields`` (``extra={"fields": {...}}``) as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def log_config(level: str) -> dict[str, Any]:
    """The configuration for ``logging.config.dictConfig``. Uvicorn's access log is off, as it would repeat URLs."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
        "root": {"handlers": ["stdout"], "level": "WARNING"},
        "loggers": {
            "cxr": {"level": level},
            "uvicorn": {"level": "INFO"},
            "uvicorn.access": {"level": "CRITICAL"},
        },
    }


def log_event(
    logger: str, message: str, level: int = logging.INFO, error: Exception | None = None, **fields: object
) -> None:
    """Writes one line with ``fields`` and the traceback of ``error``."""
    logging.getLogger(logger).log(level, message, exc_info=error, extra={"fields": fields})
