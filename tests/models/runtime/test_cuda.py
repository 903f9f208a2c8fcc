"""The whole workflow on a GPU against the CPU; runs wherever there is one."""

from copy import deepcopy
from typing import Literal

import numpy as np
import pytest
import torch

from models.phantom import draw_phantom
from models.precision import Precision
from models.runtime.device import memory_readers, resolve_device
from models.runtime.errors import OutOfMemoryError
from models.runtime.stage import Stage
from models.selftest import run_self_test
from models.weights import default_weights
from models.weights.cards import Role
from models.weights.networks import build_network
from models.workflow import Workflow

pytestmark = pytest.mark.cuda
PICTURES = [
    draw_phantom(side, diseased) for side, diseased in ((512, ("right_lower",)), (700, ()), (400, ("left_upper",)))
]


def workflow(device: str, precision: Precision | Literal["auto"]) -> Workflow:
    where = resolve_device(device)

    def load(role: Role) -> Stage:
        return Stage.load(default_weights(role), role=role, device=where, precision=precision)

    return Workflow(load("lungs"), load("disease"))


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("auto", 0.01)])
@pytest.mark.parametrize("captured", [False, True])
def test_a_gpu_answers_as_a_cpu(precision: str, tolerance: float, captured: bool) -> None:
    on_gpu, on_cpu = workflow("cuda", precision), workflow("cpu", "float32")
    if captured:
        assert on_gpu.lungs.warm_up(4) == on_gpu.disease.warm_up(4) == 4
    run_self_test(on_gpu)
    for gpu, cpu in zip(on_gpu.analyse_batch(PICTURES), on_cpu.analyse_batch(PICTURES), strict=True):
        np.testing.assert_allclose(gpu.shares, cpu.shares, atol=tolerance)


@pytest.mark.parametrize("size", [2, 3, 7, 16])
def test_company_changes_nothing(size: int) -> None:
    on_gpu = workflow("cuda", "auto")
    on_gpu.lungs.warm_up(16)
    on_gpu.disease.warm_up(16)
    alone = on_gpu.analyse(PICTURES[0])
    company = on_gpu.analyse_batch([PICTURES[index % len(PICTURES)] for index in range(size)])[0]
    np.testing.assert_allclose(company.shares, alone.shares, atol=1e-3)


def test_launches_may_be_under_way_together() -> None:
    stage = workflow("cuda", "auto").disease
    stage.warm_up(2)
    batches = [[np.full((stage.input_size,) * 2, value, np.uint8)] for value in (0, 80, 160, 240)]
    one_by_one = [stage.run(batch)[0] for batch in batches]
    launched = [stage.launch(batch) for batch in batches]
    for answer, wanted in zip(launched, one_by_one, strict=True):
        np.testing.assert_allclose(answer.result()[0], wanted, atol=1e-3)


def test_memory_is_told() -> None:
    on_gpu = workflow("cuda", "auto")
    read = memory_readers(on_gpu.lungs.device)
    assert 0 < read["allocated"]() <= read["reserved"]()


def test_float32_is_exact_for_the_whole_process() -> None:
    workflow("cuda", "float32").lungs.warm_up(1)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cudnn.benchmark
    left, right = torch.randn(2, 512, 512, device="cuda")
    exact = left.double() @ right.double()
    assert float((left @ right - exact).abs().max()) < 1e-3


def test_manets_attention_in_float16_answers_as_in_float32() -> None:
    torch.manual_seed(0)
    network = build_network("MAnet", "timm-regnetx_064").eval()
    pictures = [np.random.default_rng(seed).integers(0, 256, (256, 256), dtype=np.uint8) for seed in range(3)]
    expected, _ = Stage(deepcopy(network), input_size=256, device="cuda:0").run(pictures)
    found, _ = Stage(network, input_size=256, device="cuda:0", precision="float16").run(pictures)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_a_batch_over_the_memory_is_smaller_next_time_and_the_device_goes_on() -> None:
    stage = workflow("cuda", "auto").disease
    picture = np.zeros((stage.input_size,) * 2, np.uint8)
    free, _ = torch.cuda.mem_get_info()
    kept = torch.empty(int(free * 0.97), dtype=torch.uint8, device="cuda")
    with pytest.raises(OutOfMemoryError):
        stage.run([picture] * 256)
    del kept
    torch.cuda.empty_cache()
    assert np.isfinite(stage.run([picture])[0]).all()
