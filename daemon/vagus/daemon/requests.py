"""What `vagus intent quote` and `send` do: reckon the fee, look at what is asked, ask on chain."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vagus.adapters.base import Question
from vagus.daemon.client import ask, first_heads
from vagus.daemon.config import ConfigError, Settings
from vagus.daemon.http_client import node_url
from vagus.daemon.payer import paying
from vagus.daemon.request_checks import (
    check_fee,
    check_gas,
    pick,
    read_callback,
    read_dest,
    read_digest,
)
from vagus.daemon.sealed import readers_of, seal_payload, sealed_to
from vagus.daemon.token_costs import token_fee
from vagus.protocol import ZERO32, Account, Halt, Retry, VagusError, agent_id, hub_id, pack_address
from vagus.protocol.addresses import read_address
from vagus.protocol.sealing import payload_context, secret_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vagus.adapters.base import ChainAdapter, HubState, Requested

__all__ = ["CALLBACK_GAS", "Request", "quote_fee", "seal_secret", "send_request"]

CALLBACK_GAS = 300_000
"""What a callback may use where nothing else is asked for."""


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
    callback_gas: int | None
    seal: bool
    keystore: Path
    password_file: Path


@dataclass(frozen=True)
class _Read:
    """What a request names, read: CAIP-10 of the destination's hub, and words of 32 bytes."""

    dest: str
    model: bytes
    callback: bytes
    gas: int


async def quote_fee(settings: Settings, agent: str, origin: str | None, dest: str | None) -> int:
    """Return the smallest maxFee that the origin's hub and this config's node accept."""
    adapters = settings.reading().adapters()
    if agent not in settings.agents:
        raise ConfigError([f"{settings.file} serves {', '.join(settings.agents)}, and not {agent}"])
    asked = pick(adapters, origin, "--from")
    chain = Account.parse(read_dest(adapters, dest, asked)).chain
    if chain not in settings.committee.gas_allowance:
        raise ConfigError([f"committee.gas_allowance has no {chain}: its node refuses to deliver"])
    async with asked:
        await first_heads(asked)
        state = await asked.hub_state()
    roster = settings.committee
    formula = roster.fee(settings.agent_registry().get(agent).manifest.fee, asked.chain)
    return max(state.min_fee, formula.price(0, roster.allowance(chain, asked.chain)))


async def send_request(
    settings: Settings, request: Request, say: Callable[[str], None]
) -> Requested:
    """Ask on chain and return the intent once it is included; `say` is told of what is doubtful."""
    read = _read(settings.reading().adapters(), request)
    adapters = paying(settings, request.keystore, request.password_file, "to ask with")
    fee = request.fee
    if fee is None:
        fee = await quote_fee(settings, request.agent, request.origin, request.dest)
        chain = pick(adapters, request.origin, "--from").chain
        fee += await token_fee(settings, request.agent, read.model, request.payload, chain, say)
    async with pick(adapters, request.origin, "--from") as adapter:
        await first_heads(adapter)
        state = await adapter.hub_state()
        check_fee(adapter, fee, state)
        if request.fee is not None and fee > (balance := await adapter.balance()):
            raise ConfigError([f"--fee {fee} is more than {adapter.address} has: {balance}"])
        if not state.min_ttl <= request.ttl <= state.max_ttl:
            takes = f"the hub takes {state.min_ttl} to {state.max_ttl} seconds"
            raise ConfigError([f"--ttl {request.ttl}: {takes}"])
        served = {each.hub: each for each in adapters}
        if read.callback != ZERO32 and read.dest in served:
            there = served[read.dest]
            dest = state if there is adapter else await _state(there, say)
            check_gas(read.gas, read.callback, dest)
        payload = request.payload
        if request.seal:
            payload = await _sealed(settings, request, adapter, served.get(read.dest), say)
        # Read last: what came before may have taken seconds.
        deadline = (await first_heads(adapter)).latest.time + request.ttl
        if read.dest not in served:
            back = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(deadline + state.grace))
            say(
                f"this node does not serve {read.dest}: unless another committee does, the fee "
                f"comes back by a refund, after {back}"
            )
        question = Question(
            agent_id=agent_id(request.agent),
            payload=payload,
            model_digest=read.model,
            terms=b"",
            min_signers=0,
            dest_hub=hub_id(read.dest),
            callback=read.callback,
            callback_gas=read.gas,
            deadline=deadline,
            fee=fee,
        )
        return await ask(adapter, question)


async def _sealed(
    settings: Settings,
    request: Request,
    origin: ChainAdapter,
    dest: ChainAdapter | None,
    say: Callable[[str], None],
) -> bytes:
    """Return a request's payload as the destination's signers alone can read it."""
    if dest is None:
        raise ConfigError(
            [f"--seal: {settings.file} has not the chain whose members would read it"]
        )
    if dest is origin:
        state = await origin.hub_state()
    else:
        async with dest:
            await first_heads(dest)
            state = await dest.hub_state()
    readers = await readers_of(node_url(settings), dest.hub, state)
    requester = pack_address(origin.chain, origin.address)
    context = payload_context(hub_id(origin.hub), requester, agent_id(request.agent))
    sealed = seal_payload(request.payload, readers, context)
    say(f"sealed to {len(readers)} members: {len(sealed)} bytes instead of {len(request.payload)}")
    return sealed


async def seal_secret(
    settings: Settings,
    secret: bytes,
    *,
    agent: str,
    host: str,
    requester: str,
    origin: str | None,
    dest: str | None,
) -> bytes:
    """Return a secret that the destination's signers alone can open, for one requester, agent and host.

    requester: its address on the origin, a contract's or an account's.
    """
    adapters = settings.reading().adapters()
    asked = pick(adapters, origin, "--from")
    hub = read_dest(adapters, dest, asked)
    there = next((each for each in adapters if each.hub == hub), None)
    if there is None:
        raise ConfigError(
            [f"--to {hub}: {settings.file} has not the chain whose members would read it"]
        )
    try:
        word = pack_address(asked.chain, read_address(asked.chain, requester))
    except ValueError as error:
        raise ConfigError([f"--requester {requester}: {error}"]) from None
    try:
        agent_word = agent_id(agent)
    except ValueError as error:
        raise ConfigError([f"--agent {error}"]) from None
    async with there:
        await first_heads(there)
        readers = await readers_of(node_url(settings), hub, await there.hub_state())
    context = secret_context(hub_id(asked.hub), word, agent_word, host)
    return sealed_to(readers, secret, context)


def _read(adapters: list[ChainAdapter], request: Request) -> _Read:
    """Read what is asked, as far as no chain is needed for it."""
    origin = pick(adapters, request.origin, "--from")
    dest = read_dest(adapters, request.dest, origin)
    callback = read_callback(request.callback, dest)
    check_gas(request.callback_gas, callback)
    if request.fee is not None:
        check_fee(origin, request.fee)
    gas = CALLBACK_GAS if request.callback_gas is None else request.callback_gas
    model = read_digest(request.model)
    return _Read(dest, model, callback, gas if callback != ZERO32 else 0)


async def _state(dest: ChainAdapter, say: Callable[[str], None]) -> HubState | None:
    """Read a destination's hub; None, and said so, where its chain does not answer."""
    try:
        async with dest:
            await first_heads(dest)
            return await dest.hub_state()
    except Halt:
        raise
    except VagusError as error:
        reason = error.reason if isinstance(error, Retry) else error
        say(f"the callback's gas cannot be checked: {reason}")
        return None
