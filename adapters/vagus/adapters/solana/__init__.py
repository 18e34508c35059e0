"""Solana: the adapter, its hub's bytes, a development chain."""
