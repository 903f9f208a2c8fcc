"""Checks API keys, sent as ``Authorization: Bearer`` or ``X-API-Key``, against the hashes in the settings."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from app.errors import Unauthorised
from app.keys import is_among
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
    _check(offered, service.settings.api_keys)


async def require_operations_key(request: Request, offered: Annotated[str, Depends(_offered)]) -> None:
    """Requires a valid operations key, unless none are set; raises Unauthorised."""
    service: Service = request.app.state.service
    _check(offered, service.settings.operations_keys)


def _check(offered: str, hashes: tuple[str, ...]) -> None:
    if hashes and not is_among(offered, hashes):
        raise Unauthorised("This needs an API key", {"WWW-Authenticate": "Bearer"})
