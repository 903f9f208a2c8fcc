"""The shipped Prometheus and Grafana files: checked by promtool, and run against the real service."""

import io
import math
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from app.keys import hash_key, new_key
from app.main import create_app
from app.settings import Settings
from tests.docker.monitoring_files import (
    GRAFANA,
    PROMETHEUS,
    RULE_TESTS,
    RULES,
    alerts,
    config_with_key,
    dashboard,
    metric_names,
    panels,
    read_yaml,
    rules,
    targets,
)
from tests.docker.monitoring_prometheus import Prometheus, scraping, week_of_scores
from tests.support import ROOT, metrics
from tests.support.polling import until
from tests.support.programs import program
from tests.support.server import Server, running

CORE_PANELS = {"bargauge", "heatmap", "stat", "state-timeline", "table", "timeseries"}
UNITS = {"none", "bytes", "percentunit", "reqps", "s"}
MAY_BE_EMPTY = {
    "Device memory": "a CPU has none of its own",
    "Alerts over time": "none rings for a service that is well",
}
OWN_METRICS = {"up", "ALERTS"}
"""Made by Prometheus, not by the service."""
KEY = new_key()


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool"), *arguments], cwd=PROMETHEUS, capture_output=True, text=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
        *(("test", "rules", path.name) for path in RULE_TESTS),
    ],
    ids=" ".join,
)
def test_promtool_accepts(arguments: tuple[str, ...]) -> None:
    done = promtool(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_key_of_closed_operations_endpoints_can_be_taken_in(tmp_path: Path) -> None:
    key = tmp_path / "operations-key"
    key.write_text(KEY)
    (tmp_path / "rules.yml").write_text(RULES.read_text())
    config = tmp_path / "prometheus.yml"
    config.write_text(yaml.safe_dump(config_with_key(key)))
    done = promtool("check", "config", config)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_ringing_and_silent() -> None:
    cases = [
        case for path in RULE_TESTS for test in read_yaml(path)["tests"] for case in test.get("alert_rule_test", [])
    ]
    names = {alert["alert"] for alert in alerts()}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert anchor == f"alert-{alert['alert'].lower()}"
    # Where compose has the gateway show the page.
    assert page == "http://127.0.0.1:8080/gateway/runbook"
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / "operations.md").read_text(), flags=re.MULTILINE)
    # As GitHub makes anchors: lower case, punctuation away, a hyphen for each space.
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert anchor in anchors


def test_every_recorded_expression_is_used_by_an_alert_or_a_rule_and_by_a_panel() -> None:
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    shown = set().union(*(metric_names(target.expression) for target in targets()))
    in_rules = set().union(*(metric_names(rule["expr"]) for rule in rules()))
    assert set(recorded) <= in_rules
    behind = set().union(*(metric_names(recorded[name]) for name in shown & set(recorded)))
    assert set(recorded) <= shown | behind


def test_every_choice_of_routes_is_that_of_all_analyses() -> None:
    app = create_app(Settings(_env_file=None))
    routes = {path for path, methods in app.openapi()["paths"].items() if "post" in methods}
    others = set(app.openapi()["paths"]) - routes
    expressions = [target.expression for target in targets()] + [rule["expr"] for rule in rules()]
    chosen = {pattern for expression in expressions for pattern in re.findall(r'route=~?"([^"]*)"', expression)}
    assert chosen
    for pattern in chosen:
        assert {route for route in routes | others if re.fullmatch(pattern, route)} == routes


def test_panels_are_whole() -> None:
    board = dashboard()
    assert board["schemaVersion"] >= 39
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels():
        assert panel["title"].strip()
        assert panel["description"].strip().endswith(".")
        assert panel["type"] in CORE_PANELS
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["targets"]


def test_panels_lie_side_by_side() -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard()["panels"]]
    for title, place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24, title
    for (one, first), (other, second) in combinations(places, 2):
        apart_across = first["x"] + first["w"] <= second["x"] or second["x"] + second["w"] <= first["x"]
        apart_down = first["y"] + first["h"] <= second["y"] or second["y"] + second["h"] <= first["y"]
        assert apart_across or apart_down, (one, other)


def test_the_dashboard_asks_the_provisioned_datasource() -> None:
    (source,) = read_yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    reference = {"type": source["type"], "uid": source["uid"]}
    assert source["jsonData"]["timeInterval"] == read_yaml(PROMETHEUS / "prometheus.yml")["global"]["scrape_interval"]
    assert [variable["datasource"] for variable in dashboard()["templating"]["list"]] == [reference]
    for panel in panels():
        assert panel["datasource"] == reference
        assert all(target["datasource"] == reference for target in panel["targets"])


def test_the_dashboard_is_provisioned() -> None:
    (provider,) = read_yaml(GRAFANA / "provisioning" / "dashboards" / "cxr.yml")["providers"]
    assert provider["type"] == "file"
    mounts = read_yaml(ROOT / "docker-compose.yml")["services"]["grafana"]["volumes"]
    assert f"./docker/grafana/dashboards:{provider['options']['path']}:ro" in mounts


