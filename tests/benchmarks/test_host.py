import json

import pytest

from benchmarks import host, uploads
from benchmarks.peers.handling import Host, Networks
from models.workflow import Workflow
from tests.support.pictures import lung_mask
from tests.support.stubs import FixedMap, stub_workflow


@pytest.fixture(scope="module")
def workflow() -> Workflow:
    return stub_workflow(FixedMap(lung_mask()))


def test_every_step_is_measured(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "RUNS", 1)
    (upload,) = uploads.bodies("tiny")
    found = host.measure(workflow, upload)
    assert found["**sum with overlay**"] > found["**sum without overlay**"] > 0


def test_a_peer_answers_as_the_service(workflow: Workflow) -> None:
    (upload,) = uploads.bodies("tiny")
    peer = Host(workflow)
    radiograph, prepared = peer.begin(upload)
    (analysis,) = Networks(workflow).analyse([prepared])
    answer = json.loads(peer.finish(radiograph, analysis, overlay=True))
    assert answer["score"] == workflow.analyse(radiograph.pixels).score
    assert answer["overlay"]["media_type"] == "image/jpeg"
