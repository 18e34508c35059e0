"""Routing and running: which agent and model answer an intent, and what comes out of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from vagus.agents import Budget, Context, Route, admit, evidence, execute, routes_for
from vagus.protocol import (
    EMPTY_HASH,
    MAX_PAYLOAD,
    ZERO32,
    Refuse,
    Retry,
    Status,
    Terms,
    canonical,
    keccak256,
    models_digest,
)
from vagus.protocol.fees import BASIS_POINTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.agents import Agent, AgentRegistry, Policy
    from vagus.compute import Backend
    from vagus.daemon.journal.records import IntentRecord
    from vagus.daemon.roster import Roster
    from vagus.protocol import FeeFormula

__all__ = ["Executor", "Outcome", "refused"]

log = structlog.get_logger("vagus.agents")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the committee decides on: design's outcome, with the documents behind its hashes."""

    status: Status
    reason: str
    output: bytes
    output_hash: bytes
    agent_digest: bytes
    model_digest: bytes
    evidence: bytes
    evidence_hash: bytes
    cost: int
    fee: FeeFormula | None


class Executor:
    """Runs agents on backends, within an operator's policy and an intent's fee."""

    def __init__(
        self,
        agents: AgentRegistry,
        backends: Sequence[Backend],
        policy: Policy,
        roster: Roster,
        signer: bytes,
    ) -> None:
        self._agents = agents
        self._backends = backends
        self._policy = policy
        self._roster = roster
        self._signer = signer
        self._routes: dict[str, tuple[Route, ...]] = {}

    async def route(self, record: IntentRecord, dest_chain: str) -> Route:
        """Return where an intent is run, or refuse it in words before anything is spent.

        Raises Retry where a backend that might serve it does not answer.
        """
        intent = record.intent
        agent = self._agents.by_id(intent.agent_id)
        if len(record.payload) > MAX_PAYLOAD or keccak256(record.payload) != intent.payload_hash:
            raise Refuse("the payload is not the intent's")
        terms = Terms.check(intent.terms_hash, record.terms)
        admit(self._policy, agent.manifest, intent, terms)
        agent.decode(record.payload)
        self._spend(agent, record, dest_chain)
        routes = routes_for(self._policy, agent.manifest, intent, terms, await self._all_routes())
        return next((route for route in routes if label(route) == record.backend), routes[0])

    async def run(self, record: IntentRecord, dest_chain: str, seconds: float) -> Outcome:
        """Run a routed intent within `seconds`. Raises Refuse and Retry as agents do."""
        route = record.route or await self.route(record, dest_chain)
        agent = self._agents.by_id(record.intent.agent_id)
        spend = self._spend(agent, record, dest_chain)
        started = time.time_ns() // 1_000_000
        ctx = Context(
            intent_id=record.id,
            agent_id=agent.manifest.agent_id,
            route=route,
            deadline=asyncio.get_running_loop().time() + seconds - agent.manifest.margin,
            budget=Budget(spend=spend),
            log=log.bind(chain=record.origin.rpartition(":")[0]),
        )
        output = await execute(agent, ctx, record.payload)
        proof = evidence.build(
            record.intent,
            agent.manifest,
            ctx.calls,
            output,
            executor=self._signer,
            started=started,
            finished=time.time_ns() // 1_000_000,
        )
        return Outcome(
            status=Status.FULFILLED,
            reason="",
            output=output,
            output_hash=keccak256(output),
            agent_digest=agent.manifest.digest,
            model_digest=models_digest([call.route.model.digest for call in ctx.calls]),
            evidence=proof.data,
            evidence_hash=proof.hash,
            cost=ctx.spent,
            fee=agent.manifest.fee,
        )

    def _spend(self, agent: Agent, record: IntentRecord, dest_chain: str) -> int:
        """Return what may be spent on compute, in the committee's unit of account.

        Refuses a fee that does not even pay the delivery.
        """
        origin = record.origin.rpartition(":")[0]
        formula = self._roster.fee(agent.manifest.fee, origin)
        fixed = formula.price(0, self._roster.allowance(dest_chain, origin))
        if record.intent.max_fee < fixed:
            raise Refuse(f"maxFee {record.intent.max_fee} is below this node's cost of {fixed}")
        markup = max(agent.manifest.config.fee.markup_bps, BASIS_POINTS)
        rest = self._roster.from_coin(origin, record.intent.max_fee - fixed)
        return rest * BASIS_POINTS // markup

    async def _all_routes(self) -> list[Route]:
        """Ask each backend for its models, once; one that does not answer is left out for now."""
        failed: Retry | None = None
        for backend in self._backends:
            if backend.name not in self._routes:
                try:
                    models = await backend.models()
                except Retry as error:
                    failed = error
                else:
                    self._routes[backend.name] = tuple(Route(backend, each) for each in models)
        if failed and not self._routes:
            raise failed
        return [route for routes in self._routes.values() for route in routes]


def refused(record: IntentRecord, status: Status, reason: str) -> Outcome:
    """Return the outcome of an intent without an answer: nothing but its reason, and why."""
    document = canonical(
        {"version": 1, "intent": "0x" + record.id.hex(), "status": int(status), "reason": reason}
    )
    return Outcome(
        status=status,
        reason=reason,
        output=b"",
        output_hash=EMPTY_HASH,
        agent_digest=ZERO32,
        model_digest=ZERO32,
        evidence=document,
        evidence_hash=keccak256(document),
        cost=0,
        fee=None,
    )


def label(route: Route) -> str:
    """Return a route in words: the backend's name and the model's."""
    return f"{route.backend.name}/{route.model.name}"
