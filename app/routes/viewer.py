"""``GET /``: a page on which people look at a radiograph's analysis; it needs nothing from elsewhere."""

from pathlib import Path
from typing import Final, NamedTuple

from fastapi import APIRouter
from starlette.responses import Response

from app.errors import NotFound

FOLDER: Final = Path(__file__).parents[1] / "viewer"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""The page has no script or style of its own in its HTML, makes no HTML from text, and asks nobody but its origin."""
_MEDIA_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class _Asset(NamedTuple):
    media_type: str
    content: bytes


def _read_assets() -> dict[str, _Asset]:
    """By name; they are few and small, and read before the first request."""
    files = (path for path in FOLDER.iterdir() if path.suffix in _MEDIA_TYPES)
    return {path.name: _Asset(_MEDIA_TYPES[path.suffix], path.read_bytes()) for path in files}


_ASSETS: Final = _read_assets()

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    """The viewer."""
    return _response(_ASSETS["index.html"])


@router.get("/viewer/{name}")
async def asset(name: str) -> Response:
    """A part of the viewer; raises NotFound."""
    if name not in _ASSETS:
        raise NotFound("The viewer has no such part")
    return _response(_ASSETS[name])


def _response(asset: _Asset) -> Response:
    return Response(asset.content, media_type=asset.media_type, headers={"Content-Security-Policy": POLICY})
