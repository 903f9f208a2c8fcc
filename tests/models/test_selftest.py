import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models import selftest
from models.selftest import SelfTestError, record, run_self_test
from models.workflow import Workflow
from tests.support.pictures import lung_mask
from tests.support.stubs import FixedMap, stub_workflow


class NotProbabilities(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        return torch.full((len(images), 1, 16, 16), self.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, 1.5])
def test_a_network_that_does_not_answer_probabilities_fails(value: float) -> None:
    with pytest.raises(SelfTestError, match="expected probabilities"):
        run_self_test(stub_workflow(NotProbabilities(value)))


def test_a_recorded_answer_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "KNOWN", tmp_path / "self_test.json")
    workflow = stub_workflow(FixedMap(lung_mask()))
    run_self_test(workflow)  # nothing is on record yet
    record(workflow)
    shares = run_self_test(workflow).shares
    known = json.loads(selftest.KNOWN.read_text())
    assert known["shares"] == pytest.approx(shares, abs=1e-4)
    known["shares"][2] += 0.03
    selftest.KNOWN.write_text(json.dumps(known))
    with pytest.raises(SelfTestError, match="expected shares"):
        run_self_test(workflow)


def test_the_embedded_pair_has_its_answer_on_record(embedded: Workflow) -> None:
    known = selftest.known_shares(embedded)
    assert known is not None
    assert max(known) > 0.1, "a dead stage II would pass a test without disease"
    assert run_self_test(embedded).score == json.loads(selftest.KNOWN.read_text())["score"]
