"""The id under which a request is answered and logged."""

import re
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import Scope

REQUEST_ID_HEADER = "X-Request-ID"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")


def choose_request_id(scope: Scope) -> str:
    """The client's ``X-Request-ID`` where it is a plain token, else a new one."""
    offered = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
    return offered if _ACCEPTED.fullmatch(offered) else uuid4().hex


def request_id(scope: Scope) -> str:
    """The id that was chosen for this request."""
    return str(scope["state"]["request_id"])
