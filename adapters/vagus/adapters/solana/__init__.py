"""Solana: needs the extra `vagus[solana]`."""

import importlib.util

if importlib.util.find_spec("solders") is None:
    raise ImportError("Solana needs more packages: pip install 'vagus[solana]'")
