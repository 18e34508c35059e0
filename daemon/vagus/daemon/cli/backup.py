"""`vagus backup` and `vagus restore`: the journal as one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, emit, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from vagus.daemon.config import Settings

__all__ = ["add_to"]

_JOURNAL = "journal.sqlite"
_CREDENTIAL = "   (systemd's: keep what it holds, since another machine cannot decrypt it)"


def add_to(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(backup)
    app.command()(restore)


def backup(
    file: Annotated[Path, typer.Argument(help="The new file; never written over another.")],
    config: ConfigOption = Path("vagus.toml"),
    as_json: JsonOption = False,
) -> None:
    """Copy the journal into one file, while the node runs or not.

    It holds what is public on chain, and no key: keep copies of the config, the keystores and
    their passwords elsewhere, and apart from each other.
    """
    from vagus.daemon.config import load
    from vagus.daemon.credentials import is_credential
    from vagus.daemon.journal.backup import back_up

    settings = load(config)
    done = back_up(settings.data / _JOURNAL, file, _progress())
    if as_json:
        shown = {"file": str(file), "bytes": done.size}
        emit({**shown, "ended": done.ended, "unfinished": done.unfinished})
        return
    say(f"{file}: {done.ended} ended and {done.unfinished} unfinished intents, {done.size} bytes")
    say("Not in it, and needed as well:")
    for path in (config, *_needed(settings)):
        say(f"  {path}{_CREDENTIAL if is_credential(path) else ''}")


def restore(
    file: Annotated[Path, typer.Argument(help="A backup, as `vagus backup` makes it.")],
    config: ConfigOption = Path("vagus.toml"),
    as_json: JsonOption = False,
) -> None:
    """Make the journal of a stopped node from a backup; never over another journal.

    The lost journal may have decided what the backup does not know. So the node signs nothing new
    for intents asked before it runs again: those are left to their refund, and what the backup has
    decided goes on. A node that only moves needs no restore: stop it, and move its data folder.
    """
    from vagus.daemon.config import load
    from vagus.daemon.journal.backup import restore as make
    from vagus.daemon.journal.lock import data_folder
    from vagus.daemon.owner import require_node_user

    settings = load(config)
    require_node_user(settings)
    journal = settings.data / _JOURNAL
    done = make(file, journal, _progress(), data_folder(settings.data))
    if as_json:
        shown = {"journal": str(journal), "bytes": done.size, "left": done.left}
        emit({**shown, "ended": done.ended, "unfinished": done.unfinished})
        return
    say(f"{journal}: {done.ended} ended intents, {done.unfinished} go on,")
    say(f"{done.left} without an outcome are left to their refund, as is what was asked since.")
    say("The node of the old journal must never run again: two with one key sign two answers.")


def _progress() -> Callable[[float], None]:
    """Return what says how far a copy is, once it takes over two seconds."""
    import time

    began = said = time.monotonic()

    def tell(part: float) -> None:
        nonlocal said
        now = time.monotonic()
        if now - began > 2 and (now - said > 1 or part == 1):
            say(f"copied {part:.0%}")
            said = now

    return tell


def _needed(settings: Settings) -> list[Path]:
    """Return what a node needs besides: files that its config names, and what its signer approved."""
    from vagus.daemon.committee.approving import ROTATIONS

    own = [settings.signer, *([settings.transport_key] if settings.transport_key else [])]
    tables = (*(each.model_dump() for each in own), *settings.chains, *settings.backends)
    tokens = [each["pkcs11"] for each in tables if isinstance(each.get("pkcs11"), dict)]
    files = (settings.roster_file, settings.policy_file, settings.http.tokens_file)
    named = [each for each in files if each]
    for table in (*tables, *tokens):
        named += [
            Path(table[key])
            for key in ("keystore", "password_file", "pin_file", "api_key_file")
            if table.get(key) is not None
        ]
    if (approved := settings.data / ROTATIONS).exists():
        named.append(approved)
    return list(dict.fromkeys(named))
