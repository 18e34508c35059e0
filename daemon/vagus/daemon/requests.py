"""What `vagus intent` does: quote, ask on chain, and follow at a node over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from vagus.adapters.base import Question
from vagus.daemon.client import ask
from vagus.daemon.config import ConfigError, Settings
from vagus.daemon.records import Stage
from vagus.protocol import ZERO32, Account, VagusError, agent_id, hub_id, pack_address

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vagus.adapters.base import ChainAdapter, Requested

__all__ = ["NodeError", "Request", "get", "quote_fee", "send_request", "wait_for"]

_POLL = 0.5


class NodeError(VagusError):
    """The node does not answer, or says no."""


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
    async with _pick(adapters, origin) as asked:
        await asked.next_heads(None)
        state = await asked.hub_state()
    chain = Account.parse(_hub(adapters, dest, asked)).chain
    if chain not in settings.committee.gas_allowance:
        raise ConfigError([f"committee.gas_allowance has no {chain}: its node refuses to deliver"])
    formula = settings.agent_registry().get(agent).manifest.fee
    return max(state.min_fee, formula.price(0, settings.committee.gas_allowance[chain]))


async def send_request(settings: Settings, request: Request) -> Requested:
    """Ask on chain and return the intent once it is included."""
    adapters = settings.paid_from(request.keystore, request.password_file).adapters()
    fee = request.fee
    if fee is None:
        fee = await quote_fee(settings, request.agent, request.origin, request.dest)
    async with _pick(adapters, request.origin) as adapter:
        heads = await adapter.next_heads(None)
        dest = _hub(adapters, request.dest, adapter)
        chain = Account.parse(dest).chain
        callback = pack_address(chain, request.callback.lower()) if request.callback else ZERO32
        question = Question(
            agent_id=agent_id(request.agent),
            payload=request.payload,
            model_digest=bytes.fromhex((request.model or ZERO32.hex()).removeprefix("0x")),
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
        kind = UnknownError if response.status == 404 else NodeError
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
        return dest.lower() if dest.startswith("eip155:") else dest
    return _pick(adapters, dest).hub
