"""Which committee a node's config makes of it: one of its own, or a member of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from vagus.daemon.committee.inbox import Inbox
from vagus.daemon.committee.outbox import Outbox
from vagus.daemon.committee.peers import Peers
from vagus.daemon.committee.sole import SoleSigner
from vagus.daemon.committee.transport.http import HttpTransport
from vagus.daemon.committee.transport.opening import open_transports
from vagus.daemon.committee.troubles import NOT_IN_ROSTER

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from vagus.daemon.committee.base import Committee, Signing
    from vagus.daemon.committee.heartbeat import Beat
    from vagus.daemon.committee.rosters import Rosters
    from vagus.daemon.config import Settings
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.transport_key import TransportKey

__all__ = ["open_committee"]

log = structlog.get_logger("vagus.committee")


async def open_committee(
    settings: Settings,
    rosters: Rosters,
    signer: Signing,
    transport_key: TransportKey | None,
    journal: Journal,
    beat: Beat,
    stack: AsyncExitStack,
) -> Committee:
    """Return this node's committee, whose transports are entered on the stack.

    Raises ConfigError, CredentialError and Refuse for transports that are of no use.
    """
    roster = rosters.own
    if signer.address not in roster.signers:
        # It may have left, and still owe its signature of what it decided: it runs.
        own = f"0x{signer.address.hex()}"
        log.warning("this node's signer is not in its roster", signer=own, todo=NOT_IN_ROSTER)
    # A roster of several has the transport key of each: it is refused otherwise.
    if {*roster.signers} <= {signer.address} or transport_key is None:
        return SoleSigner(signer)
    transports = [
        await stack.enter_async_context(each)
        for each in open_transports(settings.transports, transport_key.key, roster.network)
    ]
    inbox = Inbox(roster.network, rosters)
    outbox = Outbox(transport_key.key, signer.address, roster.network, rosters, journal, transports)
    return Peers(
        signer,
        rosters,
        inbox=inbox,
        outbox=outbox,
        journal=journal,
        transports=transports,
        beat=beat.told,
        routes=[
            route
            for each in transports
            if isinstance(each, HttpTransport)
            for route in each.routes()
        ],
    )