@dataclass
class Monitored:
    """A service that was asked good and bad things while Prometheus looked on."""

    service: Server
    prometheus: Prometheus


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    for name in ("prometheus", "promtool"):
        program(name)
    folder = tmp_path_factory.mktemp("prometheus")
    # One place and a short deadline, so that a client that dawdles meets all the refusals there are.
    settings = {"CXR_MAX_IN_FLIGHT": "1", "CXR_REQUEST_TIMEOUT_S": "8", "CXR_OPERATIONS_KEYS": hash_key(KEY)}
    with running(tmp_path_factory.mktemp("service"), **settings) as service:
        address = service.url.removeprefix("http://")
        with scraping(folder, address, KEY, week_of_scores(time.time())) as prometheus:
            prometheus.wait_scraped(2)
            refuse_and_leave(service)
            analyse(service)
            prometheus.wait_scraped(2)
            # The second time every series is there already, so that its increase shows.
            analyse(service)
            leave(service)
            prometheus.wait_scraped(3)
            yield Monitored(service, prometheus)


def analyse(service: Server) -> None:
    phantom = (ROOT / "docs" / "phantom.png").read_bytes()
    flat = io.BytesIO()
    Image.new("L", (300, 300), 90).save(flat, "PNG")
    client = service.client
    assert client.post("/score", params={"overlay": False}, content=phantom).json()["score"] is not None
    assert client.post("/segment", content=phantom).status_code == 200
    assert client.post("/score", content=flat.getvalue()).json()["score"] is None
    assert client.post("/score", content=b"no picture").status_code == 415


def refuse_and_leave(service: Server) -> None:
    with unfinished_upload(service) as connection:
        assert service.client.post("/score", content=b"no place").json()["code"] == "overloaded"
        assert b" 504 " in connection.recv(1024).splitlines()[0]
    leave(service)


def leave(service: Server) -> None:
    before = counted(service, "cxr_dropped_total", cause="client_gone")
    with unfinished_upload(service):
        pass
    until(lambda: counted(service, "cxr_dropped_total", cause="client_gone") > before, "a client that left")


@contextmanager
def unfinished_upload(service: Server) -> Iterator[socket.socket]:
    """A request that holds the one place and whose body does not come."""
    until(lambda: counted(service, "cxr_requests_in_flight") == 0, "a free place")
    with socket.create_connection(service.address, timeout=60) as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: service\r\nContent-Length: 1000\r\n\r\nbegun")
        until(lambda: counted(service, "cxr_requests_in_flight") == 1, "an upload under way")
        yield client


def exposed(service: Server) -> str:
    return service.client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).raise_for_status().text


def counted(service: Server, name: str, **labels: str) -> float:
    return metrics.total(exposed(service), name, **labels)


def in_full(expression: str) -> str:
    """The expression as Grafana would send it, all replicas chosen; the range is short, as the test is."""
    values = {"$__rate_interval": "10s", "$__range_s": "600", "$__range": "600s", "$instance": ".*"}
    for variable, value in values.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


def test_every_panel_shows_something(monitored: Monitored) -> None:
    empty = set()
    for target in targets():
        expression = in_full(target.expression)
        if target.instant:
            found = monitored.prometheus.query(expression)
        else:
            found = monitored.prometheus.query_range(expression, 120)
        if not any(math.isfinite(float(value)) for series in found for _, value in series["values"]):
            empty.add((target.panel, expression))
    assert {panel for panel, _ in empty} <= MAY_BE_EMPTY.keys(), empty


def test_replicas_can_be_chosen(monitored: Monitored) -> None:
    (variable,) = dashboard()["templating"]["list"]
    form = re.fullmatch(r"label_values\((\w+),(\w+)\)", variable["query"]["query"])
    assert form is not None
    metric, label = form.groups()
    assert variable["name"] == label
    assert monitored.prometheus.get(f"label/{label}/values", **{"match[]": metric}) == [
        monitored.service.url.removeprefix("http://")
    ]


def test_every_rule_is_evaluated_and_none_rings(monitored: Monitored) -> None:
    groups = monitored.prometheus.get("rules")["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert len(found) == len(rules())
    for rule in found:
        assert rule["health"] == "ok", (rule["name"], rule.get("lastError"))
        assert rule.get("state") != "firing", rule["name"]


def test_every_metric_that_is_asked_for_exists(monitored: Monitored) -> None:
    known = {rule["record"] for rule in rules() if "record" in rule} | OWN_METRICS
    for family in text_string_to_metric_families(exposed(monitored.service)):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}
        known |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    asked = [in_full(target.expression) for target in targets()] + [rule["expr"] for rule in rules()]
    assert set().union(*map(metric_names, asked)) - known == set()


def test_the_week_before_is_compared_with(monitored: Monitored) -> None:
    # As many radiographs as their score is: the mean is (1² + … + 6²) / (1 + … + 6).
    (series,) = monitored.prometheus.query("job:cxr_score:mean1w")
    assert float(series["values"][0][1]) == pytest.approx(91 / 21, rel=0.01)
