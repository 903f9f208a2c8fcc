"""The edge's settings: variables with the prefix CXR_PACS_, and one that the service reads too; see docs/pacs.md."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from cxr_edge.service import RESULTS, Result

_NAME = re.compile(r"[A-Za-z0-9_-]{0,64}")
_LARGEST_SECONDS = 3600.0


@dataclass(frozen=True)
class Settings:
    """The settings, read once, at start.

    Attributes:
        modalities: modalities of the images that are sent.
        body_parts: more words in Body Part Examined that mean the chest, the same as for the service.
        results: the results to ask for, in this order.
        forward: the peer to which results are sent; empty for none.
        timeout_s: longest silence while waiting for an answer.
        longest_wait_s: longest wait between two tries.
        certificate: file with the edge's own certificate and its key, for a gateway that asks for one.
    """

    url: str
    key: str
    ca: str
    modalities: frozenset[str]
    body_parts: frozenset[str]
    results: tuple[Result, ...]
    forward: str
    timeout_s: float
    longest_wait_s: float
    certificate: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Reads the settings from the environment; an empty value means the default.

        Raises:
            ValueError: a value is not valid; the message names the variable and never shows the key.
        """

        def text(name: str, default: str) -> str:
            return environment.get(f"CXR_PACS_{name}", "").strip() or default

        def seconds(name: str, default: float) -> float:
            given = text(name, str(default))
            try:
                found = float(given)
            except ValueError:
                found = 0.0
            if not 0 < found <= _LARGEST_SECONDS:
                raise ValueError(f"CXR_PACS_{name}: expected seconds, not {given!r}")
            return found

        results = tuple(word.lower() for word in _words(text("RESULTS", "seg,sr,sc")))
        if not results or not set(results) <= set(RESULTS):
            raise ValueError(f"CXR_PACS_RESULTS: expected some of {', '.join(RESULTS)}")
        forward = text("FORWARD", "")
        if not _NAME.fullmatch(forward):
            raise ValueError(f"CXR_PACS_FORWARD: not the name of a peer: {forward!r}")
        return cls(
            text("SERVICE_URL", "http://127.0.0.1:8000"),
            text("SERVICE_KEY", ""),
            text("SERVICE_CA", ""),
            frozenset(word.upper() for word in _words(text("MODALITIES", "CR,DX,DR"))),
            frozenset(_words(environment.get("CXR_BODY_PARTS", ""))),
            cast("tuple[Result, ...]", results),
            forward,
            seconds("TIMEOUT_S", 60),
            seconds("LONGEST_WAIT_S", 60),
            text("SERVICE_CERTIFICATE", ""),
        )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
