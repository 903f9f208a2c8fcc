"""Every Prometheus metric of the service."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from models.quality.drift import EDGES, Reference

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIDES = (128, 256, 384, 512, 768, 1024, 1536, 2048, 2560, 3072, 4096)
_SHARES = tuple(step / 10 for step in range(1, 10))

MOST_CALLERS = 100
"""A gateway may name any number of callers, and each name is a series."""
STAGES = ("receive", "decode", "prepare", "lungs", "between", "disease", "score", "render")
"""Where a request's time goes, in order."""


class Metrics:
    """The metrics of one application, on a registry of its own so that applications do not share values."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._callers: set[str] = set()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._add_requests()
        self._add_device()
        self._add_radiographs()

    def _add_requests(self) -> None:
        """Requests, and the service's own state."""
        self.requests = Counter(
            "cxr_requests",
            "Requests answered, by route, method and status",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.callers = Counter(
            "cxr_caller_requests",
            "Requests answered, by the name of the caller's key and status",
            ("caller", "status"),
            registry=self.registry,
        )
        self.latency = Histogram(
            "cxr_request_seconds",
            "From the first byte of a request to the last of its answer",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.analysis = Histogram(
            "cxr_analysis_seconds",
            "From the first byte of an analysis to the last of its answer, by urgency (0: first)",
            ("urgency",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge("cxr_requests_in_flight", "Analyses under way", registry=self.registry)
        self.problems = Counter("cxr_problems", "Problem answers, by code", ("code",), registry=self.registry)
        self.stage = Histogram(
            "cxr_stage_seconds",
            "Duration of each stage of a request",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.dropped = Counter(
            "cxr_dropped", "Requests given up before an answer, by cause", ("cause",), registry=self.registry
        )
        self.upload_bytes = Histogram(
            "cxr_upload_bytes",
            "Size of uploads",
            buckets=[2.0**power for power in range(12, 28, 2)],
            registry=self.registry,
        )
        self.ready = Gauge("cxr_ready", "1 while the service takes radiographs", registry=self.registry)
        self.start_seconds = Gauge("cxr_start_seconds", "From process start to ready", registry=self.registry)
        for stage in STAGES:
            self.stage.labels(stage)

    def _add_device(self) -> None:
        """Networks, their queues, and the device that they run on."""
        self.queue_depth = Gauge(
            "cxr_queue_depth", "Radiographs that wait for a stage", ("stage",), registry=self.registry
        )
        self.queue_wait = Histogram(
            "cxr_queue_seconds",
            "Wait of a radiograph for a stage",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batch_size = Histogram(
            "cxr_batch_size",
            "Radiographs that shared one run of a network",
            ("stage",),
            buckets=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64),
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "cxr_batch_seconds",
            "Duration of one run of a network",
            ("stage",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.device_memory = Gauge(
            "cxr_device_memory_bytes",
            "GPU memory of this process: allocated by tensors, and reserved",
            ("kind",),
            registry=self.registry,
        )
        self.gpu_unused = Gauge(
            "cxr_gpu_unused",
            "1 while networks run on the CPU because the GPU cannot be used",
            registry=self.registry,
        )
        self.model = Info("cxr_model", "The networks that are loaded", ("stage",), registry=self.registry)

    def _add_radiographs(self) -> None:
        """What came in and what was found."""
        self.scores = Counter(
            "cxr_score", "Radiographs by severity score (none: unscorable)", ("score",), registry=self.registry
        )
        self.shares = Histogram(
            "cxr_zone_share", "Diseased shares of zones", ("zone",), buckets=_SHARES, registry=self.registry
        )
        self.inputs = Histogram(
            "cxr_input",
            "Measures of radiographs, to compare them with those that the networks were fitted on",
            ("measure",),
            buckets=EDGES,
            registry=self.registry,
        )
        self.reference = Gauge(
            "cxr_reference_share",
            "Share of the reference radiographs whose measure is at most le, from the model cards",
            ("measure", "le"),
            registry=self.registry,
        )
        self.sides = Histogram(
            "cxr_shorter_side_pixels", "Shorter side of radiographs", buckets=_SIDES, registry=self.registry
        )
        self.flags = Counter("cxr_flag", "Radiographs by quality flag", ("flag",), registry=self.registry)
        self.formats = Counter("cxr_format", "Radiographs by picture format", ("format",), registry=self.registry)
        for score in (*map(str, range(7)), "none"):
            self.scores.labels(score)

    def caller_label(self, caller: str) -> str:
        """The label for a caller: its name, or ``other`` once there are ``MOST_CALLERS`` names."""
        if len(self._callers) < MOST_CALLERS:
            self._callers.add(caller)
        return caller if caller in self._callers else "other"

    def refer(self, reference: Reference) -> None:
        """Exports the reference distribution of a model card, to compare incoming radiographs with."""
        for measure, shares in reference.items():
            self.inputs.labels(measure)
            for edge, share in zip(EDGES, shares, strict=True):
                self.reference.labels(measure, str(edge)).set(share)
