"""Routing and running: which agent and model answer an intent, and what comes out of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import structlog

from vagus.agents import Budget, Context, Route, admit, evidence, execute, routes_for, screen
from vagus.agents.modes import Result, Verifier, check_result, mode_of
from vagus.agents.policy import CONFIDENTIAL
from vagus.compute.routing import Router
from vagus.daemon.explain import Explainer
from vagus.daemon.fair import check_prices, check_tokens, listed_prices
from vagus.daemon.keeping import keeping
from vagus.daemon.question import Question
from vagus.daemon.routes import Routes
from vagus.daemon.sealed import Opener, unquoted
from vagus.protocol import (
    ZERO32,
    Outcome,
    Refuse,
    Retry,
    Status,
    Terms,
    canonical,
    hash_terms,
    keccak256,
    models_digest,
)
from vagus.protocol.fees import BASIS_POINTS
from vagus.protocol.sealing import is_sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.agents import Agent, AgentRegistry, Policy
    from vagus.agents.document import Document
    from vagus.compute import Backend
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.journal.records import IntentRecord
    from vagus.daemon.roster import Roster
    from vagus.protocol import FeeFormula

__all__ = ["Executor", "Run", "label", "refused"]

log = structlog.get_logger("vagus.agents")


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to, or why there was none.

    `cost` is in the committee's unit of account, `fee` the agent's formula, `served` the backends and
    models that answered this node, none in a run of another member: that is as its evidence has it.
    """

    outcome: Outcome
    reason: str = ""
    cost: int = 0
    fee: FeeFormula | None = None
    served: frozenset[tuple[str, bytes]] = frozenset()


