import pytest

from models import Stage, Workflow, default_weights


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workflow:
    """The embedded pair in float32. The network that has to be converted is kept in a folder that all workers share."""
    base = tmp_path_factory.getbasetemp()
    cache = (base if worker_id == "master" else base.parent) / "converted"
    cache.mkdir(exist_ok=True)
    lungs, disease = (Stage.load(default_weights(role), role=role, cache=cache) for role in ("lungs", "disease"))
    return Workflow(lungs, disease)
