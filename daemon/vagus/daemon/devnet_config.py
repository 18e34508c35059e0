"""A devnet's vagus.toml: written once, and its user's after that.

Chains are new each time, at ports that the system chooses. What is in the file of an earlier devnet
stays, but for the values that lead to its chains: `hub`, `rpc` and `ws` of each, and `http.port`
where something else has that by now.
"""

from __future__ import annotations

import itertools
import re
import secrets
import socket
import tomllib
from typing import TYPE_CHECKING, Any

from vagus.daemon.config import ConfigError, Settings, load
from vagus.daemon.folder import write_config

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vagus.daemon.choices import ChainChoice
    from vagus.daemon.folder import NodeFolder, Shared

__all__ = ["renew_config"]


def renew_config(
    node: NodeFolder,
    chains: Sequence[ChainChoice],
    say: Callable[[str], None],
    shared: Shared | None = None,
) -> Settings:
    """Make the folder's vagus.toml lead to these chains; return what is then in it.

    One that cannot be made to is put aside, under a name that it tells, and a new one written.
    """
    path = node.path / "vagus.toml"
    if path.exists():
        try:
            settings = _renewed(path, node, chains, shared)
        except _Unfit as fault:
            aside = _aside(path)
            path.rename(aside)
            say(f"{path} does not fit this devnet ({fault}): it is now {aside}, and a new one made")
        else:
            say(f"{path} was there: it leads to the new chains, all else in it is as it was")
            return settings
    return load(write_config(node, "devnet", chains, free_port(), shared=shared))


def free_port() -> int:
    """Return a port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Unfit(Exception):  # noqa: N818 - it is answered by another file, and is no error
    pass


def _renewed(
    path: Path, node: NodeFolder, chains: Sequence[ChainChoice], shared: Shared | None
) -> Settings:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        text = path.read_text(encoding="utf-8")
        text = _replaced(text, _changes(tomllib.loads(text), chains, shared))
        draft.touch(0o600, exist_ok=False)
        draft.write_text(text, encoding="utf-8")
        settings = load(draft)
        settings.adapters()
        if f"0x{node.signer.hex()}" not in {each.signer for each in settings.committee.members}:
            raise _Unfit("it names another signer than the hubs")
        draft.rename(path)
        return load(path)
    except (ConfigError, OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        first = str(error).replace(draft.name, path.name).partition("\n")[0]
        raise _Unfit(first) from None
    finally:
        draft.unlink(missing_ok=True)


def _changes(
    found: dict[str, Any], chains: Sequence[ChainChoice], shared: Shared | None
) -> dict[str, str]:
    """Return the lines that lead to chains that are gone, and what each becomes."""
    changes: dict[str, str] = {}
    try:
        tables = {table["id"]: table for table in found["chains"]}
        if tables.keys() != (wanted := {chain.id for chain in chains}):
            raise _Unfit(f"its chains are others than {', '.join(sorted(wanted))}")
        for chain in chains:
            new = {"hub": chain.hub, "rpc": chain.rpc[0], "ws": chain.ws}
            old = tables.get(chain.id, {})
            changes |= {f'{k} = "{old[k]}"': f'{k} = "{new[k]}"' for k in new if k in old}
        brokers = [each["url"] for each in found.get("transports", [])]
        if len(brokers) != (shared is not None):
            raise _Unfit("its committee is another")
        if shared is not None:
            changes |= {f'url = "{brokers[0]}"': f'url = "{shared.broker}"'}
        port = found.get("http", {}).get("port")
    except (KeyError, TypeError, AttributeError):
        raise _Unfit("it has not the tables of a devnet's config") from None
    if isinstance(port, int) and not _is_free(port):
        changes[f"port = {port}"] = f"port = {free_port()}"
    return changes


def _replaced(text: str, changes: dict[str, str]) -> str:
    """Put in all new values at once: one of them may be another's old one."""
    for line in changes:
        if len(re.findall(rf"(?<!\w){re.escape(line)}(?!\w)", text)) != 1:
            raise _Unfit(f"{line} is not written in it just once")
    if not changes:
        return text
    wanted = "|".join(map(re.escape, changes))
    return re.sub(rf"(?<!\w)({wanted})(?!\w)", lambda match: changes[match[0]], text)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def _aside(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
    return next(each for each in names if not each.exists())
