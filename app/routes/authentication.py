"""Checks API keys, sent as ``Authorization: Bearer`` or ``X-API-Key``, and names the caller."""

import re
from dataclasses import replace
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from app.errors import Unauthorised
from app.http.context import CALLER_HEADER
from app.keyring import Keyring
from app.keys import ANYBODY, Key
from app.service import Service

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

_bearer = HTTPBearer(auto_error=False, description="An API key, where the operator has set any")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, in a header of its own")


async def _offered(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    header: Annotated[str | None, Depends(_header)],
) -> str:
    return bearer.credentials if bearer else header or ""


async def require_key(request: Request, offered: Annotated[str, Depends(_offered)]) -> Key:
    """The caller's API key, which an analysis requires unless no keys are set; raises Unauthorised."""
    service: Service = request.app.state.service
    return _check(request, offered, service.keys)


async def require_operations_key(request: Request, offered: Annotated[str, Depends(_offered)]) -> Key:
    """The caller's operations key, required unless none are set; raises Unauthorised."""
    service: Service = request.app.state.service
    return _check(request, offered, service.operations_keys)


def _check(request: Request, offered: str, keyring: Keyring) -> Key:
    """Names the caller in the request's log line; raises Unauthorised for an unknown one."""
    if keyring.is_empty:
        return ANYBODY
    key = keyring.find(offered)
    if key is None:
        raise Unauthorised("This needs an API key", {"WWW-Authenticate": "Bearer"})
    if key.vouches and _NAME.fullmatch(name := request.headers.get(CALLER_HEADER, "")):
        key = replace(key, caller=name)
    request.state.log["caller"] = key.caller
    return key
