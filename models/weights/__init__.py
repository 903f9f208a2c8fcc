"""The embedded default: one network per stage, in half precision on disk, each with its card."""

from pathlib import Path


def default_weights(role: str) -> Path:
    """The weights file of stage ``lungs`` or ``disease`` that comes with the package."""
    return Path(__file__).with_name(f"{role}.safetensors")
