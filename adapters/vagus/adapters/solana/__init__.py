"""Solana: needs the extra `vagus[solana]`."""

import importlib.util

from vagus.adapters.errors import MissingExtraError

if importlib.util.find_spec("solders") is None:
    raise MissingExtraError("Solana needs more packages: pip install 'vagus[solana]'")
