"""A distribution's tests, run with the kit that its plugins have to pass."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

from vagus.daemon.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["named_in", "require", "run_tests"]

# Which extra of vagus has a module.
NEEDED = {"pytest": "test", "pytest_asyncio": "test"}


def named_in(folder: Path, kind: str) -> list[str]:
    """Return the plugins of a kind ("agents") that a folder's pyproject.toml names. Raises ConfigError."""
    path, group = folder / "pyproject.toml", f"vagus.{kind}"
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        names = list(found["project"]["entry-points"][group])
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file; `vagus {kind} new` writes one"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    except (KeyError, TypeError):
        names = []
    if not names:
        one = kind.removesuffix("s")
        raise ConfigError([f'{path} names no {one} under [project.entry-points."{group}"]'])
    return names


def require(modules: Mapping[str, str]) -> None:
    """Raise ConfigError for modules that are not installed, given with the extra that has them."""
    missing = [each for each in modules if importlib.util.find_spec(each) is None]
    if missing:
        extras = ",".join(sorted({modules[each] for each in missing}))
        raise ConfigError([f"{', '.join(missing)} missing: pip install 'vagus[{extras}]'"])


def run_tests(folder: Path, plugin: str, *settings: str) -> bool:
    """Run a folder's tests with a pytest plugin that wants the kit among them; True if all pass."""
    command = [sys.executable, "-m", "pytest", "-p", plugin, "--kit", *settings, "--rootdir", "."]
    return subprocess.run(command, cwd=folder, check=False).returncode == 0  # noqa: S603 - our own interpreter
