"""Programs that the system's packages bring; `tests/tools` installs them where it may."""

import shutil

import pytest

__all__ = ["program"]


def program(name: str, package: str) -> str:
    """The path of a program; without it the test is skipped, and says what was not tried."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"NOT TRIED without {name}: install the package {package}")
    return found
