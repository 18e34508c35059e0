"""Whose a node's files are: what root writes among them, the node's own user could not read."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from vagus.protocol import VagusError

if TYPE_CHECKING:
    from vagus.daemon.config import Settings

__all__ = ["OwnerError", "as_user", "require_node_user", "require_owner", "user_name"]


class OwnerError(VagusError):
    """Root would write among another user's files; nothing was written."""

    exit_code = 2


def require_owner(*paths: Path) -> None:
    """Raise OwnerError where this process is root's and the first path that is there is not."""
    if os.geteuid() != 0:
        return
    for path in paths:
        if path.exists():
            if owner := path.stat().st_uid:
                raise OwnerError(
                    f"{path} belongs to user {user_name(owner)}, who could not read what root writes: "
                    f"{as_user(owner)} (or chown root {path}, where root runs the node)"
                )
            return


def require_node_user(settings: Settings) -> None:
    """Raise OwnerError where root would write among the files of a node that another user runs."""
    require_owner(settings.data / "journal.sqlite", settings.data, Path(settings.file))


def as_user(owner: int) -> str:
    """Say how root runs a command as the user with this number."""
    name = user_name(owner)
    return f"run it as that user{'' if name.isdigit() else f', runuser -u {name} -- vagus …'}"


def user_name(owner: int) -> str:
    """Return a user's name, or its number where it has none."""
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)
