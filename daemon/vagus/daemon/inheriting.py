"""What a set has decided and delivered, taken up by a member that had no part in it.

Receipts are signed by the set that the origin has now. A member that came since has the outcome from
the delivery, once that is final: its transaction has the answer and the attestation, and the evidence
and the roster of then come from any member's node by their hashes. From these follow fee and payouts,
the same as at those who decided.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from vagus.agents.document import read_evidence
from vagus.agents.manifest import FeeConfig
from vagus.daemon.http_client import NodeError
from vagus.daemon.journal.records import Stage
from vagus.daemon.others import Others
from vagus.daemon.payouts import payouts
from vagus.daemon.roster import is_roster, read_roster
from vagus.daemon.verify.collecting import fetch_document
from vagus.protocol import Refuse, Retry, Status, keccak256

if TYPE_CHECKING:
    from vagus.adapters.base import ChainAdapter, Delivery
    from vagus.adapters.delivered import Delivered
    from vagus.agents.document import Document
    from vagus.daemon.committee.rosters import Rosters
    from vagus.daemon.execute import Executor
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.journal.records import IntentRecord
    from vagus.daemon.network import Network
    from vagus.daemon.roster import Roster
    from vagus.protocol import FeeFormula, SignerSet

__all__ = ["Inheriting"]

log = structlog.get_logger("vagus.pipeline")

_AFTER = 30.0


class Inheriting:
    """Takes intents over from whoever delivered them."""

    def __init__(
        self, journal: Journal, network: Network, executor: Executor, rosters: Rosters
    ) -> None:
        self._journal = journal
        self._network = network
        self._executor = executor
        self._rosters = rosters

    async def still_undelivered(self, record: IntentRecord, dest: ChainAdapter) -> None:
        """Raise Retry where `take` would take an intent now, so that nobody decides it any more."""
        try:
            found = await self._found(record, dest)
        except Retry as error:
            log.debug("cannot be taken over yet", reason=error.reason)
            return
        if found is not None:
            raise Retry("others have delivered its answer", after=0.0)

    async def take(self, record: IntentRecord) -> bool:
        """Take an intent to CONFIRMED by its answer's final delivery; False where there is none.

        Raises Retry where there is one, and what it came to cannot be read here.
        """
        dest = self._network.find(record.intent.dest_hub)
        if dest is None or (found := await self._found(record, dest)) is None:
            return False
        delivery, told, evidence, document, roster, acting = found
        cost, fee = int(document.cost), self._fee(record, document, roster)
        leader = bytes.fromhex(document.executor[2:])
        origin = self._network.by_hub(record.origin).chain
        decided = replace(record, cost=cost, fee=fee)
        await self._journal.move(
            record,
            Stage.CONFIRMED,
            note=f"decided and delivered by epoch {delivery.epoch}, without this node",
            evidence=(delivery.evidence_hash, evidence),
            status=told.attestation.status,
            reason="",
            output=told.output,
            cost=cost,
            fee=fee,
            attestation=told.attestation,
            signatures=told.signatures,
            epoch=delivery.epoch,
            leader=leader,
            payouts=payouts(decided, origin, dest.chain, delivery, acting, roster, leader),
        )
        return True

    async def _found(
        self, record: IntentRecord, dest: ChainAdapter
    ) -> tuple[Delivery, Delivered, bytes, Document, Roster, SignerSet] | None:
        """Return all that a receipt follows from; None where no answer is delivered at finality."""
        delivery = await dest.delivery(record.id)
        if delivery is None or delivery.status != Status.FULFILLED:
            # What pays nobody needs no receipt: the refund is as good.
            return None
        try:
            told = await dest.delivered(record.id)
            if told is None:
                return None
            state = await self._network.state(dest)
            acting = Others.delivering(state, delivery.epoch)
            evidence = await self._document(delivery.evidence_hash)
            document = read_evidence(evidence)
        except Refuse as error:
            raise Retry(f"delivered without this node: {error.reason}", _AFTER) from None
        said = told.attestation
        one = (said.status, said.output_hash, said.evidence_hash, said.epoch)
        if one != (delivery.status, delivery.output_hash, delivery.evidence_hash, delivery.epoch):
            raise Retry("its delivery's transaction and the hub's record differ", _AFTER)
        about = (document.intent.id, document.agent.digest)
        if about != ("0x" + record.id.hex(), "0x" + said.agent_digest.hex()):
            raise Retry("the evidence that was delivered is of something else", _AFTER)
        roster = await self._roster(dest, state.current.epoch, acting)
        return delivery, told, evidence, document, roster, acting

    async def _roster(self, dest: ChainAdapter, current: int, acting: SignerSet) -> Roster:
        """Return the roster of a set, which the one that follows it names by its hash."""
        key = (dest.hub_id, acting.epoch)
        named = [self._network.sets.get(key)]
        if named == [None] and acting.epoch != current:
            newest = self._rosters.of(dest.hub_id, current)
            named = [newest.follows, newest.digest()]
        for digest in filter(None, named):
            document = await self._document(digest)
            if (
                not is_roster(document)
                or (roster := read_roster(document)).signers != acting.signers
            ):
                continue
            await self._journal.note_set(*key, digest)
            self._rosters.learn(roster)
            self._network.sets[key] = digest
            return roster
        return self._rosters.of(*key)

    async def _document(self, digest: bytes) -> bytes:
        """Return a document of this node's journal, else of another member's node."""
        known = await self._journal.evidence(digest)
        if known is not None:
            return known
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(_ask(url, digest), name=f"document of {url}")
                for url in self._rosters.urls(self._executor.signer)
            ]
        for task in asked:
            if (found := task.result()) is not None:
                await self._journal.keep_evidence(digest, found)
                return found
        raise Retry(
            f"delivered without this node, and no member that has a url in the roster serves the "
            f"document 0x{digest.hex()}",
            _AFTER,
        )

    def _fee(self, record: IntentRecord, document: Document, roster: Roster) -> FeeFormula:
        """Return the agent's formula as the set that decided had it."""
        digest = bytes.fromhex(document.agent.digest[2:])
        name = f"{document.agent.name}@{document.agent.version.partition('.')[0]}"
        if name in roster.agents and roster.agent_digest(name) == digest:
            config = roster.agents[name].config
            return FeeConfig.model_validate(config.get("fee", {})).formula()
        try:
            manifest = self._executor.agent(record).manifest
        except Refuse as error:
            raise Retry(f"delivered without this node: {error.reason}", _AFTER) from None
        if manifest.digest != digest:
            raise Retry(f"{manifest.agent_id} is configured in another way here", _AFTER)
        return manifest.fee


async def _ask(url: str, digest: bytes) -> bytes | None:
    try:
        found = await fetch_document(url, digest)
    except NodeError as error:
        log.debug("a member does not serve a document", url=url, reason=str(error))
        return None
    return found if keccak256(found) == digest else None
