"""What a user is told of a GPU that cannot be used; drivers and cards are fakes."""

from dataclasses import dataclass, field

import pytest
import torch

from models.runtime import gpus
from models.runtime.device import resolve_device, resolve_precision
from models.runtime.errors import DeviceError


@dataclass
class Machine:
    """A machine with one GPU, in order unless changed.

    Attributes:
        status: of the driver's start; None without a driver.
        driver: the newest CUDA that it runs.
        toolkit: the CUDA that PyTorch was built with; None without.
    """

    status: int | None = 0
    count: int = 1
    driver: tuple[int, int] = (13, 0)
    has_torch: bool = True
    toolkit: str | None = "13.0"
    available: bool = True
    capability: tuple[int, int] = (9, 0)
    kinds: list[str] = field(default_factory=lambda: ["sm_75", "sm_80", "sm_90", "compute_90"])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(gpus, "_driver_status", lambda: made.status)
    monkeypatch.setattr(gpus, "_driver_count", lambda: made.count)
    monkeypatch.setattr(gpus, "_driver_version", lambda: made.driver)
    monkeypatch.setattr(gpus, "find_spec", lambda name: made.has_torch or None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: made.available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: made.count)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: made.capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA T1")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: made.kinds)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    return made


@pytest.mark.usefixtures("machine")
def test_a_gpu_in_order_is_taken() -> None:
    assert resolve_device("auto") == resolve_device("cuda") == resolve_device("cuda:0") == "cuda:0"
    assert resolve_device("cpu") == "cpu"
    with pytest.raises(DeviceError, match="device 'cuda:3': expected an NVIDIA GPU of number 3, found 1 GPUs"):
        resolve_device("cuda:3")


FAULTS = [
    ({"count": 0}, "found its driver and 0 GPUs", False),
    ({"status": None}, r"found no driver \(libcuda.so.1\)", False),
    ({"status": 100}, "found its driver and 0 GPUs", False),
    ({"status": 803}, "expected NVIDIA's driver to start, found its error 803", True),
    ({"has_torch": False}, r"expected PyTorch, .* \(the extra torch\), found none", True),
    ({"driver": (12, 4)}, "expected a driver for CUDA 13.0, found one for CUDA 12.4: update it", True),
    ({"available": False}, "expected PyTorch to find CUDA, found 2", True),
    ({"capability": (6, 1)}, r"expected a GPU for which PyTorch is built \(.*\), found NVIDIA T1 \(sm_61\)", True),
]


@pytest.mark.parametrize(("changes", "words", "is_there"), FAULTS)
def test_what_keeps_from_a_gpu_is_named_and_auto_takes_the_cpu(
    machine: Machine, changes: dict[str, object], words: str, is_there: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in changes.items():
        setattr(machine, name, value)
    with pytest.raises(DeviceError, match=f"device 'cuda': .*{words}") as caught:
        resolve_device("cuda")
    assert "\n" not in str(caught.value)
    assert resolve_device("auto") == "cpu"
    # Where there is no GPU the CPU is what anybody expects.
    assert ("networks run on the CPU beside a GPU" in caplog.text) is is_there is gpus.are_there()


@pytest.mark.usefixtures("machine")
def test_a_pytorch_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(DeviceError, match=r"expected a PyTorch for CUDA, found 2\."):
        resolve_device("cuda")


@pytest.mark.parametrize(
    ("capability", "kinds", "runs"),
    [
        ((8, 6), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_80"], False),
        ((12, 0), ["sm_80", "compute_90"], True),
        ((10, 0), ["sm_100"], True),
        ((9, 0), ["sm_90a"], False),
    ],
)
def test_code_runs_on_cards_of_its_kind(
    machine: Machine, capability: tuple[int, int], kinds: list[str], runs: bool
) -> None:
    machine.capability, machine.kinds = capability, kinds
    assert (gpus.fault(0) is None) is runs


def test_a_card_without_bfloat16_says_so(machine: Machine) -> None:
    assert resolve_precision("bfloat16", "cuda:0", "disease") == "bfloat16"
    machine.capability = (7, 5)
    with pytest.raises(
        DeviceError, match=r"precision 'bfloat16': expected one of those of NVIDIA T1 \(sm_75\), float16, float32"
    ):
        resolve_precision("bfloat16", "cuda:0", "disease")
    with pytest.raises(DeviceError, match="precision 'int8': expected one of those of NVIDIA T1"):
        resolve_precision("int8", "cuda:0", "disease")
