"""Renders ``docker/kubernetes`` as ``kubectl apply -k`` would, and holds the objects against the API's schemas."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.support import ROOT

Object: TypeAlias = dict[str, Any]

KUBERNETES = ROOT / "docker" / "kubernetes"
OLDEST = "1.30"
"""The first version whose schema has preStop sleep; the newest known one is tried as well."""
_CUSTOM = {"ScaledObject", "ServiceMonitor", "PrometheusRule"}


def render(folder: Path, resources: Sequence[str], components: Sequence[str] = ()) -> list[Object]:
    """The objects of a site that takes these overlays and components.

    Args:
        folder: an empty folder for the site's kustomization; paths are relative to it.

    Raises:
        subprocess.CalledProcessError: kustomize refuses; ``stderr`` has the reason.
    """
    site = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(resources),
        "components": list(components),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(site))
    return build(folder)


def build(folder: Path) -> list[Object]:
    """The objects of a kustomization; raises like ``render``."""
    done = subprocess.run([_kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return [loaded for loaded in yaml.load_all(done.stdout, yaml.CSafeLoader) if loaded]


def relative(folder: Path, paths: Sequence[str], kubernetes: Path = KUBERNETES) -> list[str]:
    """Paths under ``docker/kubernetes`` as seen from a folder: kustomize takes no absolute ones."""
    return [os.path.relpath(kubernetes / path, folder) for path in paths]


def schema_faults(thing: Object) -> tuple[str, ...]:
    """What the API server would refuse or drop: wrong types, missing and unknown fields."""
    return _schema_faults(json.dumps(thing))


@cache
def _schema_faults(text: str) -> tuple[str, ...]:
    """Of an object as JSON. A fault is in one of eight objects, and a schema of 1 MB is read anew for each."""
    return tuple(_found_faults(json.loads(text)))


def _found_faults(thing: Object) -> Iterator[str]:
    name = f"{thing['kind']} {thing['metadata']['name']}"
    if thing["kind"] in _CUSTOM:
        for fault in _custom_schema(thing["kind"]).iter_errors(thing):
            yield f"{name}: {fault.json_path}: {fault.message}"
        return
    for version in (OLDEST, kubernetes_validate.latest_version()):
        try:
            kubernetes_validate.validate(thing, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {version}: {error.message}"


@cache
def _custom_schema(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((KUBERNETES / "schemas" / f"{kind}.json").read_text()))


def _kubectl() -> str:
    found = shutil.which("kubectl", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    if found is None:
        pytest.skip("kubectl is not installed")
    return found
