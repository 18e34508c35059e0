"""What `vagus doctor` asks of a committee: its transports, and what the running node says of the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from vagus.daemon.committee.changes import bound
from vagus.daemon.committee.transport.config import BrokerConfig
from vagus.daemon.committee.transport.opening import open_transports
from vagus.daemon.committee.troubles import troubles
from vagus.daemon.credentials import CredentialError
from vagus.daemon.doctor.finding import Finding, fail, ok, warn
from vagus.daemon.http_client import NodeError, get, node_url
from vagus.daemon.journal.lock import holder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coincurve import PrivateKey

    from vagus.adapters.base import HubState
    from vagus.daemon.committee.transport.config import PeersConfig
    from vagus.daemon.config import Settings
    from vagus.daemon.profiles import Made
    from vagus.daemon.roster import Roster

__all__ = ["look_at_committee", "look_at_set"]

# Seconds that a broker or a peer may take to answer.
_ANSWER = 5.0


def look_at_set(name: str, state: HubState, made: Made) -> Iterator[Finding]:
    """Compare a hub's set and roster with this node's."""
    current, roster = state.current, made.settings.committee
    said = (
        f"epoch {current.epoch}, threshold {current.threshold} of {len(current.signers)}, "
        f"{'paused' if state.paused else 'open'} at block {state.at.height}"
    )
    known = {*roster.signers} & {*current.signers}
    if made.signer not in current.signers:
        advice = "rotate the hub to a set with it, or run with a signer that is in the set"
        yield fail(name, f"{said}; this node's signer is not in the set", advice)
    elif len(known) < current.threshold:
        advice = "name the roster that the hub has: vagus committee show compares them"
        yield fail(name, f"{said}; the roster has {len(known)} of its signers: no quorum", advice)
    elif state.paused:
        yield warn(name, said, "its guardian has paused it: nothing is delivered meanwhile")
    else:
        yield ok(name, said)
    if len(current.signers) > 1 or len(roster.members) > 1:
        yield from _roster(name.replace("hub", "roster", 1), state, roster)


def _roster(name: str, state: HubState, roster: Roster) -> Iterator[Finding]:
    current = state.current
    stands = bound(len(current.signers), current.threshold)
    if state.roster_hash == roster.digest():
        yield ok(name, f"the hub has this node's; {stands}")
    else:
        yield fail(
            name,
            f"the hub has 0x{state.roster_hash.hex()}, this node 0x{roster.digest().hex()}",
            "take the hub's roster (vagus committee roster of its proposal, docs/committee.md#joining), "
            "or propose this one",
        )


async def look_at_committee(settings: Settings, made: Made) -> list[Finding]:
    """Reach for each transport, and ask the running node what is wrong with the others."""
    if len(settings.committee.members) < 2:
        return []
    try:
        key = settings.member_key(made.signer)
    except CredentialError:
        return await _others(settings)  # a key that is not handed to a command has its own line
    if key is None:
        return []
    network = settings.committee.network
    looks = [
        _broker(each, key.key, network) if isinstance(each, BrokerConfig) else _peers(each)
        for each in settings.transports
    ]
    found = [finding for part in await asyncio.gather(*looks) for finding in part]
    return found + await _others(settings)


async def _broker(config: BrokerConfig, key: PrivateKey, network: bytes) -> list[Finding]:
    name = f"transport {config.url}"
    [transport] = open_transports([config], key, network)
    try:
        async with asyncio.timeout(_ANSWER), transport:
            await transport.until_connected()
    except TimeoutError:
        advice = "see whether it runs, its log for this node's name, and ca_file and password_file"
        return [fail(name, f"the broker does not take this node in {_ANSWER:g} s", advice)]
    return [ok(name, "the broker takes this node")]


async def _peers(config: PeersConfig) -> list[Finding]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER)) as session:
        asked = [_peer(session, peer.url) for peer in config.peers if peer.url is not None]
        return list(await asyncio.gather(*asked))


async def _peer(session: aiohttp.ClientSession, url: str) -> Finding:
    name = f"transport {url}"
    try:
        async with session.get(f"{url}/healthz", allow_redirects=False) as response:
            status = response.status
    except (aiohttp.ClientError, TimeoutError):
        return warn(name, "the peer does not answer", "ask its operator, and see the url")
    if status == 200:
        return ok(name, "the peer answers")
    advice = "its node must list this name under http.hosts, and the proxy before it pass it on"
    return warn(name, f"the peer answers {status}", advice)


async def _others(settings: Settings) -> list[Finding]:
    if holder(settings.data) is None:
        return [ok("committee", "no node runs here to ask who of the others is there")]
    node = node_url(settings)
    try:
        view = await get(node, "/v1/committee")
        chains = (await get(node, "/v1/chains"))["chains"]
    except NodeError as error:
        return [warn("committee", str(error), "see whether it is starting, and its log")]
    here = sum(each["present"] for each in view["members"])
    wrong = [warn("committee", each, "vagus committee status") for each in troubles(view, chains)]
    return wrong or [ok("committee", f"{here} of {len(view['members'])} other members are here")]
