"""Plugins that are installed for one test."""

from collections.abc import Mapping
from pathlib import Path

__all__ = ["install"]


def install(
    site: Path,
    group: str,
    entries: Mapping[str, str],
    *,
    name: str = "plugin",
    version: str = "1.0",
) -> None:
    """Write to a folder what says that a distribution is installed there, with these plugins.

    `group` is the kind ("agents"). Whoever has the folder on Python's path finds them.
    """
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{entry} = {target}\n" for entry, target in entries.items()]
    (info / "entry_points.txt").write_text("".join([f"[vagus.{group}]\n", *lines]))