class Executor:
    """Runs agents on backends, within an operator's policy and an intent's fee.

    journal: where what a run may cost is written before it can; only who pays for models needs one.
    """

    def __init__(
        self,
        agents: AgentRegistry,
        backends: Sequence[Backend],
        policy: Policy,
        roster: Roster,
        signer: bytes,
        router: Router | None = None,
        opener: Opener | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._agents = agents
        self._policy = policy
        self._roster = roster
        self.signer = signer
        self.router = Router() if router is None else router
        self.routes = Routes(backends)
        self._opener = Opener(None) if opener is None else opener
        self._journal = journal
        self._modes: dict[bytes, Verifier] = {}

    def explainer(self) -> Explainer:
        """Return what explains the choices."""
        return Explainer(self._agents, self._policy, self.routes, self.router)

    def agent(self, record: IntentRecord) -> Agent:
        """Return the agent that an intent asks for; Refuse where it is not served."""
        return self._agents.by_id(record.intent.agent_id)

    def question(self, record: IntentRecord) -> Question:
        """Return what an intent asks, opened where it is sealed.

        Raises Retry where it is sealed to others, Refuse where it can't be opened, and as `agent` does.
        """
        return Question(record, self.agent(record), self._opener.payload(record))

    def mode(self, question: Question) -> Verifier:
        """Return how the answer to a question is checked."""
        agent = question.agent
        if agent.manifest.id not in self._modes:
            self._modes[agent.manifest.id] = mode_of(agent.manifest)
        verifier = self._modes[agent.manifest.id]
        try:
            return verifier.for_value(agent, question.value)
        except Refuse:
            return verifier  # what is not understood has no output to compare

    def screen(self, question: Question, output: bytes) -> None:
        """Refuse an answer that this operator's policy is against; numbers say nothing to read."""
        agent = question.agent
        if agent.Output is not bytes or not agent.numeric(question.value):
            screen(self._policy, agent.manifest, output)

    def check_cost(
        self, question: Question, dest_chain: str, document: Document, own: Document | None
    ) -> None:
        """Refuse another member's run that costs more than the fee bears, or than is likely from here.

        own: the evidence of this member's own run, where it had one.
        """
        agent = question.agent
        spend = self._spend(agent, question.record, dest_chain)
        if int(document.cost) > spend:
            raise Refuse(f"its compute cost {document.cost}, and {spend} may be spent")
        if document.calls and not agent.asks:
            raise Refuse(f"{agent.manifest.agent_id} asks no model, and the evidence has calls")
        check_tokens(document, own)
        most = self._policy.most(agent.manifest.agent_id)
        check_prices(document, most, listed_prices(self.routes.known()))

    async def route(self, record: IntentRecord, dest_chain: str) -> Route | None:
        """Return the model that an intent is run on and where, or refuse it before anything is spent.

        That is the model of the route that the journal has, or of the first one that can be used now;
        None for an agent that asks no model.
        Raises Retry where a backend that might serve it does not say what it serves, or what it costs.
        """
        intent = record.intent
        self.agent(record)
        own = (keccak256(record.payload), hash_terms(record.terms))
        if own != (intent.payload_hash, intent.terms_hash):
            # Neither an adapter nor the journal hands on such a one: no fault of the requester's.
            raise RuntimeError("the payload and the terms are not the intent's")
        terms, question = Terms.parse(record.terms), self.question(record)
        agent, payload = question.agent, question.payload
        if is_sealed(record.payload):
            terms = msgspec.structs.replace(terms, privacy=CONFIDENTIAL)
        admit(self._policy, agent.manifest, intent, terms, payload)
        _ = question.value  # refused here, before anything is spent
        self._spend(agent, record, dest_chain)
        if not agent.asks:
            if intent.model_digest != ZERO32:
                raise Refuse(f"{agent.manifest.agent_id} asks no model, and the intent pins one")
            return None
        known = await self.routes.all()
        try:
            routes = routes_for(self._policy, agent.manifest, intent, terms, known, payload)
        except Refuse as error:
            if (unheard := self.routes.unheard()) is not None:
                raise Retry(f"{error.reason}, and {unheard.reason}", unheard.after) from None
            raise
        if self.mode(question).attested:
            # A member without such a backend has nothing to lead with, and checks what others lead.
            routes = tuple(each for each in routes if each.backend.attests) or routes
        before = (route for route in routes if label(route) == record.backend)
        return self._best(routes, next(before, None) or self._first_usable(routes))

    async def run(self, question: Question, dest_chain: str, seconds: float) -> Run:
        """Run a routed intent within `seconds`. Raises Refuse and Retry as agents do."""
        record, agent, mode = question.record, question.agent, self.mode(question)
        route = record.route or await self.route(record, dest_chain)
        with unquoted(record):
            wanted = agent.sealed(question.value)
        secrets = self._opener.secrets(record, wanted)
        # Whatever is spent counts for all runs of an intent together, also where this one is lost.
        before = record.spent
        started = time.time_ns() // 1_000_000
        async with keeping(lambda used: self._keep(record, before + used)) as keep:
            ctx = Context(
                intent_id=record.id,
                agent_id=agent.manifest.agent_id,
                route=route,
                deadline=asyncio.get_running_loop().time() + seconds - agent.manifest.margin,
                budget=Budget(
                    spend=self._spend(agent, record, dest_chain) - before,
                    # Prices move: the one that the route was chosen at is not the one of the call.
                    most=self._policy.most(agent.manifest.agent_id),
                ),
                router=self.router,
                record=mode.records,
                circuit=mode.prover,
                secrets=secrets,
                keep=keep,
                log=log.bind(chain=record.origin.rpartition(":")[0]),
            )
            try:
                with unquoted(record):
                    output = await execute(agent, ctx, question.payload, question.value)
            except (Retry, Refuse):
                # What was held for tries that cost nothing is there for the next run, after a restart too.
                if record.spent != (spent := before + ctx.spent + ctx.lost):
                    await self._keep(record, spent)
                raise
            finally:
                record.spent = before + ctx.spent + ctx.lost
        self.screen(question, output)
        proof = evidence.build(
            record.intent,
            agent.manifest,
            ctx.calls,
            output,
            executor=self.signer,
            started=started,
            finished=time.time_ns() // 1_000_000,
            # Evidence is public, and a source has the URL that was sealed.
            sources=() if is_sealed(record.payload) else ctx.sources,
            proofs=ctx.proofs,
        )
        outcome = Outcome(
            Status.FULFILLED,
            output,
            agent.manifest.digest,
            models_digest([call.route.model.digest for call in ctx.calls]),
            proof.data,
        )
        # What the others would refuse is refused here, in the same words.
        terms = Terms.check(record.intent.terms_hash, record.terms)
        result = Result(output, outcome.agent_digest, outcome.model_digest, proof.data)
        check_result(agent.manifest, record.intent, terms, result, executor=self.signer)
        served = frozenset((call.route.backend.name, call.route.model.digest) for call in ctx.calls)
        return Run(outcome, cost=ctx.spent, fee=agent.manifest.fee, served=served)

    async def _keep(self, record: IntentRecord, spent: int) -> None:
        if self._journal is None:
            raise RuntimeError("an executor whose models cost something needs a journal")
        await self._journal.spend(record, spent)

    def _first_usable(self, routes: Sequence[Route]) -> Route:
        usable = (
            each for each in routes if self.router.usable(each.backend.name, each.model.digest)
        )
        return next(usable, routes[0])

    def _best(self, routes: Sequence[Route], of: Route) -> Route:
        """Return one model's routes as one, the best backend of now in front."""
        backends = tuple(each.backend for each in routes if each.model == of.model)
        best = self.router.best(of.model, backends)
        return Route(best, of.model, tuple(each for each in backends if each is not best))

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


def refused(intent_id: bytes, status: Status, reason: str) -> Run:
    """Return the outcome of an intent without an answer: nothing but its reason, and why."""
    document = canonical(
        {"version": 1, "intent": "0x" + intent_id.hex(), "status": int(status), "reason": reason}
    )
    return Run(Outcome(status, b"", ZERO32, ZERO32, document), reason)


def label(route: Route | None) -> str:
    """Return a route in words: the backend's name and the model's; empty where no model is asked."""
    return "" if route is None else f"{route.backend.name}/{route.model.name}"
