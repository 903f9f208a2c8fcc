"""docker-compose.yml as the real docker-compose reads it."""

import os
import subprocess
from typing import Any

import pytest
import yaml

from app.settings import DRAIN_SECONDS, Settings
from tests.support import ROOT
from tests.support.programs import program

COMPOSE = ROOT / "docker-compose.yml"
PROFILES = ("cpu", "gpu", "new", "pacs")
IN_USE = ("service-0", "service-1", "service-cpu")
NEW = "service-new"
REPLICAS = (*IN_USE, NEW)


def resolved(**variables: str) -> dict[str, Any]:
    """The services after anchors, merges and variables are resolved."""
    profiles = [word for profile in PROFILES for word in ("--profile", profile)]
    done = subprocess.run(
        [program("docker-compose"), "--file", COMPOSE, *profiles, "config"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """With every default."""
    return resolved()


def test_each_gpu_has_one_replica(services: dict[str, Any]) -> None:
    devices = [
        services[name]["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"]
        for name in REPLICAS
        if "deploy" in services[name]
    ]
    assert devices == [["0"], ["1"]]
    assert {services[name]["environment"]["CXR_DEVICE"] for name in ("service-0", "service-1")} == {"cuda"}
    assert {services[name]["environment"]["CXR_DEVICE"] for name in ("service-cpu", NEW)} == {"cpu"}


def test_replicas_can_write_nothing_and_reach_nobody(services: dict[str, Any]) -> None:
    networks = yaml.safe_load(COMPOSE.read_text())["networks"]
    for name in REPLICAS:
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert "ports" not in service
        assert [
            volume for volume in service["volumes"] if not str(volume).endswith((":/weights:ro", ":/keys:ro"))
        ] == []
        assert [network for network in service["networks"] if not networks[network]["internal"]] == []


def test_a_replica_has_the_time_it_needs_to_end(services: dict[str, Any]) -> None:
    needed = Settings.model_fields["request_timeout_s"].default + DRAIN_SECONDS
    for name in REPLICAS:
        assert int(services[name]["stop_grace_period"].rstrip("s")) > needed


def test_variables_are_settings(services: dict[str, Any]) -> None:
    fields = {f"CXR_{name}".upper() for name in Settings.model_fields}
    for name in REPLICAS:
        assert set(services[name]["environment"]) <= fields


def test_settings_reach_the_replicas_and_the_gateway() -> None:
    fixed = {"device", "host", "port"}
    given = {f"CXR_{name}".upper(): f"given-{name}" for name in Settings.model_fields if name not in fixed}
    services = resolved(**given)
    for name in IN_USE:
        assert given.items() <= services[name]["environment"].items()
    followed = {name: given[name] for name in ("CXR_MAX_UPLOAD_MB", "CXR_REQUEST_TIMEOUT_S")}
    assert followed.items() <= services["gateway"]["environment"].items()


def test_the_new_version_has_its_own_pair_and_image_and_asks_for_no_requests() -> None:
    pair = {"CXR_LUNGS_WEIGHTS": "lungs", "CXR_DISEASE_WEIGHTS": "disease", "CXR_THRESHOLD": "0.5"}
    old, new = ({name: f"/{name}/{value}" for name, value in pair.items()} for name in ("old", "new"))
    given = old | {name.replace("CXR_", "CXR_NEW_"): value for name, value in new.items()}
    services = resolved(**given, CXR_TAG="1", CXR_NEW_TAG="2", CXR_LOG_LEVEL="DEBUG")
    for name in IN_USE:
        assert old.items() <= services[name]["environment"].items()
    assert (new | {"CXR_LOG_LEVEL": "DEBUG"}).items() <= services[NEW]["environment"].items()
    assert (services["service-cpu"]["image"], services[NEW]["image"]) == ("cxr-severity:1-cpu", "cxr-severity:2-cpu")
    assert {services["gateway"]["environment"][name] for name in ("CANARY", "CANARY_SHARE", "SHADOW")} == {""}


def test_the_gateway_is_told_who_is_on_trial() -> None:
    environment = resolved(CXR_CANARY="a:1", CXR_CANARY_SHARE="7", CXR_SHADOW="b:1")["gateway"]["environment"]
    assert {"CANARY": "a:1", "CANARY_SHARE": "7", "SHADOW": "b:1"}.items() <= environment.items()


def test_gateway_and_prometheus_know_every_replica(services: dict[str, Any]) -> None:
    port = Settings.model_fields["port"].default
    named = services["gateway"]["environment"]["REPLICAS"].split()
    assert sorted(named) == sorted(f"{name}:{port}" for name in IN_USE)
    scraped = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    (targets,) = scraped["dns_sd_configs"]
    assert (sorted(targets["names"]), targets["port"]) == (sorted(REPLICAS), port)


def test_prometheus_keeps_what_is_on_trial_apart() -> None:
    scraped = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    (rule,) = [rule for rule in scraped["relabel_configs"] if rule["target_label"] == "job"]
    assert (rule["source_labels"], rule["regex"], rule["replacement"]) == (["__meta_dns_name"], NEW, "cxr-new")


def test_only_the_gateway_can_be_reached_from_other_machines(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for port in service.get("ports", []):
            assert str(port).startswith("127.0.0.1:"), name


def test_the_edge_can_write_its_archive_only_and_is_not_root(services: dict[str, Any]) -> None:
    edge = services["edge"]
    assert edge["read_only"] is True
    assert edge["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in edge["security_opt"]
    assert edge["user"] == "10001:10001"
    assert [volume for volume in edge["volumes"] if not volume.endswith(":ro")] == ["edge:/var/lib/orthanc/edge:rw"]
    # It sees the gateway, not the replicas.
    assert list(edge["networks"]) == ["front"]
    assert edge["environment"]["CXR_PACS_SERVICE_URL"] == "http://gateway:8080"


def test_the_edges_variables_are_those_that_it_reads(services: dict[str, Any]) -> None:
    folder = ROOT / "docker" / "orthanc"
    start = (folder / "start.sh").read_text()
    settings = (folder / "cxr_edge" / "settings.py").read_text()
    page = (ROOT / "docs" / "pacs.md").read_text()
    for name in services["edge"]["environment"]:
        assert f"${{{name}:-" in start or f'"{name.removeprefix("CXR_PACS_")}"' in settings, name
        assert f"`{name}`" in page, name
