"""Clients that generators make of /openapi.json, against the live service: a score, masks, an error, a key."""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.keys import hash_key
from tests.support import ROOT
from tests.support.programs import program
from tests.support.server import Server, running

KEY = "a key of a test"
PACKAGE = "cxr_generated"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("locked"), CXR_API_KEYS=hash_key(KEY)) as server:
        yield server


@pytest.fixture(scope="module")
def document(locked: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(locked.client.get("/openapi.json").text)
    return path


@pytest.fixture(scope="module")
def generated(document: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a package by openapi-python-client, which has nothing to say against the document."""
    folder = tmp_path_factory.mktemp("python")
    config = folder / "config.yaml"
    (settings,) = re.findall(r"```yaml\n(# openapi-python-client.*?)```", (ROOT / "docs" / "api.md").read_text(), re.S)
    config.write_text(settings)
    command = [str(Path(sys.executable).with_name("openapi-python-client")), "generate", "--path", str(document)]
    command += ["--config", str(config), "--meta", "none", "--output-path", str(folder / PACKAGE)]
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    made = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "WARNING" not in made.stdout, made.stdout
    sys.path.insert(0, str(folder))
    try:
        yield PACKAGE
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]


def module(generated: str, name: str) -> ModuleType:
    return importlib.import_module(f"{generated}.{name}")


def test_a_python_client(generated: str, locked: Server, phantom_png: bytes) -> None:
    models, types = module(generated, "models"), module(generated, "types")
    client = module(generated, "client").AuthenticatedClient(base_url=locked.url, token=KEY, timeout=60)

    def form() -> Any:
        file = types.File(payload=BytesIO(phantom_png), file_name="chest.png", mime_type="image/png")
        return models.ScoreFilesBody(file=file)

    key = {"X-API-Key": KEY}
    asked = locked.client.post("/score?overlay=false&uncertainty=true", content=phantom_png, headers=key).json()
    score = module(generated, "api.analysis.score")
    report = score.sync(client=client, body=form(), overlay=False, uncertainty=True)
    assert isinstance(report, models.ScoreReport)
    assert report.score == asked["score"]
    assert [zone.to_dict() for zone in report.zones] == asked["zones"]
    assert report.uncertainty.score_range == asked["uncertainty"]["score_range"]

    raw = types.File(payload=BytesIO(phantom_png), mime_type="application/octet-stream")
    segmented = module(generated, "api.analysis.segment").sync(client=client, body=raw, contours=True, overlay=False)
    assert isinstance(segmented, models.SegmentReport)
    assert segmented.masks.lungs.contours

    text = types.File(payload=BytesIO(b"no picture"), mime_type="application/octet-stream")
    problem = score.sync_detailed(client=client, body=text)
    assert problem.status_code == 415
    assert problem.parsed.code is models.ProblemReportCode.UNSUPPORTED_FORMAT

    stranger = module(generated, "client").Client(base_url=locked.url)
    refused = score.sync_detailed(client=stranger, body=form())
    assert refused.parsed.code is models.ProblemReportCode.UNAUTHORISED


TRY: str = """
const { readFileSync } = require("node:fs");
const { client } = require("./js/client.gen.js");
const { score, segment } = require("./js/sdk.gen.js");
const [url, key, picture] = process.argv.slice(2);
const file = new Blob([readFileSync(picture)], { type: "image/png" });
client.setConfig({ baseUrl: url });
const auth = () => key;

async function main() {
  const found = await score({ client, auth, body: { file }, query: { overlay: false } });
  const masks = await segment({ client, auth, body: { file }, query: { overlay: false, contours: true } });
  const wrong = await score({ client, auth, body: { file: new Blob(["no picture"]) } });
  const stranger = await score({ client, body: { file } });
  console.log(JSON.stringify({
    score: found.data.score,
    outlines: masks.data.masks.lungs.contours.length,
    wrong: wrong.error.code,
    stranger: stranger.error.code,
  }));
}
main();
"""


def test_a_typescript_client(document: Path, locked: Server, phantom_png: bytes, tmp_path: Path) -> None:
    generate, compile_, node = program("openapi-ts"), program("tsc"), program("node", "nodejs")
    made = subprocess.run(
        [generate, "--input", str(document), "--output", "ts", "--client", "@hey-api/client-fetch"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    options = ["--strict", "--outDir", "js", "--module", "commonjs", "--moduleResolution", "node10"]
    options += ["--target", "es2022", "--lib", "es2022,dom,dom.iterable"]
    built = subprocess.run(
        [compile_, *options, "ts/index.ts"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout
    (tmp_path / "try.cjs").write_text(TRY)
    (tmp_path / "chest.png").write_bytes(phantom_png)
    ran = subprocess.run(
        [node, "try.cjs", locked.url, KEY, "chest.png"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    answer = locked.client.post("/score?overlay=false", content=phantom_png, headers={"X-API-Key": KEY})
    found = json.loads(ran.stdout)
    assert found["outlines"] >= 2
    assert found | {"outlines": 0} == {
        "score": answer.json()["score"],
        "outlines": 0,
        "wrong": "unsupported_format",
        "stranger": "unauthorised",
    }
