"""What `vagus doctor` asks of one chain: its endpoints, its hub, and the account that pays."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vagus.adapters.base import Question
from vagus.daemon.client import first_heads
from vagus.daemon.doctor.committee import look_at_set
from vagus.daemon.doctor.finding import Finding, Verdict, fail, ok, warn, worst
from vagus.daemon.profiles import HUB_RULES, Hub
from vagus.protocol import ZERO32, Halt, Refuse, Retry, VagusError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vagus.adapters.base import ChainAdapter, Endpoint, Heads
    from vagus.daemon.profiles import Made

__all__ = ["look_at_chain"]

# Seconds: blocks that are further apart from their finality, or from this machine's clock.
LONG_FINALITY = 3600
OLD_HEAD = 600
CLOCK_SKEW = 60
# Pairs of one delivery and one settlement that the account should be good for.
LITTLE, NONE_LEFT = 100, 10
# Committee of one: a delivery with a callback that stores 144 bytes, and a settlement with five payees
# who have no credit yet. docs/gas.md, and docs/hub-cosmos.md.
GAS = {"eip155": 131_700 + 164_290 + 190_484, "cosmos": 264_800 + 185_700}
# Solana has fees by the transaction, and rent: of the delivery's account and of five credits
# (docs/adapter-solana.md).
SOLANA_TRANSACTIONS = 3
SOLANA_RENT = 2_060_160 + 5 * 1_224_960


async def look_at_chain(adapter: ChainAdapter, made: Made) -> list[Finding]:
    """Enter an adapter and look at its chain; a fault in one part leaves the others."""
    try:
        async with adapter:
            endpoints = list(_endpoints(adapter, await adapter.endpoints()))
            if worst(endpoints) == Verdict.FAIL:
                return endpoints  # without a quorum nothing else can be read
            try:
                heads = await first_heads(adapter)
            except Halt:
                raise
            except VagusError as error:
                advice = "see the endpoints above, and its log"
                return [*endpoints, fail(f"head {adapter.chain}", str(error), advice)]
            found = [*endpoints, *_times(adapter, heads)]
            try:
                found += await _guarded(f"hub {adapter.chain}", _hub(adapter, made))
            except Halt as error:
                advice = "mend hub under its [[chains]], or name endpoints of the hub's own chain"
                return [*found, fail(f"hub {adapter.chain}", error.reason, advice)]
            return found + await _guarded(f"account {adapter.chain}", _account(adapter, heads))
    except Halt as error:
        advice = "name an endpoint of this chain in rpc under [[chains]]"
        return [fail(f"head {adapter.chain}", error.reason, advice)]


async def _guarded(name: str, check: object) -> list[Finding]:
    try:
        return await check  # type: ignore[no-any-return,misc]
    except (Retry, Refuse) as error:
        return [fail(name, error.reason, "see the endpoints above, and ask again")]


def _endpoints(adapter: ChainAdapter, found: tuple[Endpoint, ...]) -> Iterator[Finding]:
    good = 0
    for each in found:
        name = f"endpoint {adapter.chain} {each.name}"
        if each.fault is None and each.latest is not None:
            good += 1
            yield ok(name, f"block {each.latest.height} in {each.seconds * 1000:.0f} ms")
        else:
            advice = "see whether it is up and in reach, or name another in rpc under [[chains]]"
            yield warn(name, each.fault or "no block came", advice)
    agreeing, of = adapter.quorum
    said = f"{good} of {of} endpoints are sound, {agreeing} must agree"
    name = f"quorum {adapter.chain}"
    if good < agreeing:
        yield fail(name, said, "nothing is read or signed until they are: mend those above")
    elif good < of:
        yield warn(name, said, "mend the others before one more fails")
    else:
        yield ok(name, said)


def _times(adapter: ChainAdapter, heads: Heads) -> Iterator[Finding]:
    name = f"finality {adapter.chain}"
    blocks = heads.latest.height - heads.final.height
    seconds = heads.latest.time - heads.final.time
    said = f"{blocks} blocks, {seconds} s behind the newest"
    if seconds > LONG_FINALITY:
        yield warn(name, said, "the chain has stopped to finalise: look at its status page")
    else:
        yield ok(name, said)
    name, behind = f"time {adapter.chain}", time.time() - heads.latest.time
    if behind < -CLOCK_SKEW:
        said = f"this machine's clock is {-behind:.0f} s behind the newest block"
        yield warn(name, said, "set the clock; deadlines go by chain time all the same")
    elif behind > OLD_HEAD:
        said = f"the newest block is {behind:.0f} s old by this machine's clock"
        yield warn(name, said, "the chain stands still, or the clock is ahead: see both")
    else:
        yield ok(name, f"the newest block is {max(0, behind):.0f} s old")


async def _hub(adapter: ChainAdapter, made: Made) -> list[Finding]:
    state = await adapter.hub_state()
    changeable = await adapter.upgradeable()
    found = list(look_at_set(f"hub {adapter.chain}", state, made))
    profile = made.settings.profile
    for rule in HUB_RULES:
        for words in rule.breaks(Hub(adapter.hub, state, changeable)):
            if profile in rule.profiles:
                finding, _, advice = words.partition("; ")
                found.append(
                    fail(f"profile {profile}: {rule.name} {adapter.chain}", finding, advice)
                )
    name = f"code {adapter.chain}"
    if changeable is None:
        found.append(ok(name, "a known build that nobody can change"))
    else:
        advice = "use a hub of `vagus hub deploy`: who can change it can take what it holds"
        found.append(warn(name, changeable, advice))
    return found


async def _account(adapter: ChainAdapter, heads: Heads) -> list[Finding]:
    """Say for how many deliveries and settlements the account's coins last at the fees of now."""
    name, address = f"account {adapter.chain}", adapter.address
    if not address:
        return []  # said by the config's checks
    balance = await adapter.balance()
    if not balance:
        return [fail(name, f"{address} has nothing", "send it coins: it pays for transactions")]
    cost = await _pair_cost(adapter, heads)
    if not cost:
        return [ok(name, f"{address} has {balance}; what a transaction costs now is not known")]
    pairs = balance // cost
    said = (
        f"{address} has {balance}: {pairs} deliveries and settlements, at {cost} at most for both"
    )
    if pairs < NONE_LEFT:
        return [fail(name, said, "send it coins")]
    return [warn(name, said, "send it coins")] if pairs < LITTLE else [ok(name, said)]


async def _pair_cost(adapter: ChainAdapter, heads: Heads) -> int | None:
    """Return the most that a delivery and a settlement cost now, in the coin's smallest unit.

    By the fee of a request that is estimated and not sent; None where that is not known.
    """
    state = await adapter.hub_state()
    question = Question(
        agent_id=ZERO32,
        payload=b"",
        model_digest=ZERO32,
        terms=b"",
        min_signers=0,
        dest_hub=adapter.hub_id,
        callback=ZERO32,
        callback_gas=0,
        deadline=heads.latest.time + state.min_ttl + 600,
        fee=state.min_fee,
    )
    try:
        estimate = await adapter.estimate(adapter.request_call(question))
    except (Retry, Refuse):
        return None
    kind = adapter.chain.partition(":")[0]
    if kind == "solana":
        return SOLANA_TRANSACTIONS * estimate.cost + SOLANA_RENT
    return -(-GAS[kind] * estimate.cost // estimate.gas) if kind in GAS else None
