"""Cosmos chains with CosmWasm: needs the extra `vagus[cosmos]`."""

import importlib.util

from vagus.adapters.errors import MissingExtraError

if importlib.util.find_spec("cosmpy") is None:
    raise MissingExtraError("Cosmos chains need more packages: pip install 'vagus[cosmos]'")
