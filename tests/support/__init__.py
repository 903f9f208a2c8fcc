"""What several tests use: radiographs, stub networks, servers, and waiting for them."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Of the repository."""
