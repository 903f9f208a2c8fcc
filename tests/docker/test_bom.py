"""The bills of materials of the images and of the models: complete, true to their sources, and valid."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from pip_requirements_parser import RequirementsFile

from models.weights.cards import ModelCard
from tests.support import ROOT
from tests.support.scripts import load_script

bom = load_script(ROOT / "docker" / "bom.py", "bom")
DEBIAN = Path("/var/lib/dpkg/status")


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By name, as the command writes them; each is valid."""
    folder = tmp_path_factory.mktemp("sbom")
    made = subprocess.run(
        [sys.executable, str(ROOT / "docker" / "bom.py"), "--out", str(folder)], check=False, capture_output=True
    )
    assert made.returncode == 0, made.stderr.decode()
    texts = {path.name.removesuffix(".cdx.json"): path.read_text() for path in folder.iterdir()}
    assert set(texts) == {"image-cpu", "image-cuda", "models"}
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert [validator.validate_str(text) for text in texts.values()] == [None] * 3
    return {name: json.loads(text) for name, text in texts.items()}


@pytest.mark.parametrize("variant", ["cpu", "cuda"])
def test_an_image_is_what_its_lock_file_has(bills: dict[str, dict[str, Any]], variant: str) -> None:
    lock = RequirementsFile.from_file(str(ROOT / "docker" / f"requirements-{variant}.txt")).requirements
    listed = {part["purl"]: part for part in bills[f"image-{variant}"]["components"] if "purl" in part}
    assert set(listed) == {f"pkg:pypi/{one.name}@{one.get_pinned_version}" for one in lock}
    for one in lock:
        part = listed[f"pkg:pypi/{one.name}@{one.get_pinned_version}"]
        (files,) = part["externalReferences"]
        assert {f"sha256:{digest['content']}" for digest in files["hashes"]} == set(one.hash_options)
    # Its wheel says nothing about a licence.
    assert {part["name"] for part in listed.values() if not part.get("licenses")} <= {"cuda-toolkit"}
    licences = {name: listed[purl]["licenses"] for purl in listed if (name := listed[purl]["name"]) in ("h11", "numpy")}
    assert licences["h11"] == [{"license": {"id": "MIT"}}]
    assert licences["numpy"][0]["expression"].startswith("BSD-3-Clause AND ")


def test_models_have_their_cards_files_and_data(bills: dict[str, dict[str, Any]]) -> None:
    parts = {part["bom-ref"]: part for part in bills["models"]["components"]}
    for role in ("lungs", "disease"):
        card = ModelCard.model_validate_json((bom.WEIGHTS / f"{role}.json").read_text())
        part = parts[role]
        assert (part["name"], part["hashes"][0]["content"]) == (card.name, card.sha256)
        assert part["licenses"] == [{"license": {"name": card.licence}}]
        files = {one["name"]: one["hashes"][0]["content"] for one in part["components"]}
        assert f"{role}.safetensors" in files and len(files) == 3
        assert all(hashlib.sha256((bom.WEIGHTS / name).read_bytes()).hexdigest() == files[name] for name in files)
        (data,) = part["modelCard"]["modelParameters"]["datasets"]
        assert data["description"] == card.training_data
        figures = part["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
        val = {one["type"]: float(one["value"]) for one in figures if one["slice"] == "val"}
        assert val == card.metrics["val"] and val
    notice = " ".join((ROOT / "NOTICE").read_text().split())
    data_parts = [part for part in parts.values() if part["type"] == "data"]
    assert len(data_parts) == len(re.findall(r"^ {2}\S", (ROOT / "NOTICE").read_text(), re.MULTILINE))
    assert all(part["name"] in notice and part["licenses"] for part in data_parts)


@pytest.mark.skipif(not DEBIAN.is_file(), reason="not Debian")
def test_debian_packages_are_those_that_dpkg_knows() -> None:
    system, *parts = bom.debian_packages(Path("/"))
    assert system.name == "debian" and system.version
    listed = {(part.name, part.version) for part in parts}
    shown = "${db:Status-Status} ${Package} ${Version}\n"
    told = subprocess.run(["dpkg-query", "--show", f"--showformat={shown}"], check=True, capture_output=True, text=True)
    rows = [line.split() for line in told.stdout.splitlines()]
    assert listed == {(name, version) for status, name, version in rows if status == "installed"}
    (libc,) = [str(part.purl) for part in parts if part.name == "libc-bin"]
    assert libc.startswith("pkg:deb/debian/libc-bin@") and f"distro=debian-{system.version}&upstream=glibc" in libc


def test_a_bill_that_is_not_valid_or_not_complete_is_refused() -> None:
    with pytest.raises(bom.BomError, match="components"):
        bom.checked('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library"}]}')
    installed = bom.packages_of(None)
    del installed["numpy"]
    with pytest.raises(bom.BomError, match="numpy is not installed"):
        bom.image_bill("cpu", installed, None)
