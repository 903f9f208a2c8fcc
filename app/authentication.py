"""API keys: any one of those in the settings, as ``Authorization: Bearer`` or ``X-API-Key``."""

from secrets import compare_digest
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from app.errors import Unauthorised
from app.service import Service

_bearer = HTTPBearer(auto_error=False, description="An API key, where the operator has set any")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same, as a header of its own")


async def require_key(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    header: Annotated[str | None, Depends(_header)],
) -> None:
    """Lets a request pass that carries a key, or any where no keys are set.

    Raises:
        Unauthorised: no key, or not one of ours.
    """
    service: Service = request.app.state.service
    keys = service.settings.api_keys
    offered = bearer.credentials if bearer else header or ""
    # Every key is compared, so that the time taken tells nothing of which one was near.
    matches = [compare_digest(offered.encode(), key.get_secret_value().encode()) for key in keys]
    if keys and not any(matches):
        raise Unauthorised("This service needs an API key", {"WWW-Authenticate": "Bearer"})
