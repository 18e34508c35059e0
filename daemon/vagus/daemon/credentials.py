"""systemd's credentials: files that only the unit is shown, in a folder that it learns by a variable.

The config names one as `${CREDENTIALS_DIRECTORY}/NAME` and keeps it as that. What opens the file asks
here for its path, so that all which opens none works outside of the unit too.
"""

from __future__ import annotations

import os
from pathlib import Path

from vagus.protocol import VagusError

__all__ = ["CredentialError", "is_credential", "located"]

_VARIABLE = "CREDENTIALS_DIRECTORY"
_PREFIX = f"${{{_VARIABLE}}}/"


class CredentialError(VagusError):
    """A credential is wanted where systemd has handed over none: what is missing, and what to do."""

    exit_code = 2

    def __init__(self, path: Path) -> None:
        self.fault = f"{path} is one of systemd's credentials, and {_VARIABLE} is not set here"
        self.advice = (
            f"have systemd hand it over, `systemd-run -q --pipe -p User=vagus -p "
            f"LoadCredentialEncrypted={path.name} vagus …`, or set {_VARIABLE} to a folder that "
            f"has it as {path.name}"
        )
        super().__init__(f"{self.fault}: {self.advice}")


def is_credential(path: object) -> bool:
    """Whether a path of the config names a credential."""
    return str(path).startswith(_PREFIX)


def located(path: Path) -> Path:
    """Return where a file of the config is now; what names no credential stays. CredentialError."""
    if not is_credential(path):
        return path
    folder = os.environ.get(_VARIABLE)
    if not folder:
        raise CredentialError(path)
    return Path(folder) / str(path).removeprefix(_PREFIX)
