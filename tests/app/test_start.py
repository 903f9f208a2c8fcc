"""Starting and stopping the real process: bad settings, bad weights, keys, SIGTERM."""

import json
import signal
import socket
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import torch

from app.keys import hash_key
from app.service import Service
from app.settings import Settings
from models.runtime import gpus
from tests.support.pictures import lung_mask
from tests.support.problems import assert_problem
from tests.support.server import running, start
from tests.support.stubs import FixedMap, stub_workflow


def ended(tmp_path: Path, **settings: str) -> tuple[int, str]:
    server = start(tmp_path, settings)
    status = server.process.wait(timeout=120)
    server.client.close()
    return status, server.log.read_text()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"CXR_DEVICE": "tpu"}, "CXR_DEVICE"),
        ({"CXR_THRESHOLD": "1.5"}, "CXR_THRESHOLD"),
        ({"CXR_MAX_IN_FLIGHT": "0"}, "CXR_MAX_IN_FLIGHT"),
    ],
)
def test_a_bad_setting_is_named_on_one_line(tmp_path: Path, settings: dict[str, str], named: str) -> None:
    status, log = ended(tmp_path, **settings)
    assert status == 2
    assert len(log.splitlines()) == 1
    assert named in log


def test_a_misspelt_setting_is_named_without_its_value(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        _, log = ended(tmp_path, CXR_OPERATION_KEYS="hunter2", CXR_PORT=str(taken.getsockname()[1]))
    (warned,) = [json.loads(line) for line in log.splitlines() if "unknown settings" in line]
    assert warned["variables"] == ["CXR_OPERATION_KEYS"]
    assert "hunter2" not in log


def test_an_address_in_use_ends_the_process_before_networks_are_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # Weights that are none would be named, were they looked at.
        status, log = ended(tmp_path, CXR_PORT=str(port), CXR_LUNGS_WEIGHTS=str(tmp_path / "none"))
    assert status == 3
    (line,) = [json.loads(line) for line in log.splitlines()]
    assert (line["message"], line["reason"]) == (
        "start failed",
        f"127.0.0.1:{port}: [Errno 98] Address already in use",
    )


def test_weights_that_are_none_end_the_process_with_one_line(tmp_path: Path) -> None:
    weights = tmp_path / "Unet_resnet18_imagenet_240821_1957" / "weights.pth"
    weights.parent.mkdir()
    weights.write_bytes(b"not weights")
    status, log = ended(tmp_path, CXR_LUNGS_WEIGHTS=str(weights))
    assert status == 3
    (failed,) = [json.loads(line) for line in log.splitlines() if "start failed" in line]
    assert str(weights) in failed["reason"]
    assert "Traceback" not in log


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu_ends_the_process(tmp_path: Path) -> None:
    status, log = ended(tmp_path, CXR_DEVICE="cuda")
    assert status == 3
    assert "expected an NVIDIA GPU and its driver, found" in log or "found its driver and 0 GPUs" in log


def test_keys_limits_and_a_shutdown_in_order(tmp_path: Path, phantom_png: bytes) -> None:
    hashes = f"{hash_key('first-key')}, {hash_key('second-key')}"
    (tmp_path / ".env").write_text(f"CXR_API_KEYS={hashes}\nCXR_MAX_UPLOAD_MB=0.5\n")
    with running(tmp_path) as server:
        refused = server.client.post("/score", content=phantom_png)
        assert_problem(refused, 401, "unauthorised")
        assert refused.headers["www-authenticate"] == "Bearer"
        wrong = {"authorization": "Bearer first-kez"}
        assert_problem(server.client.post("/score", content=phantom_png, headers=wrong), 401, "unauthorised")
        for headers in ({"authorization": "Bearer second-key"}, {"x-api-key": "first-key"}):
            assert server.client.post("/score", content=phantom_png, headers=headers).status_code == 200
        key = {"x-api-key": "first-key"}
        assert_problem(server.client.post("/score", content=bytes(600_000), headers=key), 413, "upload_too_large")

        def chunks() -> object:
            for _ in range(100):
                yield bytes(10_000)

        # Refused while the body is still on its way: the connection may go before the answer is read.
        with suppress(httpx.WriteError):
            assert_problem(server.client.post("/score", content=chunks(), headers=key), 413, "upload_too_large")
        log = server.log.read_text()
        for secret in ("first-key", "second-key", hash_key("first-key")):
            assert secret not in log
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0
    assert "stopped" in [line["message"] for line in server.log_lines()]


WITHOUT_PYTORCH = """
import sys
sys.modules["torch"] = None  # as where it is not installed
from app.__main__ import main
sys.exit(main())
"""


def test_the_embedded_pair_needs_no_pytorch_on_a_cpu(tmp_path: Path, phantom_png: bytes) -> None:
    with running(tmp_path, WITHOUT_PYTORCH, CXR_DEVICE="cpu") as server:
        assert server.client.post("/score", content=phantom_png).status_code == 200
    (ready,) = [line for line in server.log_lines() if line["message"] == "ready"]
    assert ready["resident_mib"] < 600


def test_what_needs_pytorch_says_so(tmp_path: Path) -> None:
    server = start(tmp_path, {"CXR_DEVICE": "cpu", "CXR_PRECISION": "float32"}, WITHOUT_PYTORCH)
    assert server.process.wait(timeout=60) == 3
    (failed,) = [line for line in server.log_lines() if line["message"] == "start failed"]
    assert "expected a converted network beside it" in failed["reason"]
    assert "or PyTorch to convert it with (the extra torch), found neither" in failed["reason"]


LOSES_ITS_DEVICE = """
import sys
from app.serving import serve
from app.settings import Settings
from models.runtime.errors import DeviceFailure
from tests.support.pictures import lung_mask
from tests.support.stubs import FixedMap, stub_workflow

workflow = stub_workflow(FixedMap(lung_mask()))
answer = workflow.disease.launch
runs = []

def launch(batch, alone=False):
    runs.append(batch)
    if len(runs) > 2:  # the self-test passes
        raise DeviceFailure("an illegal memory access was encountered")
    return answer(batch, alone)

workflow.disease.launch = launch
sys.exit(serve(Settings(), workflow))
"""


def test_a_lost_device_ends_the_process_within_5_seconds(tmp_path: Path, phantom_png: bytes) -> None:
    with running(tmp_path, LOSES_ITS_DEVICE) as server:
        assert_problem(server.client.post("/score", content=phantom_png), 503, "not_ready")
        assert server.process.wait(timeout=5) == 3
    (lost,) = [line for line in server.log_lines() if line["message"] == "device lost"]
    assert "illegal memory access" in lost["reason"]


HANGS = LOSES_ITS_DEVICE.replace(
    'raise DeviceFailure("an illegal memory access was encountered")', "threading.Event().wait()"
).replace("import sys", "import sys, threading")


def test_a_device_that_hangs_ends_the_process(tmp_path: Path, phantom_png: bytes) -> None:
    with running(tmp_path, HANGS, CXR_DEVICE_TIMEOUT_S="1") as server:
        assert_problem(server.client.post("/score", content=phantom_png), 503, "not_ready")
        assert server.process.wait(timeout=10) == 3
    (lost,) = [line for line in server.log_lines() if line["message"] == "device lost"]
    assert lost["reason"] == "the device has not answered for 1 s"


@pytest.mark.parametrize(("device", "expected"), [("auto", 1), ("cpu", 0)])
async def test_a_gpu_that_cannot_be_used_shows_in_the_metrics(
    monkeypatch: pytest.MonkeyPatch, device: str, expected: int
) -> None:
    monkeypatch.setattr(gpus, "are_there", lambda: True)
    service = Service(Settings(_env_file=None, device=device), stub_workflow(FixedMap(lung_mask())), lambda: None)
    service.begin()
    await service.started()
    assert service.metrics.registry.get_sample_value("cxr_gpu_unused") == expected
    await service.end()
