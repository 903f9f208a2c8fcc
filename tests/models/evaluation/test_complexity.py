from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from models.evaluation import complexity
from models.evaluation.command import main
from models.evaluation.complexity import count, pairs, select
from models.evaluation.configurations import CONFIGURATIONS, FIGURE_2
from models.evaluation.costs import demand, latencies_ms, untrained_network
from models.runtime.stage import Stage
from models.weights.networks import ARCHITECTURES
from models.weights.published import THRESHOLDS


def test_arithmetic_of_a_convolution_worked_out_by_hand() -> None:
    # 8 channels of 32 x 32 out of 3, 3 x 3 each: 8 * 32 * 32 * 3 * 9 multiply-accumulates.
    found = demand(nn.Conv2d(3, 8, 3, padding=1), 32, gray_bytes=1)
    assert found.parameters == 8 * 3 * 9 + 8
    assert found.operations == 2 * 8 * 32 * 32 * 3 * 9
    assert found.in_encoder == 0
    assert (found.up, found.down) == (32 * 32, 4 * 32 * 32)
    assert found.moved == 4 * (3 * 32 * 32 + 8 * 32 * 32 + found.parameters)


def test_every_architecture_stands_in_both_roles_and_in_figure_2() -> None:
    assert {(one.role, one.architecture) for one in CONFIGURATIONS} == {
        (role, architecture) for role in ("lungs", "disease") for architecture in ARCHITECTURES
    }
    assert len(CONFIGURATIONS) == 2 * len(ARCHITECTURES)
    assert set(FIGURE_2) == set(ARCHITECTURES) == set(THRESHOLDS)
    assert all(one.input_size % 32 == 0 for one in CONFIGURATIONS)


def test_a_pair_has_the_published_number_of_parameters() -> None:
    found = pairs(count(select(["Linknet", "PSPNet"], input_size=64)))
    assert list(found) == ["Linknet", "PSPNet"], "the least published error first"
    for architecture, cost in found.items():
        assert cost.parameters == pytest.approx(FIGURE_2[architecture].parameters, abs=0.06)


def test_the_published_arithmetic_leaves_out_efficientnet_encoders() -> None:
    measured = {one.configuration: one for one in count(select(["DeepLabV3+", "PSPNet", "MAnet"]))}
    first = next(one for key, one in measured.items() if (key.role, key.architecture) == ("lungs", "DeepLabV3+"))
    for architecture in ("DeepLabV3+", "PSPNet", "MAnet"):
        second = next(one for key, one in measured.items() if (key.role, key.architecture) == ("disease", architecture))
        counted = first.macs_as_published + second.macs_as_published
        assert counted == pytest.approx(FIGURE_2[architecture].macs, abs=0.25)
        assert first.macs + second.macs > counted + 5


def test_untrained_networks_answer_and_are_timed() -> None:
    network = untrained_network("Linknet", "resnet18", classification_head=True)
    stage = Stage(network, input_size=64)
    maps, labels = stage.predict([torch.zeros(64, 64, dtype=torch.uint8).numpy()])
    assert maps.shape == (1, 64, 64)
    assert labels is not None
    first, second = latencies_ms([stage, stage], rounds=2)
    assert first > 0 and second > 0


ASKED = ["networks", "--architectures", "linknet", "--input-size", "64"]


def test_the_command_counts_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASKED, "--rounds", "0", "--plots", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "| I | DeepLabV3+ | efficientnet-b1 | 64 | 7.4 |" in printed
    assert "| II | Linknet | efficientnet-b0 | 64 | 4.2 |" in printed
    assert "| Linknet | 0.378 | 11.6 | 11.6 |" in printed
    assert (tmp_path / "evaluation-networks.svg").read_text().startswith("<svg")
    assert main(["networks", "--architectures", "AlexNet"]) == 2
    assert "unknown architecture" in capsys.readouterr().err


def test_the_command_times_every_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # The paper's own encoders take long to convert.
    small = [replace(one, encoder="resnet18") for one in CONFIGURATIONS]
    monkeypatch.setattr(complexity, "CONFIGURATIONS", small)
    assert main([*ASKED, "--rounds", "1", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "| I | DeepLabV3+ | resnet18 | 64 |" in printed
    assert "| – |" not in printed
