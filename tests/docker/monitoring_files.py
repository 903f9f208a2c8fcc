"""What ``docker/prometheus`` and ``docker/grafana`` ship, parsed."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support import ROOT

PROMETHEUS = ROOT / "docker" / "prometheus"
GRAFANA = ROOT / "docker" / "grafana"
RULES = PROMETHEUS / "rules.yml"
RULE_TESTS = sorted(PROMETHEUS.glob("rules*_test.yml"))

_OPERATORS = frozenset({"and", "or", "unless", "offset", "bool", "inf", "nan"})


@dataclass(frozen=True)
class Target:
    """One query of a panel."""

    panel: str
    expression: str
    instant: bool


def read_yaml(path: Path) -> Any:
    """The file's content, as YAML has it."""
    return yaml.safe_load(path.read_text())


def rules() -> list[dict[str, Any]]:
    """Every recording and alert rule."""
    return [rule for group in read_yaml(RULES)["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Every alert rule; two may bear the same name."""
    return [rule for rule in rules() if "alert" in rule]


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    parsed: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "cxr.json").read_text())
    return parsed


def panels() -> list[dict[str, Any]]:
    """Every panel that shows something, so no rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def targets() -> Iterator[Target]:
    """Every query of every panel."""
    for panel in panels():
        for target in panel["targets"]:
            yield Target(panel["title"], target["expr"], target["instant"])


def metric_names(expression: str) -> set[str]:
    """The metrics that a PromQL expression selects."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    return set(re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])", bare)) - _OPERATORS


def config_with_key(key: Path) -> dict[str, Any]:
    """The configuration with the lines for closed operations endpoints taken in, and the key's file at ``key``."""
    text = (PROMETHEUS / "prometheus.yml").read_text()
    taken_in = re.sub(r"^(    )# (authorization:|  credentials_file: .*)$", r"\1\2", text, flags=re.MULTILINE)
    config: dict[str, Any] = yaml.safe_load(taken_in)
    (job,) = config["scrape_configs"]
    job["authorization"]["credentials_file"] = str(key)
    return config
