"""The user's cache: what was fetched and built, weights among it."""

import os
from pathlib import Path

__all__ = ["cache_dir"]


def cache_dir() -> Path:
    """The user's cache of what was fetched and built; made when missing."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "vagus"
    path.mkdir(parents=True, exist_ok=True)
    return path
