"""Calls of the devnet's own, for tests: slots, time, forks, what waits. No node of Solana's has them."""

from __future__ import annotations

from typing import Any

from vagus.adapters.solana.litesvm.encoding import RpcError
from vagus.adapters.solana.litesvm.ledger import Ledger
from vagus.adapters.solana.litesvm.methods import Method
from vagus.adapters.solana.litesvm.params import Params

__all__ = ["control"]

_MOST = 100_000


def control(ledger: Ledger) -> dict[str, Method]:
    """Return the calls by their names; each returns the newest slot that ended."""

    def advance(params: Params) -> int:
        ledger.end_slots(params.number(0, _MOST))
        return ledger.newest.number

    def skip(params: Params) -> int:
        ledger.skip(params.number(0, _MOST))
        return ledger.newest.number

    def warp(params: Params) -> int:
        ledger.warp(params.number(0, 10**9))
        return ledger.newest.number

    def drop(params: Params) -> bool:
        return ledger.waiting.pop(params.signature(params.at(0)), None) is not None

    def take_back(params: Params) -> int:
        try:
            ledger.take_back(params.number(0, _MOST))
        except ValueError as error:
            raise RpcError(-32602, str(error)) from None
        return ledger.newest.number

    def lamports(params: Params) -> int:
        ledger.set_lamports(params.key(0), params.number(1))
        return ledger.newest.number

    def pace(params: Params) -> int:
        ledger.pace = params.number(0, 60_000) / 1000
        ledger.paced.set()
        return ledger.newest.number

    def waiting(_: Params) -> list[Any]:
        return [str(each) for each in ledger.waiting]

    return {
        "devnet_advance": advance,
        "devnet_skip": skip,
        "devnet_warp": warp,
        "devnet_drop": drop,
        "devnet_takeBack": take_back,
        "devnet_setLamports": lamports,
        "devnet_pace": pace,
        "devnet_waiting": waiting,
    }
