"""The OpenAPI document against the service: schemathesis makes requests that fit it, and some that do not."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from app.keys import hash_key
from app.main import create_app
from app.settings import Settings
from tests.app.server import Server
from tests.robustness.seeds import seeds
from tests.robustness.service import serving

EXAMPLES: Final = 100
SEEDS: Final = seeds()
FILES: Final = {"image/png": "PNG gray", "image/jpeg": "JPEG colour", "image/tiff": "TIFF lzw", "image/bmp": "BMP gray"}
CONFIG: Final = {
    "generation": {"mode": "all", "max-examples": EXAMPLES, "deterministic": True},
    "phases": {"stateful": {"enabled": False}},
}
KEY: Final = "the-key"
DOCUMENT: Final = create_app(Settings(_env_file=None)).openapi()

# What the document calls binary is a radiograph: valid data then reach the networks. By itself schemathesis would send
# pictures of one pixel.
schemathesis.openapi.format("binary", st.sampled_from([SEEDS[name] for name in FILES.values()]))
for media_type, name in FILES.items():
    schemathesis.openapi.media_type(media_type, st.just(SEEDS[name]))
schema = schemathesis.openapi.from_dict(DOCUMENT, config=schemathesis.Config.from_dict(CONFIG))


@pytest.fixture(scope="module")
def locked_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a key, as what is open to all could not refuse a wrong one."""
    with serving(
        tmp_path_factory.mktemp("locked"), CXR_API_KEYS=hash_key(KEY), CXR_OPERATIONS_KEYS=hash_key(KEY)
    ) as ready:
        yield ready
        assert not [line for line in ready.log_lines() if line["message"] == "bug"]


def test_the_document_is_the_services(locked_service: Server) -> None:
    assert locked_service.client.get("/openapi.json").json() == DOCUMENT


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_service_is_what_its_document_says(case: schemathesis.Case[Any], locked_service: Server) -> None:
    case.call_and_validate(base_url=locked_service.url, headers={"Authorization": f"Bearer {KEY}"})
