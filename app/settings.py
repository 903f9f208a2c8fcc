"""All settings of the service: environment variables with prefix ``CXR_``, or a ``.env`` file."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from dotenv import dotenv_values
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.keyring import read_keys
from app.keys import read_entry

MEBIBYTE = 1024 * 1024
DRAIN_SECONDS = 5
"""How long a shutdown waits for answers under way, beyond the deadline of a request."""
Words: TypeAlias = Annotated[tuple[str, ...], NoDecode]
"""A comma-separated list in the environment."""


_PREFIX, _FILE = "CXR_", ".env"


class Settings(BaseSettings):
    """One instance configures one process. See docs/operations.md for each setting's effect."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_file=_FILE, extra="ignore", env_ignore_empty=True)

    device: str = Field("auto", description="auto | cpu | cuda | cuda:N; cuda without a GPU fails at start")
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto", description="number format of the networks; auto: the fastest that suits the weights on this device"
    )
    cache_dir: Path | None = Field(
        None, description="folder for networks converted for the CPU; empty: converted anew at each start"
    )
    lungs_weights: Path | None = Field(None, description="stage I's weights; empty: the embedded default")
    disease_weights: Path | None = Field(None, description="stage II's weights; empty: the embedded default")
    threshold: float | None = Field(None, ge=0, le=1, description="a zone's share over it counts; empty: the card's")
    max_batch_size: int | None = Field(
        None, ge=1, description="largest number of radiographs in one run of a network on a GPU; empty: 16"
    )
    max_wait_ms: float = Field(
        0.0, ge=0, description="how long an idle device waits for a batch to fill, from its first arrival"
    )
    max_in_flight: int = Field(64, ge=1, description="requests admitted at once; more are answered 503")
    request_timeout_s: float = Field(30.0, gt=0, description="from the first byte to the answer; then 504")
    drain_delay_s: float = Field(
        0.0,
        ge=0,
        description="told to end, the service is not ready for so long before it refuses connections; for balancers "
        "that poll",
    )
    device_timeout_s: float = Field(
        20.0, gt=0, description="a device that does not answer a batch within it is lost, and the process ends"
    )
    max_upload_mb: float = Field(64.0, gt=0, description="largest upload, MiB")
    max_pixels: int = Field(50_000_000, ge=4096, description="largest radiograph, pixels; checked before decoding")
    body_parts: Words = Field(
        (), description="more words, comma-separated, in DICOM's Body Part Examined that mean the chest"
    )
    api_keys: Words = Field(
        (), description="SHA-256 of the valid API keys, comma-separated; an analysis needs one of them; empty: open"
    )
    operations_keys: Words = Field(
        (), description="the same for /metrics and /models, which have keys of their own; empty: open"
    )
    api_keys_file: Path | None = Field(
        None, description="file with more of them, one a line, read again when it changes; then a key is always needed"
    )
    operations_keys_file: Path | None = Field(None, description="the same for the operations keys")
    cors_origins: Words = Field(
        (), description="origins, comma-separated, whose pages may call the service from a browser; empty: only its own"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError("expected auto, cpu, cuda or cuda:N")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("body_parts", "api_keys", "operations_keys", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @field_validator("api_keys", "operations_keys")
    @classmethod
    def _hashed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            read_entry(entry)
        return value

    @field_validator("api_keys_file", "operations_keys_file")
    @classmethod
    def _holds_keys(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                read_keys(value)
            except OSError as error:
                raise ValueError(f"{value}: {error.strerror}") from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"https?://[^/*\s]+", origin) for origin in value):
            raise ValueError("expected origins such as https://viewer.example, without wildcards")
        return value

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_mb * MEBIBYTE)

    @classmethod
    def unknown(cls, variables: Iterable[str] | None = None) -> list[str]:
        """The names of variables that look like settings but are none, sorted: most likely misspelt.

        Args:
            variables: the names to check; None: those in the environment and in the ``.env`` file.
        """
        if variables is None:
            variables = {*os.environ, *dotenv_values(_FILE)}
        known = {_PREFIX + name.upper() for name in cls.model_fields}
        return sorted(name for name in variables if name.upper().startswith(_PREFIX) and name.upper() not in known)

    def public(self) -> dict[str, object]:
        """All settings as they may be logged: keys appear only by their number."""
        shown = self.model_dump(mode="json")
        return {**shown, "api_keys": len(self.api_keys), "operations_keys": len(self.operations_keys)}
