"""Networks in the CPU engine's form: what can be converted, and what is kept beside the weights."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.runtime import conversion
from models.runtime.conversion import convert
from models.runtime.errors import ConversionError, DeviceError
from models.runtime.stage import Stage
from models.weights import default_weights
from models.weights.__main__ import main
from models.weights.cards import Judged, ModelCard, Role, read_card
from models.weights.checkpoints import save_checkpoint
from models.weights.files import CheckpointError
from models.weights.networks import ARCHITECTURES, build_network
from tests.models.golden import IMAGENET
from tests.support.stubs import FixedMap, TorchStage

ROLES: tuple[Role, ...] = ("lungs", "disease")
PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
CARD = ModelCard(role="lungs", name="tiny", architecture="PSPNet", encoder="resnet18", input_size=64, **IMAGENET)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small stage I of random weights, with its card."""
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "lungs", build_network("PSPNet", "resnet18"), CARD)
    return tmp_path / "lungs.safetensors"


@pytest.mark.parametrize(
    ("architecture", "head"), [*((name, True) for name in ARCHITECTURES), ("Unet", False), ("PSPNet", False)]
)
def test_every_architecture_answers_as_in_pytorch(architecture: str, head: bool) -> None:
    torch.manual_seed(0)
    network = build_network(architecture, "timm-regnetx_002", classification_head=head).eval()
    expected, expected_labels = TorchStage(network, input_size=128).predict([PICTURE])
    stage = Stage(network, input_size=128)
    for batch in ([PICTURE], [PICTURE] * 3):
        found, labels = stage.predict(batch)
        np.testing.assert_allclose(found, np.repeat(expected, len(batch), axis=0), atol=1e-4)
        assert (labels is None) is (not head)
        if expected_labels is not None and labels is not None:
            np.testing.assert_allclose(labels, np.repeat(expected_labels, len(batch)), atol=1e-4)


def test_what_cannot_be_converted_is_named() -> None:
    with pytest.raises(ConversionError, match="FixedMap does not look at its picture"):
        convert(FixedMap(np.ones((32, 32))).eval(), 32)

    class Fickle(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            # An exporter keeps what it saw: another number than the next run's.
            self.runs = getattr(self, "runs", 0) + 1
            return images[:, :1] * self.runs

    with pytest.raises(ConversionError, match=r"Fickle (cannot be exported|answers otherwise)"):
        convert(Fickle().eval(), 32)


def test_a_network_that_the_engine_cannot_compile_runs_in_pytorch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def compile_model(*arguments: object) -> None:
        raise RuntimeError("Check 'false' failed\nunsupported operation")

    monkeypatch.setattr("models.runtime.conversion.ov.compile_model", compile_model)
    network = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.Sigmoid()).eval()
    maps, _ = Stage(network, input_size=64).predict([PICTURE])
    np.testing.assert_allclose(maps, TorchStage(network, input_size=64).predict([PICTURE])[0], atol=1e-6)
    assert "runs in PyTorch: Sequential cannot be compiled: Check 'false' failed" in caplog.text


def test_converted_weights_are_read_instead_of_the_weights(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected, _ = Stage.load(weights, role="lungs").predict([PICTURE])
    assert main(["convert", str(weights), "lungs"]) == 0
    assert "lungs.float.xml, lungs.float.bin, lungs.json" in capsys.readouterr().out
    assert set(read_card(weights).forms) == {"float"}
    weights.unlink()
    found, _ = Stage.load(weights, role="lungs").predict([PICTURE])
    np.testing.assert_allclose(found, expected, atol=2e-3)  # its numbers are kept in float16, as the weights' are


def test_pytorch_is_not_loaded_for_converted_weights(weights: Path) -> None:
    main(["convert", str(weights), "lungs"])
    program = (
        "import sys, numpy; from models.runtime.stage import Stage; "
        "stage = Stage.load(sys.argv[1], role='lungs', precision='auto'); "
        "stage.predict([numpy.zeros((64, 64), numpy.uint8)]); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(weights)], check=False).returncode == 0


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_damaged_files_are_refused(weights: Path, suffix: str) -> None:
    main(["convert", str(weights), "lungs"])
    path = weights.with_suffix(f".float{suffix}")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"lungs\.float\.xml: expected sha256 \w+ of both files as the card says"):
        Stage.load(weights, role="lungs")


def test_files_of_other_weights_are_passed_over(weights: Path) -> None:
    main(["convert", str(weights), "lungs"])
    torch.manual_seed(1)
    save_checkpoint(weights, build_network("PSPNet", "resnet18"), CARD)
    found, _ = Stage.load(weights, role="lungs").predict([PICTURE])
    for suffix in (".xml", ".bin"):
        weights.with_suffix(f".float{suffix}").unlink()
    expected, _ = Stage.load(weights, role="lungs").predict([PICTURE])
    np.testing.assert_array_equal(found, expected)


def test_what_was_converted_is_kept_in_the_cache(weights: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    expected, _ = Stage.load(weights, role="lungs", cache=cache).predict([PICTURE])
    assert sorted(path.suffix for path in cache.iterdir()) == [".bin", ".xml"]
    weights.unlink()
    found, _ = Stage.load(weights, role="lungs", cache=cache).predict([PICTURE])
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_published_weights_are_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    path = tmp_path / "PSPNet_resnet18_imagenet_050921_1419" / "weights.pth"
    path.parent.mkdir()
    torch.save(build_network("PSPNet", "resnet18").state_dict(), path)
    Stage.load(path, role="lungs", cache=tmp_path)
    monkeypatch.setattr(conversion, "convert", lambda *_: pytest.fail("it was kept"))
    Stage.load(path, role="lungs", cache=tmp_path)


def test_int8_needs_weights_that_were_quantized(weights: Path) -> None:
    with pytest.raises(DeviceError, match="expected weights that were quantized"):
        Stage.load(weights, role="lungs", precision="int8")


def test_weights_without_their_int8_form_run_in_another_format(weights: Path) -> None:
    card = read_card(weights)
    judged = card.model_copy(update={"precisions": {"int8": Judged(holds=True)}})
    weights.with_suffix(".json").write_text(judged.to_json())
    assert Stage.load(weights, role="lungs", precision="auto").precision == "float32"


def test_errors_of_the_command_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path / "none.safetensors"), "lungs"]) == 2
    assert "expected a weights file, found no such file" in capsys.readouterr().err


def test_nothing_is_told_to_the_makers_of_openvino() -> None:
    program = (
        "import models.runtime.stage, openvino.tools.ovc as converter, sys; "
        "sys.exit(not type(converter.telemetry).__module__.endswith('telemetry_stub'))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_embedded_weights_are_small_enough_for_an_image_layer() -> None:
    folder = default_weights("lungs").parent
    assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) < 45 * 2**20
    for role in ROLES:
        assert read_card(default_weights(role)).holding, "auto has a choice"
