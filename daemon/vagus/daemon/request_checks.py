"""What is wrong with a request, said in words and numbers before any money moves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vagus.agents import AgentRegistry
from vagus.daemon.config import ConfigError, Settings
from vagus.protocol import (
    MAX_PAYLOAD,
    ZERO32,
    Account,
    Refuse,
    agent_id,
    pack_address,
    read_account,
    read_address,
)

if TYPE_CHECKING:
    from vagus.adapters.base import ChainAdapter, HubState

__all__ = [
    "check_fee",
    "check_gas",
    "check_payload",
    "pick",
    "read_callback",
    "read_dest",
    "read_digest",
]

_DIGEST = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_MAX_GAS = 2**64 - 1


def check_payload(settings: Settings, agent: str, payload: bytes) -> str | None:
    """Hold a payload against its agent's own reader: who pays is told before, not by a refusal.

    Raises ConfigError where the agent would refuse it. Returns None where it reads it, and why it
    could not be asked where it is not installed here, or is broken: other nodes may serve it.
    """
    if len(payload) > MAX_PAYLOAD:
        raise ConfigError([f"the payload has {len(payload)} bytes, of {MAX_PAYLOAD} at most"])
    try:
        agent_id(agent)
    except ValueError as error:
        raise ConfigError([f"--agent {error}: `vagus agents list` shows what is here"]) from None
    try:
        found = AgentRegistry({agent: settings.agents.get(agent, {})}).get(agent)
    except Refuse as error:
        return error.reason
    try:
        found.decode(payload)
    except Refuse as error:
        raise ConfigError([f"nothing was sent, {agent} would refuse it: {error.reason}"]) from None
    except Exception as error:  # noqa: BLE001 - a plugin's own reader, which may raise anything
        return f"the agent's own reader failed: {type(error).__name__}"
    return None


def pick(adapters: list[ChainAdapter], chain: str | None, flag: str) -> ChainAdapter:
    """Return the adapter of the chain that an option names, the first where it names none."""
    for adapter in adapters:
        if chain in (None, adapter.chain):
            return adapter
    known = ", ".join(adapter.chain for adapter in adapters)
    raise ConfigError([f"{flag} {chain!r} is not in the config, which has {known}"])


def read_dest(adapters: list[ChainAdapter], text: str | None, origin: ChainAdapter) -> str:
    """Return the CAIP-10 of the destination's hub: a chain's in the config, or as it was given."""
    if text is None:
        return origin.hub
    if text.count(":") != 2:
        return pick(adapters, text, "--to").hub
    chain = text.rpartition(":")[0]
    served = [Account.parse(adapter.hub).address for adapter in adapters if adapter.chain == chain]
    try:
        return str(read_account(text, alike="".join(served)))
    except ValueError as error:
        raise ConfigError([f"--to {text}: {error}"]) from None


def read_callback(text: str | None, dest: str) -> bytes:
    """Return the packed address of a contract on the destination; zero where none was named."""
    if text is None:
        return ZERO32
    if not text:
        raise ConfigError(["--callback is empty: leave it out for no callback"])
    hub = Account.parse(dest)
    try:
        callback = pack_address(hub.chain, read_address(hub.chain, text, alike=hub.address))
    except ValueError as error:
        raise ConfigError([f"--callback {text}: {error}"]) from None
    if callback == ZERO32:
        raise ConfigError([f"--callback {text} is nobody: leave --callback out for no callback"])
    return callback


def read_digest(text: str | None) -> bytes:
    """Return the digest of the only model allowed; zero where any is."""
    if text is None:
        return ZERO32
    if _DIGEST.fullmatch(text) is None:
        fault = "a digest is 0x and 64 hex digits, see `vagus models`"
        raise ConfigError([f"--model {text or repr(text)}: {fault}"])
    digest = bytes.fromhex(text.removeprefix("0x"))
    if digest == ZERO32:
        raise ConfigError([f"--model {text} is no model's: leave --model out for any"])
    return digest


def check_fee(origin: ChainAdapter, fee: int, state: HubState | None = None) -> None:
    """Hold a fee against the amounts that its chain has, and against the hub's minimum."""
    if fee >> origin.fee_bits > 0:
        most = f"on {origin.chain} it is 2^{origin.fee_bits} - 1 at most"
        raise ConfigError([f"--fee {fee} is more than there is: {most}"])
    least = 0 if state is None else state.min_fee
    if fee < least:
        raise ConfigError([f"--fee {fee} is under the hub's minimum of {least}"])


def check_gas(gas: int | None, callback: bytes, dest: HubState | None = None) -> None:
    """Hold a callback's gas against what any hub reads, and against the destination's maximum."""
    if gas is None:
        return
    if callback == ZERO32:
        raise ConfigError(["--callback-gas is for a callback: give --callback too, or neither"])
    most = _MAX_GAS if dest is None else dest.max_callback_gas
    if not 0 <= gas <= most:
        whose = "a hub" if dest is None else "the destination's hub"
        raise ConfigError([f"--callback-gas {gas}: {whose} takes 0 to {most}"])
