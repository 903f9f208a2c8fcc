"""A real Prometheus in a process of its own, on loopback, with the shipped rules."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.docker.monitoring_files import RULES, config_with_key, read_yaml
from tests.support.polling import until
from tests.support.ports import free_port
from tests.support.processes import answering
from tests.support.programs import program


@dataclass
class Prometheus:
    """A running server and its HTTP API."""

    client: httpx.Client

    def ready(self) -> bool:
        """Whether it answers queries."""
        return self.client.get("/-/ready").status_code == 200

    def get(self, path: str, **parameters: str | float) -> Any:
        """The ``data`` of an answer, which must be a success."""
        answer = self.client.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, each with its one sample in ``values``."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return [{**series, "values": [series["value"]]} for series in found]

    def query_range(self, expression: str, seconds: float) -> list[dict[str, Any]]:
        """The series of the last ``seconds``, a sample a second."""
        now = time.time()
        found: list[dict[str, Any]] = self.get("query_range", query=expression, start=now - seconds, end=now, step=1)[
            "result"
        ]
        return found

    def scrapes(self) -> int:
        """How often the service was scraped with success in the last minutes."""
        return sum(int(series["value"][1]) for series in self.query('sum_over_time(up{job="cxr"}[10m])'))

    def wait_scraped(self, times: int) -> None:
        """Waits for that many more scrapes, and until every rule has seen them."""
        before = self.scrapes()
        until(lambda: self.scrapes() >= before + times, f"{times} scrapes")
        seen = time.time()
        until(lambda: self._evaluated_since(seen), "an evaluation of all rules")

    def _evaluated_since(self, moment: float) -> bool:
        stale = f"min(prometheus_rule_group_last_evaluation_timestamp_seconds) > {moment}"
        return bool(self.query(stale))


@contextmanager
def scraping(folder: Path, service_address: str, key: str, history: str) -> Iterator[Prometheus]:
    """Prometheus with the shipped configuration and rules, but a static target and a second between scrapes.

    Args:
        service_address: HOST:PORT of the one replica.
        key: what opens its operations endpoints.
        history: samples of the past in OpenMetrics' text form, loaded before the start.
    """
    server, promtool = program("prometheus"), program("promtool")
    own_address = f"127.0.0.1:{free_port()}"
    past = folder / "history.om"
    past.write_text(history)
    storage = folder / "storage"
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", past, storage], check=True, capture_output=True
    )
    command = [
        server,
        f"--config.file={_write_config(folder, service_address, key, own_address)}",
        f"--storage.tsdb.path={storage}",
        f"--web.listen-address={own_address}",
        "--log.level=warn",
    ]
    with httpx.Client(base_url=f"http://{own_address}", timeout=30) as client:
        prometheus = Prometheus(client)
        with answering(command, folder / "prometheus.log", prometheus.ready):
            yield prometheus


def _write_config(folder: Path, service_address: str, key: str, own_address: str) -> Path:
    key_file = folder / "operations-key"
    key_file.write_text(key)
    config = config_with_key(key_file)
    config["global"] = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "1s")
    (job,) = config["scrape_configs"]
    for discovery in ("dns_sd_configs", "relabel_configs"):
        del job[discovery]
    job["static_configs"] = [{"targets": [service_address], "labels": {"service": "service-cpu"}}]
    # Its own figures tell when the rules were evaluated.
    config["scrape_configs"].append({"job_name": "prometheus", "static_configs": [{"targets": [own_address]}]})
    rules = read_yaml(RULES)
    for group in rules["groups"]:
        group.pop("interval", None)
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def week_of_scores(now: float) -> str:
    """What a replica counted in the eight days that ended three hours before ``now``, in OpenMetrics' text form.

    Each half hour 0, 1, … 6 radiographs of score 0, 1, … 6, two of them borderline.
    """
    step, steps = 1800, 8 * 48 - 6
    start = int(now) - 8 * 86400
    labels = 'job="cxr",instance="gone:8000"'
    lines = ["# TYPE cxr_score counter"]
    for score in range(7):
        lines += [f'cxr_score_total{{{labels},score="{score}"}} {score * n} {start + n * step}' for n in range(steps)]
    lines.append("# TYPE cxr_flag counter")
    lines += [f'cxr_flag_total{{{labels},flag="borderline"}} {2 * n} {start + n * step}' for n in range(steps)]
    return "\n".join([*lines, "# EOF", ""])
