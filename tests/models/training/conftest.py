import pytest

from models.pack import Pack
from models.runtime.stage import Stage
from tests.models.packs import SIDE, write_pack
from tests.support.stubs import FixedMap


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return Pack(write_pack(tmp_path_factory.mktemp("pack")))


@pytest.fixture(scope="module")
def lungs(pack: Pack) -> Stage:
    """A stage I that answers the phantom's own lungs."""
    return Stage(FixedMap(pack.cases[0].lungs), input_size=SIDE)
