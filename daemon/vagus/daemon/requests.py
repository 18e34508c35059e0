"""What `vagus intent quote` and `send` do: reckon the fee, look at what is asked, ask on chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vagus.adapters.base import Question
from vagus.adapters.errors import WalletError
from vagus.adapters.evm.keystore import keystore_address
from vagus.agents import AgentRegistry
from vagus.daemon.client import ask, first_heads
from vagus.daemon.config import ConfigError, Settings, adapter_of
from vagus.daemon.credentials import located
from vagus.protocol import MAX_PAYLOAD, ZERO32, Account, Refuse, agent_id, hub_id, pack_address

if TYPE_CHECKING:
    from pathlib import Path

    from vagus.adapters.base import ChainAdapter, Requested

__all__ = ["Request", "check_payload", "quote_fee", "send_request"]


@dataclass(frozen=True)
class Request:
    """A question as the command line has it; None stands for its default."""

    agent: str
    payload: bytes
    origin: str | None
    dest: str | None
    fee: int | None
    ttl: int
    model: str | None
    callback: str | None
    callback_gas: int
    keystore: Path
    password_file: Path


async def quote_fee(settings: Settings, agent: str, origin: str | None, dest: str | None) -> int:
    """Return the smallest maxFee that the origin's hub and this config's node accept."""
    adapters = settings.reading().adapters()
    if agent not in settings.agents:
        raise ConfigError([f"{settings.file} serves {', '.join(settings.agents)}, and not {agent}"])
    async with _pick(adapters, origin) as asked:
        await first_heads(asked)
        state = await asked.hub_state()
    chain = Account.parse(_hub(adapters, dest, asked)).chain
    if chain not in settings.committee.gas_allowance:
        raise ConfigError([f"committee.gas_allowance has no {chain}: its node refuses to deliver"])
    roster = settings.committee
    formula = roster.fee(settings.agent_registry().get(agent).manifest.fee, asked.chain)
    return max(state.min_fee, formula.price(0, roster.allowance(chain, asked.chain)))


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


async def send_request(settings: Settings, request: Request) -> Requested:
    """Ask on chain and return the intent once it is included."""
    if not request.keystore.exists():
        raise ConfigError(
            [
                f"{request.keystore}: no such key to ask with; make one by `vagus keys new` or "
                "`vagus keys import`, fund it, or name another by --keystore"
            ]
        )
    own = _accounts(settings)
    adapters = settings.paid_from(request.keystore, request.password_file).adapters()
    if own & {adapter.account for adapter in adapters}:
        raise ConfigError([f"{request.keystore} is the node's own account: ask from another"])
    fee = request.fee
    if fee is None:
        fee = await quote_fee(settings, request.agent, request.origin, request.dest)
    async with _pick(adapters, request.origin) as adapter:
        heads = await first_heads(adapter)
        await _check_bounds(adapter, fee, request.ttl)
        dest = _hub(adapters, request.dest, adapter)
        callback = _callback(request.callback, dest)
        question = Question(
            agent_id=agent_id(request.agent),
            payload=request.payload,
            model_digest=_digest(request.model),
            terms=b"",
            min_signers=0,
            dest_hub=hub_id(dest),
            callback=callback,
            callback_gas=request.callback_gas if request.callback else 0,
            deadline=heads.latest.time + request.ttl,
            fee=fee,
        )
        return await ask(adapter, question)


def _accounts(settings: Settings) -> set[bytes]:
    """Return the node's own accounts, packed, without its passwords where the keystores name them."""
    found = set()
    for at, table in enumerate(settings.chains):
        if table.get("keystore") is not None:
            try:
                found.add(keystore_address(located(table["keystore"])).rjust(32, b"\0"))
            except WalletError:  # opened, it names its address, or says why it cannot be opened
                found.add(adapter_of(table, f"{settings.file}: chains.{at}").account)
    return found


async def _check_bounds(adapter: ChainAdapter, fee: int, ttl: int) -> None:
    """Say with its numbers what the hub would reject with a word."""
    state = await adapter.hub_state()
    if fee >= 1 << 256:
        raise ConfigError([f"--fee {fee} is more than there is"])
    if fee < state.min_fee:
        raise ConfigError([f"--fee {fee} is under the hub's minimum of {state.min_fee}"])
    if not state.min_ttl <= ttl <= state.max_ttl:
        raise ConfigError(
            [f"--ttl {ttl}: the hub takes {state.min_ttl} to {state.max_ttl} seconds"]
        )


def _digest(text: str | None) -> bytes:
    try:
        digest = ZERO32 if text is None else bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        digest = b""
    if len(digest) != len(ZERO32):
        raise ConfigError([f"--model {text}: a digest is 0x and 64 hex digits, see `vagus models`"])
    return digest


def _callback(text: str | None, dest: str) -> bytes:
    try:
        return pack_address(Account.parse(dest).chain, text.lower()) if text else ZERO32
    except ValueError as error:
        raise ConfigError([f"--callback {text}: {error}"]) from None


def _pick(adapters: list[ChainAdapter], chain: str | None) -> ChainAdapter:
    for adapter in adapters:
        if chain in (None, adapter.chain):
            return adapter
    known = ", ".join(adapter.chain for adapter in adapters)
    raise ConfigError([f"{chain} is not in the config, which has {known}"])


def _hub(adapters: list[ChainAdapter], dest: str | None, origin: ChainAdapter) -> str:
    """Return the CAIP-10 of the destination's hub: a chain's in the config, or as it was given."""
    if dest is None:
        return origin.hub
    if dest.count(":") == 2:
        try:
            return str(Account.parse(dest.lower() if dest.startswith("eip155:") else dest))
        except ValueError as error:
            raise ConfigError([f"--to {dest}: {error}"]) from None
    return _pick(adapters, dest).hub
