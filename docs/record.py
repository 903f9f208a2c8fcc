"""``make examples``: writes down what the embedded default says of the phantom.

The self-test's known answer, docs/phantom.png, the OpenAPI examples and the README's overlay picture all come
from here, so that each is true. To be run after the weights or the answers' form changed.
"""

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import cv2
import httpx

from app.http.openapi import EXAMPLES
from app.main import create_app
from app.service import Service
from app.settings import Settings
from app.startup import load_workflow
from models import selftest
from models.selftest import draw_test_picture

ROOT = Path(__file__).parents[1]
PHANTOM = ROOT / "docs" / "phantom.png"
README = ROOT / "README.md"
OVERLAY = ROOT / "docs" / "overlay.jpg"


def with_example(text: str, answer: dict[str, Any]) -> str:
    """The README with the main fields of the recorded answer of /score in the fenced block behind its mark."""
    lines = [f'  "{name}": {json.dumps(answer[name])}' for name in ("score", "max_score", "threshold", "margin")]
    zones = [
        "    " + json.dumps({name: zone[name] for name in ("zone", "share", "affected")}) for zone in answer["zones"]
    ]
    lines.append('  "zones": [\n' + ",\n".join(zones) + "\n  ]")
    lines += [f'  "{name}": {json.dumps(answer[name])}' for name in ("diseased_share", "quality", "notice")]
    block = "<!-- example:score -->\n```json\n{\n" + ",\n".join(lines) + "\n}\n```"
    return re.sub(r"<!-- example:score -->\n```json\n.*?```", lambda _: block, text, count=1, flags=re.DOTALL)


async def main() -> None:
    """Asks the application itself, without a network."""
    settings = Settings(_env_file=None)
    workflow = load_workflow(settings)
    selftest.record(load_workflow(Settings(_env_file=None, precision="float32")))
    done, png = cv2.imencode(".png", draw_test_picture(), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise RuntimeError("the phantom could not be encoded")
    PHANTOM.write_bytes(png.tobytes())
    app = create_app(settings, workflow)
    service: Service = app.state.service
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        await service.started()
        answers = {
            name: (await client.post(f"/{name}?overlay=false", files={"file": png.tobytes()})).json()
            for name in ("score", "segment")
        }
        picture = (await client.post("/score", files={"file": png.tobytes()})).json()["overlay"]
    EXAMPLES.write_text(json.dumps(answers, indent=2) + "\n", encoding="utf-8")
    README.write_text(with_example(README.read_text(encoding="utf-8"), answers["score"]), encoding="utf-8")
    OVERLAY.write_bytes(base64.b64decode(picture["data"]))


if __name__ == "__main__":
    asyncio.run(main())
