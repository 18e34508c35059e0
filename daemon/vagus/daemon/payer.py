"""Who pays for what a person sends: an account that no node uses.

Two who send from one account take each other's nonces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.adapters.errors import WalletError
from vagus.adapters.evm.keystore import keystore_address
from vagus.daemon.config import ConfigError, adapter_of
from vagus.daemon.credentials import located

if TYPE_CHECKING:
    from pathlib import Path

    from vagus.adapters.base import ChainAdapter
    from vagus.daemon.config import Settings

__all__ = ["paying"]


def paying(
    settings: Settings, keystore: Path, password_file: Path, purpose: str
) -> list[ChainAdapter]:
    """Return an adapter for each chain that pays from a keystore, not entered yet.

    `purpose` is what the key is for, as "to ask with". Raises ConfigError for a keystore that is
    missing, or the node's own.
    """
    if not keystore.exists():
        raise ConfigError(
            [
                f"{keystore}: no such key {purpose}; make one by `vagus keys new` or "
                "`vagus keys import`, fund it, or name another by --keystore"
            ]
        )
    own = _accounts(settings)
    adapters = settings.paid_from(keystore, password_file).adapters()
    if own & {_named(keystore), *(adapter.account for adapter in adapters)}:
        raise ConfigError([f"{keystore} is the node's own account: it takes another {purpose}"])
    return adapters


def _accounts(settings: Settings) -> set[bytes]:
    """Return the node's own accounts, without its passwords where the keystores name them.

    What a keystore names is the key's EVM address, packed, whatever chain it pays on.
    """
    found = set()
    for at, table in enumerate(settings.chains):
        if table.get("keystore") is not None:
            # Opened, a keystore has its account, or says why it cannot be opened.
            named = _named(located(table["keystore"]))
            found.add(named or adapter_of(table, f"{settings.file}: chains.{at}").account)
        elif table.get("pkcs11") is not None or table.get("kms") is not None:
            found.add(adapter_of(table, f"{settings.file}: chains.{at}").account)
    return found


def _named(keystore: Path) -> bytes | None:
    try:
        return keystore_address(keystore).rjust(32, b"\0")
    except WalletError:
        return None
