"""What has to hold between the manifests and the service, which no schema knows."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError

from app.main import create_app
from app.metrics import Metrics
from app.service import VERSION
from app.settings import DRAIN_SECONDS, Settings
from models.runtime.device import default_batch_size
from tests.docker.kustomization import Object

USER = 10001
JOB = "cxr"
MARGIN_SECONDS = 5
"""Beyond the server's own wait: for threads and the log."""
KEYS = {"CXR_API_KEYS", "CXR_OPERATIONS_KEYS"}
GPU = "nvidia.com/gpu"


@dataclass(frozen=True)
class Manifests:
    """The objects of one rendered kustomization."""

    objects: Sequence[Object]

    def all(self, kind: str) -> list[Object]:
        return [thing for thing in self.objects if thing["kind"] == kind]

    def one(self, kind: str) -> Object:
        (found,) = self.all(kind)
        return found

    @property
    def deployment(self) -> Any:
        return self.one("Deployment")["spec"]

    @property
    def pod(self) -> Any:
        return self.deployment["template"]["spec"]

    @property
    def container(self) -> Any:
        (found,) = self.pod["containers"]
        return found

    @property
    def labels(self) -> dict[str, str]:
        """Of the pods."""
        return dict(self.deployment["template"]["metadata"]["labels"])

    @property
    def variables(self) -> dict[str, str]:
        """Of the ConfigMap."""
        return dict(self.one("ConfigMap")["data"])

    @property
    def settings(self) -> Settings:
        """As the service would read them; raises ValidationError."""
        fields = {name.removeprefix("CXR_").lower(): value for name, value in self.variables.items()}
        return Settings(_env_file=None, **fields)  # type: ignore[arg-type]

    @property
    def on_gpu(self) -> bool:
        return GPU in self.container["resources"]["limits"]


def faults(objects: Sequence[Object]) -> list[str]:
    """One line for each thing that does not hold."""
    manifests = Manifests(objects)
    try:
        manifests.settings  # noqa: B018 - the rules read them
    except ValidationError as error:
        return [f"settings: {error}"]
    return [f"{rule.__name__}: {fault}" for rule in RULES for fault in rule(manifests)]


def settings(manifests: Manifests) -> Iterator[str]:
    known = {f"CXR_{field}".upper() for field in Settings.model_fields}
    given = [*manifests.variables, *(entry["name"] for entry in manifests.container["env"])]
    yield from (f"{name} is no setting" for name in given if name not in known)
    read = manifests.settings
    if read.device != ("cuda" if manifests.on_gpu else "cpu"):
        yield f"device {read.device}"
    if read.host not in ("0.0.0.0", "::"):  # noqa: S104 - of a pod
        yield f"nobody reaches {read.host}"
    source = manifests.container["envFrom"][0]["configMapRef"]["name"]
    if source != manifests.one("ConfigMap")["metadata"]["name"] or not re.search(r"-[0-9a-z]{10}$", source):
        yield "the pods do not read the ConfigMap by its hashed name"
    if manifests.pod["enableServiceLinks"]:
        yield "Services of the namespace set variables"


def keys(manifests: Manifests) -> Iterator[str]:
    entries = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in manifests.container["env"]}
    if set(entries) != KEYS:
        yield f"variables {sorted(entries)}"
    for name, source in entries.items():
        if source != {"name": "cxr-severity-keys", "key": name, "optional": True}:
            yield f"{name} from {source}"
    yield from (f"{name} in the open" for name in KEYS & set(manifests.variables))


def probes(manifests: Manifests) -> Iterator[str]:
    wanted = {"startupProbe": "/health/ready", "readinessProbe": "/health/ready", "livenessProbe": "/health/live"}
    for name, path in wanted.items():
        get = manifests.container[name]["httpGet"]
        if get["path"] != path or path not in _paths():
            yield f"{name} asks {get['path']}"
        if get["port"] not in {port["name"] for port in manifests.container["ports"]}:
            yield f"{name} asks port {get['port']}"


