"""Reads how urgent an analysis is: what its ``Priority`` asks for, but not more than its key allows."""

from typing import Annotated

from fastapi import Depends, Header, Request

from app.keys import Key
from app.routes.authentication import require_key
from app.urgency import urgency_in

_DESCRIPTION = "`u=0` (first) to `u=7` (last), `u=3` where it says nothing (RFC 9218); the key may have a limit"


async def read_priority(
    request: Request,
    key: Annotated[Key, Depends(require_key)],
    priority: Annotated[str, Header(description=_DESCRIPTION, examples=["u=6"])] = "",
) -> None:
    """Keeps a request's urgency and key with its state, for its admission, and notes the urgency in its log line."""
    request.state.urgency = request.state.log["urgency"] = max(urgency_in(priority), key.urgency)
    request.state.key = key
