"""All settings of the service: environment variables with prefix ``CXR_``, or a ``.env`` file."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MEBIBYTE = 1024 * 1024


class Settings(BaseSettings):
    """One instance configures one process. See docs/operations.md for each setting's effect."""

    model_config = SettingsConfigDict(env_prefix="CXR_", env_file=".env", extra="ignore", env_ignore_empty=True)

    device: str = Field("auto", description="auto | cpu | cuda | cuda:N; cuda without a GPU fails at start")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number format of the networks; auto: float32, but float16 for stage II on a GPU"
    )
    lungs_weights: Path | None = Field(None, description="stage I's weights; empty: the embedded default")
    disease_weights: Path | None = Field(None, description="stage II's weights; empty: the embedded default")
    threshold: float | None = Field(None, ge=0, le=1, description="a share over it counts; empty: the card's")
    max_batch_size: int | None = Field(
        None, ge=1, description="most radiographs that share one run of a network; empty: 16 on a GPU, 4 on a CPU"
    )
    max_wait_ms: float = Field(
        0.0, ge=0, description="how long an idle device waits for a batch to fill, from its first arrival"
    )
    max_in_flight: int = Field(64, ge=1, description="requests admitted at once; more are answered 503")
    request_timeout_s: float = Field(30.0, gt=0, description="from the first byte to the answer; then 504")
    max_upload_mb: float = Field(32.0, gt=0, description="largest upload, MiB")
    max_pixels: int = Field(50_000_000, ge=4096, description="largest radiograph, pixels; checked before decoding")
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="comma-separated keys, one of which each analysis must carry; empty: open"
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

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(key.strip() for key in value.split(",") if key.strip())
        return value

    @property
    def max_upload_bytes(self) -> int:
        return int(self.max_upload_mb * MEBIBYTE)

    def public(self) -> dict[str, object]:
        """All settings for the log, without secrets."""
        shown = self.model_dump(mode="json", exclude={"api_keys"})
        return {**shown, "api_keys": len(self.api_keys)}
