"""docker/kubernetes: rendered as kubectl does, held against the API's schemas and against the service."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docker.kustomization import KUBERNETES, Object, build, relative, render, schema_faults
from tests.docker.manifests import JOB, Manifests, faults
from tests.support import ROOT
from tests.support.programs import program

VARIANTS = {
    "cpu": (["overlays/cpu"], []),
    "gpu": (["overlays/gpu"], []),
    "cpu, monitored": (["overlays/cpu"], ["components/monitoring"]),
    "cpu, scaled": (["overlays/cpu"], ["components/monitoring", "components/autoscaling"]),
    "gpu, scaled": (["overlays/gpu"], ["components/monitoring-key", "components/autoscaling-gpu"]),
}
PAGE = ROOT / "docs" / "kubernetes.md"


def rendered(tmp_path: Path, variant: str, kubernetes: Path = KUBERNETES) -> list[Object]:
    site = tmp_path / "site"
    resources, components = (relative(site, paths, kubernetes) for paths in VARIANTS[variant])
    return render(site, resources, components)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_api_takes_every_object(tmp_path: Path, variant: str) -> None:
    objects = rendered(tmp_path, variant)
    assert {"Deployment", "Service", "ConfigMap", "NetworkPolicy"} <= {thing["kind"] for thing in objects}
    assert [fault for thing in objects for fault in schema_faults(thing)] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_manifests_and_service_agree(tmp_path: Path, variant: str) -> None:
    assert faults(rendered(tmp_path, variant)) == []


@pytest.mark.parametrize(
    ("variant", "kinds"),
    [
        ("cpu", set()),
        ("cpu, monitored", {"ServiceMonitor"}),
        ("cpu, scaled", {"ServiceMonitor", "ScaledObject"}),
        ("gpu, scaled", {"ServiceMonitor", "ScaledObject"}),
    ],
)
def test_operators_are_needed_only_where_asked_for(tmp_path: Path, variant: str, kinds: set[str]) -> None:
    assert {thing["kind"] for thing in rendered(tmp_path, variant) if "." in thing["apiVersion"].split("/")[0]} - {
        "NetworkPolicy"
    } == kinds


def test_prometheus_sends_a_key_only_where_asked_to(tmp_path: Path) -> None:
    (open_endpoint,) = Manifests(rendered(tmp_path / "open", "cpu, scaled")).one("ServiceMonitor")["spec"]["endpoints"]
    (closed,) = Manifests(rendered(tmp_path / "closed", "gpu, scaled")).one("ServiceMonitor")["spec"]["endpoints"]
    assert "authorization" not in open_endpoint
    assert closed["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": "cxr-severity-metrics", "key": "key"},
    }


def test_a_changed_setting_rolls_out(tmp_path: Path) -> None:
    copied = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    before = rendered(tmp_path / "before", "cpu", copied)
    change(copied / "base/settings.env", "CXR_LOG_LEVEL=INFO", "CXR_LOG_LEVEL=WARNING")
    after = rendered(tmp_path / "after", "cpu", copied)
    names = [Manifests(objects).container["envFrom"][0]["configMapRef"]["name"] for objects in (before, after)]
    assert names[0] != names[1]


DEPLOYMENT, OVERLAY = "base/deployment.yaml", "overlays/cpu/deployment.yaml"
SCALED = "components/autoscaling/scaledobject.yaml"
MONITOR = "components/monitoring/servicemonitor.yaml"
NETWORK = "base/networkpolicy.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("base/settings.env", "CXR_LOG_LEVEL=INFO", "CXR_LOGLEVEL=INFO", "settings: CXR_LOGLEVEL is no setting"),
        ("base/settings.env", "CXR_LOG_LEVEL=INFO", "CXR_LOG_LEVEL=LOUD", "settings: 1 validation error"),
        ("base/settings.env", "=0.0.0.0", "=127.0.0.1", "settings: nobody reaches"),
        ("base/settings.env", "_S=30", "_S=60", "shutdown: killed after 50 s"),
        ("base/settings.env", "CXR_PORT=8000", "CXR_PORT=8080", "ports: the pod says 8000"),
        ("overlays/cpu/settings.env", "CXR_DEVICE=cpu", "CXR_DEVICE=cuda", "settings: device cuda"),
        (DEPLOYMENT, "enableServiceLinks: false", "enableServiceLinks: true", "settings: Services"),
        (DEPLOYMENT, "key: CXR_API_KEYS", "key: CXR_OPERATIONS_KEYS", "keys: CXR_API_KEYS from"),
        (DEPLOYMENT, "- name: CXR_OPERATIONS_KEYS", "- name: CXR_OPERATION_KEYS", "settings: CXR_OPERATION_KEYS"),
        (DEPLOYMENT, "path: /health/live", "path: /healthz", "probes: livenessProbe asks /healthz"),
        (DEPLOYMENT, "- name: http\n", "- name: web\n", "probes: startupProbe asks port http"),
        (DEPLOYMENT, "GracePeriodSeconds: 50", "GracePeriodSeconds: 40", "shutdown: killed after 40 s"),
        (DEPLOYMENT, "seconds: 5\n      v", "seconds: 1\n      v", "shutdown: 1 s are too short"),
        (DEPLOYMENT, "maxUnavailable: 0", "maxUnavailable: 1", "rollout: replaces by"),
        (DEPLOYMENT, "runAsNonRoot: true", "runAsNonRoot: false", "security: pod"),
        (DEPLOYMENT, "runAsUser: 10001", "runAsUser: 0", "security: pod"),
        (DEPLOYMENT, "type: RuntimeDefault", "type: Unconfined", "security: pod"),
        (DEPLOYMENT, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "security: container"),
        (DEPLOYMENT, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "security: container"),
        (DEPLOYMENT, "- ALL\n", "- NET_RAW\n", "security: container"),
        (DEPLOYMENT, "ServiceAccountToken: false", "ServiceAccountToken: true", "security: a token"),
        (DEPLOYMENT, "medium: Memory\n", 'medium: ""\n', "security: tmp may reach a disk"),
        (DEPLOYMENT, "serviceAccountName: cxr-severity", "serviceAccountName: default", "selectors: no ServiceAccount"),
        (DEPLOYMENT, "replicas: 2", "replicas: 1", "scaling: one replica"),
        (DEPLOYMENT, "periodSeconds: 10\n", 'periodSeconds: "10"\n', "Deployment cxr-severity: 1.30:"),
        (DEPLOYMENT, "periodSeconds: 10\n", "everySeconds: 10\n", "Deployment cxr-severity: 1.30:"),
        ("base/service.yaml", "name: cxr-severity\n  p", "name: cxr\n  p", "selectors: Service selects"),
        ("base/service.yaml", "targetPort: http", "targetPort: web", "ports: the Service leads 80 to web"),
        ("base/service.yaml", "type: ClusterIP", "typ: ClusterIP", "Service cxr-severity: 1.30:"),
        ("base/serviceaccount.yaml", "Token: false", "Token: true", "security: a token"),
        ("base/poddisruptionbudget.yaml", "maxUnavailable: 1", "minAvailable: 2", "rollout: the PodDisruptionBudget"),
        ("base/poddisruptionbudget.yaml", "s:\n      app", "s:\n      other", "selectors: PodDisruptionBudget"),
        (NETWORK, "port: 8000", "port: 80", "ports: the NetworkPolicy opens"),
        (NETWORK, "egress: []", "egress: [{}]", "network: lets the service reach"),
        (NETWORK, "    - Egress\n", "", "network: holds"),
        (NETWORK, "app.kubernetes.io/name: prometheus", "{}", "network: lets"),
        (OVERLAY, 'limits:\n              cpu: "4"', 'limits:\n              cpu: "8"', "resources: limits"),
        ("overlays/cpu/kustomization.yaml", "newTag: 0.1.0-cpu", "newTag: latest", "rollout: image"),
        (MONITOR, "path: /metrics", "path: /prometheus", "ports: the ServiceMonitor reads"),
        (MONITOR, "port: http", "port: metrics", "ports: the ServiceMonitor reads"),
        (MONITOR, "interval: 15s", "interval: 15 seconds", "ServiceMonitor cxr-severity:"),
        (MONITOR, "replacement: cxr\n        #", "replacement: other\n        #", "monitoring: the job"),
        (MONITOR, "regex: canary", "regex: stable", "monitoring: those in use"),
        (
            SCALED,
            "rate(cxr_queue_seconds_sum",
            "rate(cxr_queue_wait_sum",
            "scaling: waiting: no metric cxr_queue_wait_sum",
        ),
        (
            SCALED,
            "rate(cxr_queue_seconds_sum",
            "rate(cxr_queue_seconds",
            "scaling: waiting: no metric cxr_queue_seconds",
        ),
        (SCALED, 'in_flight{job="cxr"}', "in_flight", "scaling: admitted: not by job"),
        (SCALED, 'threshold: "4"', 'threshold: "64"', "scaling: waiting: 64.0 is not what leaves at once"),
        (SCALED, 'threshold: "16"', 'threshold: "64"', "scaling: admitted: 64.0"),
        (SCALED, "maxReplicaCount: 8", "maxReplicaCount: 3", "scaling: the replica counts"),
        (SCALED, "TargetRef:\n    name: cxr-severity", "TargetRef:\n    name: cxr", "scaling: scales"),
        (SCALED, "failureThreshold: 3", 'failureThreshold: "3"', "ScaledObject cxr-severity:"),
        (SCALED, "minReplicaCount: 2", "minReplicas: 2", "ScaledObject cxr-severity:"),
        (
            "components/autoscaling/kustomization.yaml",
            "op: remove",
            "op: replace\n        value: 2",
            "scaling: every apply",
        ),
    ],
)
def test_a_fault_is_found(tmp_path: Path, file: str, old: str, new: str, fault: str) -> None:
    copied = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    change(copied / file, old, new)
    variant = "cpu" if "replicas:" in old else "cpu, scaled"
    assert any(found.startswith(fault) for found in all_faults(rendered(tmp_path, variant, copied)))


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("overlays/gpu/settings.env", "CXR_DEVICE=cuda", "CXR_DEVICE=auto", "settings: device auto"),
        ("overlays/gpu/deployment.yaml", "maxSurge: 0", "maxSurge: 1", "rollout: replaces by"),
        ("overlays/gpu/deployment.yaml", "key: nvidia.com/gpu", "key: gpu", "resources: tolerates"),
        ("overlays/gpu/deployment.yaml", "nvidia.com/gpu: 1", "nvidia.com/gpu: 2", "resources: one process"),
        ("overlays/gpu/kustomization.yaml", "0.1.0-cuda", "0.1.0-cpu", "rollout: image"),
        ("components/autoscaling-gpu/kustomization.yaml", 'value: "16"', 'value: "4"', "scaling: waiting: 4.0"),
        ("components/autoscaling-gpu/kustomization.yaml", 'value: "32"', 'value: "16"', "scaling: admitted: 16.0"),
    ],
)
def test_a_fault_on_a_gpu_is_found(tmp_path: Path, file: str, old: str, new: str, fault: str) -> None:
    copied = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    change(copied / file, old, new)
    assert any(found.startswith(fault) for found in all_faults(rendered(tmp_path, "gpu, scaled", copied)))


def test_a_patch_without_its_target_is_refused(tmp_path: Path) -> None:
    copied = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    change(copied / "overlays/cpu/deployment.yaml", "name: cxr-severity\nspec", "name: cxr\nspec")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered(tmp_path, "cpu", copied)
    assert "no matches" in refused.value.stderr


def change(file: Path, old: str, new: str) -> None:
    """Everywhere in the file; what is not there cannot be changed."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def all_faults(objects: list[Object]) -> list[str]:
    """Where a schema is broken, the rules have no ground to stand on."""
    return [fault for thing in objects for fault in schema_faults(thing)] or faults(objects)