def ports(manifests: Manifests) -> Iterator[str]:
    (own,) = manifests.container["ports"]
    if own["containerPort"] != manifests.settings.port:
        yield f"the pod says {own['containerPort']}, the service listens on {manifests.settings.port}"
    (outer,) = manifests.one("Service")["spec"]["ports"]
    if outer["targetPort"] != own["name"] or outer["port"] != 80:
        yield f"the Service leads {outer['port']} to {outer['targetPort']}"
    for rule in manifests.one("NetworkPolicy")["spec"]["ingress"]:
        if rule.get("ports") != [{"protocol": "TCP", "port": own["containerPort"]}]:
            yield f"the NetworkPolicy opens {rule.get('ports')}"
    for monitor in manifests.all("ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            if endpoint["port"] != outer["name"] or endpoint["path"] not in _paths():
                yield f"the ServiceMonitor reads {endpoint['path']} of {endpoint['port']}"


def selectors(manifests: Manifests) -> Iterator[str]:
    chosen = {
        "Deployment": manifests.deployment["selector"]["matchLabels"],
        "Service": manifests.one("Service")["spec"]["selector"],
        "PodDisruptionBudget": manifests.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": manifests.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    }
    for spread in manifests.pod["topologySpreadConstraints"]:
        chosen[f"spread by {spread['topologyKey']}"] = spread["labelSelector"]["matchLabels"]
    for name, selector in chosen.items():
        if not selector or not selector.items() <= manifests.labels.items():
            yield f"{name} selects {selector}"
    for monitor in manifests.all("ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        if not selector.items() <= manifests.one("Service")["metadata"]["labels"].items():
            yield f"ServiceMonitor selects {selector}"
    if manifests.pod["serviceAccountName"] != manifests.one("ServiceAccount")["metadata"]["name"]:
        yield f"no ServiceAccount {manifests.pod['serviceAccountName']}"


def shutdown(manifests: Manifests) -> Iterator[str]:
    pause = manifests.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    wanted = pause + int(manifests.settings.request_timeout_s) + DRAIN_SECONDS + MARGIN_SECONDS
    if pause < 5:
        yield f"{pause} s are too short for proxies to learn of the end"
    if manifests.pod["terminationGracePeriodSeconds"] < wanted:
        yield f"killed after {manifests.pod['terminationGracePeriodSeconds']} s, may need {wanted}"


def rollout(manifests: Manifests) -> Iterator[str]:
    rolling = manifests.deployment["strategy"]["rollingUpdate"]
    wanted = {"maxSurge": 0, "maxUnavailable": 1} if manifests.on_gpu else {"maxSurge": 1, "maxUnavailable": 0}
    if rolling != wanted:
        yield f"replaces by {rolling}"
    budget = manifests.one("PodDisruptionBudget")["spec"]
    if budget.get("maxUnavailable") != 1 or "minAvailable" in budget:
        yield "the PodDisruptionBudget may keep nodes from being drained"
    image = f"cxr-severity:{VERSION}-{'cuda' if manifests.on_gpu else 'cpu'}"
    if manifests.container["image"] != image:
        yield f"image {manifests.container['image']}, not {image}"


def security(manifests: Manifests) -> Iterator[str]:
    pod, container = manifests.pod, manifests.container
    wanted = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if pod["securityContext"] != wanted:
        yield f"pod {pod['securityContext']}"
    wanted = {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    if container["securityContext"] != wanted:
        yield f"container {container['securityContext']}"
    if pod["automountServiceAccountToken"] or manifests.one("ServiceAccount")["automountServiceAccountToken"]:
        yield "a token of the API server is mounted"
    yield from (f"{field} is shared" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field))
    for volume in pod["volumes"]:
        if volume.get("emptyDir", {}).get("medium") != "Memory" or "sizeLimit" not in volume["emptyDir"]:
            yield f"{volume['name']} may reach a disk, or has no limit"
    if container["volumeMounts"] != [{"name": "tmp", "mountPath": "/tmp"}]:  # noqa: S108 - of the pod
        yield f"mounts {container['volumeMounts']}"


def network(manifests: Manifests) -> Iterator[str]:
    spec = manifests.one("NetworkPolicy")["spec"]
    if sorted(spec["policyTypes"]) != ["Egress", "Ingress"]:
        yield f"holds {spec['policyTypes']} only"
    if spec["egress"]:
        yield f"lets the service reach {spec['egress']}"
    for rule in spec["ingress"]:
        if not rule.get("from"):
            yield "lets everyone in"
        for peer in rule.get("from", ()):
            if not all(selector.get("matchLabels") for selector in peer.values()) or "podSelector" not in peer:
                yield f"lets {peer} in"


def resources(manifests: Manifests) -> Iterator[str]:
    given = manifests.container["resources"]
    if given["requests"] != given["limits"] or not {"cpu", "memory"} <= set(given["limits"]):
        yield f"limits are not the requests: {given}"
    tolerated = {toleration["key"] for toleration in manifests.pod.get("tolerations", ())}
    if tolerated != ({GPU} if manifests.on_gpu else set()):
        yield f"tolerates {tolerated}"
    if given["limits"].get(GPU, 1) != 1:
        yield "one process uses one GPU"


def scaling(manifests: Manifests) -> Iterator[str]:
    if not manifests.all("ScaledObject"):
        if manifests.deployment["replicas"] < 2:
            yield "one replica is none while it is replaced"
        return
    spec = manifests.one("ScaledObject")["spec"]
    if "replicas" in manifests.deployment:
        yield "every apply would set the replicas back"
    if spec["scaleTargetRef"]["name"] != manifests.one("Deployment")["metadata"]["name"]:
        yield f"scales {spec['scaleTargetRef']}"
    if not 2 <= spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]:
        yield "the replica counts contradict each other"
    thresholds = {}
    for trigger in spec["triggers"]:
        query, name = trigger["metadata"]["query"], trigger["name"]
        thresholds[name] = float(trigger["metadata"]["threshold"])
        yield from (
            f"{name}: no metric {metric}" for metric in re.findall(r"\bcxr_\w+", query) if metric not in _series()
        )
        if set(re.findall(r'job="(.*?)"', query)) != {JOB} or query.count("{") != query.count("job="):
            yield f"{name}: not by job {JOB}"
        if trigger["metadata"].get("ignoreNullValues") != "false":
            yield f"{name}: takes no data for no load"
        if trigger["metricType"] != "AverageValue":
            yield f"{name}: not an average over replicas"
    limits = manifests.container["resources"]["limits"]
    at_once = (
        (manifests.settings.max_batch_size or default_batch_size("cuda:0")) if manifests.on_gpu else int(limits["cpu"])
    )
    if thresholds["waiting"] != at_once:
        yield f"waiting: {thresholds['waiting']} is not what leaves at once"
    if not manifests.on_gpu and thresholds["busy"] != 0.8 * at_once:
        yield f"busy: {thresholds['busy']} is not eight tenths of the runs there can be"
    if thresholds["admitted"] != manifests.settings.max_in_flight / 2:
        yield f"admitted: {thresholds['admitted']} is not half of what is admitted"


def monitoring(manifests: Manifests) -> Iterator[str]:
    for monitor in manifests.all("ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            if endpoint["relabelings"][:1] != [{"targetLabel": "job", "replacement": JOB}]:
                yield f"the job is not {JOB}: {endpoint['relabelings']}"
            if any(rule["regex"] == manifests.labels["track"] for rule in endpoint["relabelings"][1:]):
                yield "those in use are taken for the canary"


RULES: tuple[Callable[[Manifests], Iterator[str]], ...] = (
    settings,
    keys,
    probes,
    ports,
    selectors,
    shutdown,
    rollout,
    security,
    network,
    resources,
    scaling,
    monitoring,
)


@cache
def _paths() -> set[str]:
    """Paths that the service answers."""
    return set(create_app(Settings(_env_file=None)).openapi()["paths"])


@cache
def _series() -> set[str]:
    """Names under which the service's metrics can be asked for."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",), "info": ("_info",)}
    return {
        metric.name + suffix for metric in Metrics().registry.collect() for suffix in suffixes.get(metric.type, ("",))
    }
