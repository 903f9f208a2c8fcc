import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.keys import hash_key
from app.settings import MEBIBYTE, Settings
from docs.postman.files import DEFAULT_MAX_BYTES
from tests.support import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def read(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


def test_the_environment_is_read_with_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, CXR_PORT="9000", CXR_MAX_UPLOAD_MB="1.5", CXR_LOG_LEVEL="debug", PORT="1")
    assert settings.port == 9000
    assert settings.max_upload_bytes == 1_572_864
    assert settings.log_level == "DEBUG"


def test_the_largest_detector_s_picture_fits_uncompressed() -> None:
    # 17 x 17 inches at 100 micrometres, two bytes each.
    side = int(17 * 25.4 / 0.1)
    assert 2 * side * side < Settings(_env_file=None).max_upload_bytes == 64 * MEBIBYTE


@pytest.mark.parametrize(
    ("file", "pattern", "room"),
    [
        ("docs/operations.md", r"`CXR_MAX_UPLOAD_MB` \| `(\d+)`", 0),
        ("docs/api.md", r"`CXR_MAX_UPLOAD_MB`, (\d+) MiB", 0),
        ("docker/gateway/start.sh", r"CXR_MAX_UPLOAD_MB:-(\d+)}", 0),
        # A form's own lines come on top.
        ("docs/kubernetes.md", r"let bodies of (\d+) MiB through", 1),
    ],
)
def test_the_largest_upload_is_the_same_wherever_it_is_named(file: str, pattern: str, room: int) -> None:
    (found,) = re.findall(pattern, (ROOT / file).read_text(encoding="utf-8"))
    assert (int(found) - room) * MEBIBYTE == Settings(_env_file=None).max_upload_bytes == DEFAULT_MAX_BYTES


def test_what_looks_like_a_setting_and_is_none_is_found() -> None:
    given = ["CXR_DEVICE", "cxr_port", "CXR_OPERATION_KEYS", "CXR_LOGLEVEL", "PATH", "XCXR_DEVICE"]
    assert Settings.unknown(given) == ["CXR_LOGLEVEL", "CXR_OPERATION_KEYS"]


def test_what_is_misspelt_in_the_file_is_found_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXR_LOGLEVEL", "INFO")
    (tmp_path / ".env").write_text("CXR_MAX_UPLOADS_MB=7\nCXR_PORT=9000\nTZ=UTC\n")
    assert {"CXR_LOGLEVEL", "CXR_MAX_UPLOADS_MB"} <= set(Settings.unknown())
    assert "CXR_PORT" not in Settings.unknown()


# Where a container listens, and on what it runs, is fixed.
@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - {"host", "port", "device"}))
def test_compose_passes_every_setting(name: str) -> None:
    variable = f"CXR_{name}".upper()
    assert f"    {variable}: ${{{variable}:-}}\n" in (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_docs_defaults_are_the_settings(name: str) -> None:
    rows = re.findall(rf"^\| `CXR_{name.upper()}` \| (.*?) \|", OPERATIONS, re.MULTILINE)
    (said,) = rows
    # What is no value stands for one that is chosen later.
    given = {name: said.strip("`")} if said.startswith("`") else {}
    default = Settings.model_fields[name].default
    assert getattr(Settings(_env_file=None, **given), name) == default  # type: ignore[arg-type]
    assert bool(given) == (default not in (None, ()))


def test_what_the_cluster_and_the_docs_name_is_a_setting() -> None:
    folder = ROOT / "docker" / "kubernetes"
    files = [*folder.rglob("*.env"), *folder.rglob("*.yaml"), ROOT / "docs" / "kubernetes.md"]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    assert Settings.unknown(set(re.findall(r"\bCXR_[A-Z_]+\b", text))) == []
    # Compose has some of its own: where things lie on the host.
    named = set(re.findall(r"\bCXR_[A-Z_]+\b", OPERATIONS))
    compose = set(re.findall(r"\bCXR_[A-Z_]+\b", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    assert set(Settings.unknown(named)) <= compose


def test_an_empty_value_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, CXR_THRESHOLD="", CXR_LUNGS_WEIGHTS="", CXR_API_KEYS="")
    assert settings.threshold is None
    assert settings.lungs_weights is None
    assert settings.api_keys == ()


def test_hashes_of_keys_are_parted_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = hash_key("one-key"), hash_key("another-key")
    settings = read(monkeypatch, CXR_API_KEYS=f" {one} ,{other},", CXR_OPERATIONS_KEYS=other)
    assert settings.api_keys == (one, other)
    assert settings.operations_keys == (other,)
    assert (settings.public()["api_keys"], settings.public()["operations_keys"]) == (2, 1)
    assert one not in str(settings.public())


@pytest.mark.parametrize("name", ["CXR_API_KEYS", "CXR_OPERATIONS_KEYS"])
def test_a_key_in_place_of_its_hash_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(monkeypatch, **{name: f"{hash_key('one-key')},a-key-as-it-is"})
    (fault,) = refused.value.errors()
    assert "SHA-256" in fault["msg"]
    assert "a-key-as-it-is" not in fault["msg"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"# keys\n{hash_key('one-key')}\na-key-as-it-is\n".encode(), "line 3: expected SHA-256"),
        (b"a-key-as-it-is\xff", "can't decode byte 0xff"),
        (None, "No such file"),
    ],
    ids=["a key", "no text", "no file"],
)
@pytest.mark.parametrize("name", ["CXR_API_KEYS_FILE", "CXR_OPERATIONS_KEYS_FILE"])
def test_a_file_of_keys_must_hold_entries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValidationError) as refused:
        read(monkeypatch, **{name: str(file)})
    (fault,) = refused.value.errors()
    assert told in fault["msg"]
    assert "a-key-as-it-is" not in fault["msg"]


def test_origins_are_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, CXR_CORS_ORIGINS="https://viewer.example, http://localhost:3000")
    assert settings.cors_origins == ("https://viewer.example", "http://localhost:3000")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CXR_DEVICE", "gpu"),
        ("CXR_PRECISION", "int4"),
        ("CXR_THRESHOLD", "-0.1"),
        ("CXR_MAX_BATCH_SIZE", "0"),
        ("CXR_REQUEST_TIMEOUT_S", "0"),
        ("CXR_PORT", "70000"),
        ("CXR_LOG_LEVEL", "loud"),
        ("CXR_CORS_ORIGINS", "*"),
        ("CXR_CORS_ORIGINS", "https://viewer.example/page"),
    ],
)
def test_what_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        read(monkeypatch, **{name: value})