@pytest.fixture
def sites(tmp_path: Path) -> tuple[Manifests, Manifests]:
    """What the page shows: a site, and its canary."""
    shutil.copytree(KUBERNETES, tmp_path / "cxr-severity" / "docker" / "kubernetes")
    site, canary = (
        build(written(tmp_path / name, shown))
        for name, shown in zip(
            ("site", "canary"), re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S), strict=True
        )
    )
    return Manifests(site), Manifests(canary)


def written(folder: Path, kustomization: str) -> Path:
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(kustomization)
    return folder


def test_the_page_shows_a_site_that_renders(sites: tuple[Manifests, Manifests]) -> None:
    site, _ = sites
    assert {"ServiceMonitor", "ScaledObject"} <= {thing["kind"] for thing in site.objects}
    assert {thing["metadata"]["namespace"] for thing in site.objects} == {"radiology"}
    assert site.container["image"].startswith("registry.example/")
    assert [fault for thing in site.objects for fault in schema_faults(thing)] == []


def test_the_canary_stands_behind_the_service_in_use(sites: tuple[Manifests, Manifests]) -> None:
    site, canary = sites
    assert [fault for thing in canary.objects for fault in schema_faults(thing)] == []
    assert sorted(thing["kind"] for thing in canary.objects) == ["ConfigMap", "Deployment"]
    names = [{thing["metadata"]["name"] for thing in one.objects} for one in sites]
    assert names[0] & names[1] == set()
    assert canary.container["envFrom"][0]["configMapRef"]["name"] in names[1]
    for kind, field in (("Service", "selector"), ("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        selector = site.one(kind)["spec"][field]
        assert selector.get("matchLabels", selector).items() <= canary.labels.items()
    assert canary.deployment["replicas"] == 1
    assert canary.pod["serviceAccountName"] == site.one("ServiceAccount")["metadata"]["name"]
    assert canary.pod["securityContext"] == site.pod["securityContext"]


def test_no_deployment_takes_the_others_pods(sites: tuple[Manifests, Manifests]) -> None:
    for own, other in (sites, sites[::-1]):
        selector = own.deployment["selector"]["matchLabels"]
        assert selector.items() <= own.labels.items()
        assert not selector.items() <= other.labels.items()


def test_prometheus_keeps_the_canary_apart(sites: tuple[Manifests, Manifests]) -> None:
    site, canary = sites
    (endpoint,) = site.one("ServiceMonitor")["spec"]["endpoints"]
    apart = endpoint["relabelings"][1]
    assert (apart["sourceLabels"], apart["targetLabel"]) == (["__meta_kubernetes_pod_label_track"], "job")
    assert apart["regex"] == canary.labels["track"]


def test_the_page_makes_the_rules_a_resource() -> None:
    (shown,) = re.findall(r"```sh\n({ printf.*?}) \| kubectl", PAGE.read_text(), re.S)
    made = subprocess.run(["bash", "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True)
    rules: Object = yaml.safe_load(made.stdout)
    assert rules["spec"]["groups"]
    assert list(schema_faults(rules)) == []


def test_rules_and_dashboards_go_by_the_same_job() -> None:
    scraped = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())["scrape_configs"]
    assert JOB in {job["job_name"] for job in scraped}


WORKING = {
    # Two replicas: a wait of 2 s and 4 s began each second, so 2 and 4 radiographs waited at any time.
    'cxr_queue_seconds_sum{job="cxr", stage="lungs", pod="a"}': "0+30x40",
    'cxr_queue_seconds_sum{job="cxr", stage="disease", pod="b"}': "0+60x40",
    'cxr_batch_seconds_sum{job="cxr", stage="lungs", pod="a"}': "0+7.5x40",
    'cxr_requests_in_flight{job="cxr", pod="a"}': "8x40",
    'cxr_requests_in_flight{job="cxr", pod="b"}': "4x40",
    'cxr_queue_seconds_sum{job="another", stage="lungs"}': "0+900x40",
}
IDLE = {
    'cxr_ready{job="cxr", pod="a"}': "1x40",
    'cxr_requests_in_flight{job="cxr", pod="a"}': "0x40",
}


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (WORKING, {"waiting": 6, "busy": 0.5, "admitted": 12}),
        (IDLE, {"waiting": 0, "busy": 0, "admitted": 0}),
        # Nothing is scraped: an empty answer, so the fallback, not zero.
        ({}, {"waiting": None, "busy": None, "admitted": None}),
    ],
    ids=["working", "idle", "not scraped"],
)
def test_prometheus_answers_what_scaling_asks(
    tmp_path: Path, series: dict[str, str], expected: dict[str, float | None]
) -> None:
    scaled = Manifests(rendered(tmp_path, "cpu, scaled")).one("ScaledObject")
    queries = {trigger["name"]: trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]}
    assert queries.keys() == expected.keys()
    checks = [
        {
            "expr": query,
            "eval_time": "10m",
            "exp_samples": [] if expected[name] is None else [{"labels": "{}", "value": expected[name]}],
        }
        for name, query in queries.items()
    ]
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": checks,
    }
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(tmp_path / "queries.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
