"""Checks API keys, sent as ``Authorization: Bearer`` or ``X-API-Key``, against the hashes in the settings."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from app.errors import Unauthorised
from app.keys import caller_of
from app.service import Service

_bearer = HTTPBearer(auto_error=False, description="An API key, where the operator has set any")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key, in a header of its own")


async def _offered(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    header: Annotated[str | None, Depends(_header)],
) -> str:
    return bearer.credentials if bearer else header or ""


async def require_key(request: Request, offered: Annotated[str, Depends(_offered)]) -> None:
    """Requires a valid API key for an analysis, unless no keys are set; raises Unauthorised."""
    service: Service = request.app.state.service
    _check(request, offered, service.settings.api_keys)


async def require_operations_key(request: Request, offered: Annotated[str, Depends(_offered)]) -> None:
    """Requires a valid operations key, unless none are set; raises Unauthorised."""
    service: Service = request.app.state.service
    _check(request, offered, service.settings.operations_keys)


def _check(request: Request, offered: str, entries: tuple[str, ...]) -> None:
    """Names the caller in the request's log line; raises Unauthorised for an unknown one."""
    if not entries:
        return
    caller = caller_of(offered, entries)
    if caller is None:
        raise Unauthorised("This needs an API key", {"WWW-Authenticate": "Bearer"})
    request.state.log["caller"] = caller
