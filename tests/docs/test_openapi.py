"""The OpenAPI document against the service: schemathesis makes requests that fit it, and some that do not."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.keys import hash_key
from app.main import create_app
from app.settings import Settings
from benchmarks.robustness.seeds import seeds
from benchmarks.robustness.service import serving
from tests.support.reports import upload
from tests.support.server import Server

EXAMPLES: Final = 100
SEEDS: Final = seeds()
FILES: Final = {"image/png": "PNG gray", "image/jpeg": "JPEG colour", "image/tiff": "TIFF lzw", "image/bmp": "BMP gray"}
RADIOGRAPHS: Final = [SEEDS[name] for name in FILES.values()]
REPORTED: Final = upload(128)
CONFIG: Final = {
    "generation": {"mode": "all", "max-examples": EXAMPLES, "deterministic": settings().derandomize},
    "phases": {"stateful": {"enabled": False}},
}
KEY: Final = "the-key"
DOCUMENT: Final = create_app(Settings(_env_file=None)).openapi()

# What the document calls binary is a radiograph: valid data then reach the networks. By itself schemathesis would send
# pictures of one pixel.
schemathesis.openapi.format("binary", st.sampled_from(RADIOGRAPHS))
for media_type, name in FILES.items():
    schemathesis.openapi.media_type(media_type, st.just(SEEDS[name]))
schemathesis.openapi.media_type("application/dicom", st.just(REPORTED))
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
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
def test_the_service_is_what_its_document_says(case: schemathesis.Case[Any], locked_service: Server) -> None:
    # A report needs a DICOM upload, which no schema of a form's part can say.
    is_report = case.path.startswith("/reports")
    excluded = [positive_data_acceptance] if is_report and case.media_type != "application/dicom" else []
    case.call_and_validate(
        base_url=locked_service.url, headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=excluded
    )
