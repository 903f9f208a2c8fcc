"""Pages for people, which load nothing from other hosts: ``GET /``, the viewer, and ``GET /docs``, the API."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Final, NamedTuple

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from app.errors import NotFound

STATIC: Final = "/static-offline-docs"
"""Where the assets of fastapi-offline are mounted."""
FOLDER: Final = Path(__file__).parents[1] / "viewer"
VIEWER_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""The viewer has no inline script or style, makes no HTML from text, and sends requests only to its own origin."""
_INLINE_SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_MEDIA_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class _Asset(NamedTuple):
    media_type: str
    content: bytes


def _read_assets() -> dict[str, _Asset]:
    """All assets by name. They are few and small, so they are read before the first request."""
    files = (path for path in FOLDER.iterdir() if path.suffix in _MEDIA_TYPES)
    return {path.name: _Asset(_MEDIA_TYPES[path.suffix], path.read_bytes()) for path in files}


_ASSETS: Final = _read_assets()

router = APIRouter(include_in_schema=False)


@router.get("/")
async def viewer() -> Response:
    """The viewer."""
    return _response(_ASSETS["index.html"])


@router.get("/viewer/{name}")
async def viewer_part(name: str) -> Response:
    """One file of the viewer; raises NotFound."""
    if name not in _ASSETS:
        raise NotFound("The viewer has no such part")
    return _response(_ASSETS[name])


@router.get("/docs")
async def documentation(request: Request) -> HTMLResponse:
    """Swagger UI over ``/openapi.json``."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}{request.app.openapi_url}",
        title=f"{request.app.title}: API",
        swagger_js_url=f"{root}{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{root}{STATIC}/favicon.png",
    )
    page.headers["Content-Security-Policy"] = _documentation_policy(bytes(page.body))
    return page


def _response(asset: _Asset) -> Response:
    return Response(asset.content, media_type=asset.media_type, headers={"Content-Security-Policy": VIEWER_POLICY})


def _documentation_policy(page: bytes) -> str:
    """A policy that allows the page's own scripts, by their hashes, and nothing from elsewhere."""
    hashes = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE_SCRIPT.findall(page)]
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
