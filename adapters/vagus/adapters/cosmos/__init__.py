"""Cosmos chains with CosmWasm: needs the extra `vagus[cosmos]`."""

import importlib.util

if importlib.util.find_spec("cosmpy") is None:
    raise ImportError("Cosmos chains need more packages: pip install 'vagus[cosmos]'")
