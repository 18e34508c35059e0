"""What `vagus intent` does: quote, ask on chain, and follow at a node over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from vagus.adapters.base import Question
from vagus.daemon.client import ask, first_heads
from vagus.daemon.config import ConfigError, Settings
from vagus.daemon.journal.records import Stage
from vagus.protocol import MAX_PAYLOAD, ZERO32, Account, VagusError, agent_id, hub_id, pack_address

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vagus.adapters.base import ChainAdapter, Requested

__all__ = ["NodeError", "Request", "get", "quote_fee", "send_request", "wait_for"]

_POLL = 0.5


class NodeError(VagusError):
    """The node does not answer, or says no."""


class RejectedError(NodeError):
    """The node does not take what was asked."""

    exit_code = 2


class UnknownError(NodeError):
    """The node has not seen what was asked for."""


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
    adapters = settings.adapters()
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


async def send_request(settings: Settings, request: Request) -> Requested:
    """Ask on chain and return the intent once it is included."""
    if not request.keystore.exists():
        raise ConfigError(
            [
                f"{request.keystore}: no such key to ask with; make one by `vagus keys new` or "
                "`vagus keys import`, fund it, or name another by --keystore"
            ]
        )
    if len(request.payload) > MAX_PAYLOAD:
        raise ConfigError(
            [f"the payload has {len(request.payload)} bytes, of {MAX_PAYLOAD} at most"]
        )
    own = {adapter.account for adapter in settings.adapters()}
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


async def get(node: str, path: str) -> dict[str, Any]:
    """Return what a node answers to a GET. Raises NodeError in its words."""
    timeout = aiohttp.ClientTimeout(total=10)
    body: dict[str, Any]
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(node + path) as response,
        ):
            body = msgspec.json.decode(await response.read(), type=dict[str, Any])
    except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
        raise NodeError(f"no node answers at {node}: start it with `vagus run`") from error
    if response.status != 200:
        kind = {404: UnknownError, 400: RejectedError}.get(response.status, NodeError)
        raise kind(str(body.get("error", response.status)))
    return body


async def wait_for(node: str, intent_id: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Follow an intent at a node until it ends, telling each new stage."""
    stage = ""
    while True:
        with contextlib.suppress(UnknownError):
            found = await get(node, f"/v1/intents/{intent_id}")
            if found["stage"] != stage:
                stage = found["stage"]
                say(stage)
            if Stage[stage.upper()].ended:
                return found
        await asyncio.sleep(_POLL)


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
