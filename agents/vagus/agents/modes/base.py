"""The contract of a mode: how a member of a committee checks an answer before it votes for it.

The host that runs the committee does, for each intent:

    verifier = mode_of(manifest)        once an agent; Refuse: its parameters are not understood
    verifier.require(backends)          once a start; Refuse: this node can't do the mode
    own = the agent's own run           where `runs_again`, committed to before others are seen
    combined(verifier, …)               the leader, where `combines`, from what members revealed
    await verifier.check(ctx, own, proposed)       every member but the leader
"""

import abc
import asyncio
import decimal
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

from vagus.agents.base import Agent
from vagus.agents.context import Budget, Context, Route
from vagus.agents.document import Document, read_evidence
from vagus.agents.manifest import Manifest
from vagus.agents.zk import Proving
from vagus.compute import Backend
from vagus.compute.routing import Router
from vagus.protocol import MAX_OUTPUT, ZERO32, Intent, Refuse, Retry, Terms

__all__ = ["CheckContext", "Parameters", "Result", "Verdict", "Verifier", "check_result"]

_FRACTION = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")


@dataclass(frozen=True, slots=True)
class Result:
    """One run's outcome: a member's own, or what a leader proposes. Digests are 32 bytes.

    evidence is an RFC 8785 document (`vagus.agents.evidence`).
    """

    output: bytes
    agent_digest: bytes
    model_digest: bytes
    evidence: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found; `measured` enters a signed document, so it has no floats."""

    right: bool
    reason: str
    measured: dict[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What a check is given. deadline is a time of the running loop's clock.

    route: where this node asks models, None where it has none. router: the node's; without one a run
    has its own. member: this node's signer, 20 bytes. revealed: in modes that combine, the results that the leader combined, by their members;
    the host has verified each one's signature and commitment, and that they are enough.
    """

    agent: Agent
    intent: Intent
    payload: bytes
    route: Route | None
    deadline: float
    budget: Budget = field(default_factory=Budget)
    terms: Terms = field(default_factory=Terms)
    member: bytes = bytes(20)
    revealed: Mapping[bytes, Result] = field(default_factory=dict)
    router: Router | None = None

    def context(self) -> Context:
        """Return a fresh run on this node's route: seeds, time and budget as an agent's."""
        return Context(
            intent_id=self.intent.id,
            agent_id=self.agent.manifest.agent_id,
            route=self.route,
            deadline=self.deadline,
            budget=self.budget,
            router=self.router,
        )


class Parameters:
    """A mode's parameters, taken one by one; `done` refuses what nobody took."""

    def __init__(self, manifest: Manifest) -> None:
        self._of = manifest.agent_id
        self._mode = manifest.mode.name
        self._left = dict(manifest.mode.parameters)

    def take(self, name: str, default: str | int | bool | tuple[str, ...]) -> object:
        """Return a parameter, which must be of its default's type."""
        value = self._left.pop(name, default)
        if type(value) is not type(default):
            self.wrong(name, f"it must be of type {type(default).__name__}")
        return value

    def text(self, name: str, default: str) -> str:
        """Return a parameter that is a text."""
        return str(self.take(name, default))

    def count(self, name: str, default: int, low: int, high: int) -> int:
        """Return a parameter that is a whole number from low to high."""
        value = self.take(name, default)
        if not isinstance(value, int) or not low <= value <= high:
            self.wrong(name, f"it must be {low} to {high}")
        return value

    def fraction(self, name: str, default: str) -> decimal.Decimal:
        """Return a parameter that is a number as a text of decimal digits."""
        text = self.text(name, default)
        if not _FRACTION.fullmatch(text):
            self.wrong(name, 'it must be decimal digits in a text, such as "0.5"')
        return decimal.Decimal(text)

    def texts(self, name: str, form: re.Pattern[str]) -> tuple[str, ...]:
        """Return a parameter that is a list of texts, each of a form; empty where it is absent."""
        value = self.take(name, ())
        if not isinstance(value, tuple) or not all(form.fullmatch(each) for each in value):
            self.wrong(name, f"each must be of the form {form.pattern}")
        return value

    def rest(self) -> dict[str, object]:
        """Take all that is left."""
        left: dict[str, object] = {**self._left}
        self._left = {}
        return left

    def wrong(self, name: str, why: str) -> NoReturn:
        """Refuse a parameter."""
        raise Refuse(f"mode {self._mode} of {self._of}: parameter {name!r}: {why}")

    def done(self) -> None:
        """Refuse the first parameter that the mode does not know."""
        for name in self._left:
            self.wrong(name, "the mode knows none of this name")


class Verifier(abc.ABC):
    """How one agent's answers are checked; it keeps nothing between two checks.

    runs_again: each member runs the agent itself and commits to its result before it sees another.
    combines: the outcome is made of several members' revealed results, by `combine`.
    records: the leader's run must keep each call's tokens or proof (`Context(record=True)`).
    attested: the leader's answers need a backend that proves them (`Backend.attests`).
    """

    runs_again: ClassVar[bool] = False
    records: ClassVar[bool] = False
    attested: ClassVar[bool] = False
    combines: bool = False

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        parameters = Parameters(manifest)
        self._read(parameters)
        parameters.done()

    @property
    def embeds(self) -> bool:
        """Whether the embeddings' model must be here before `require` is called."""
        return False

    @property
    def prover(self) -> Proving | None:
        """What the leader's run has its circuit proven by: its node needs what `require` asks for too."""
        return None

    def _read(self, parameters: Parameters) -> None:  # noqa: B027 - most modes have none
        """Take the mode's parameters. Raises Refuse."""

    def for_value(self, agent: Agent, value: Any) -> "Verifier":
        """Return how the answer to one decoded payload is checked: itself, but where outputs vary in kind."""
        return self

    def require(self, backends: Sequence[Backend]) -> None:  # noqa: B027 - most modes need nothing
        """Refuse, at start, where this node lacks what the mode needs: an extra, a capability."""

    async def check(self, ctx: CheckContext, own: Result | None, proposed: Result) -> Verdict:
        """Say whether a proposed result is right. All of it is hostile.

        Raises Retry where that can't be told now (a backend is down, the deadline has passed), and
        nothing else but cancellation.
        """
        try:
            document = check_result(self.manifest, ctx.intent, ctx.terms, proposed)
            if bool(document.results) != self.combines:
                raise Refuse("the evidence does not say of whose results the proposal is made")
            if self.runs_again and own is None:
                return Verdict(False, "this node has no result of its own to compare with")
            async with asyncio.timeout_at(ctx.deadline):
                return await self._check(ctx, own, proposed, document)
        except Refuse as error:
            return Verdict(False, error.reason)
        except TimeoutError:
            raise Retry("the time for checking is over") from None

    @abc.abstractmethod
    async def _check(
        self, ctx: CheckContext, own: Result | None, proposed: Result, document: Document
    ) -> Verdict:
        """Check what the mode is about; own is there where the mode runs again. May Refuse."""

    def combine(self, intent: Intent, results: Mapping[bytes, Result]) -> bytes:
        """Return the output of several members' results: pure, the same for each member.

        Raises Refuse where they allow none, and in modes that don't combine.
        """
        raise Refuse(f"mode {self.manifest.mode.name} combines nothing")


def check_result(
    manifest: Manifest,
    intent: Intent,
    terms: Terms,
    result: Result,
    *,
    executor: bytes | None = None,
) -> Document:
    """Refuse a result that contradicts itself, the intent or the manifest; return its evidence.

    executor: for a member's own run, as it reveals it: that member.
    """
    if len(result.output) > MAX_OUTPUT:
        raise Refuse(f"the output has {len(result.output)} bytes, at most {MAX_OUTPUT} are allowed")
    if result.agent_digest != manifest.digest:
        raise Refuse(f"the agent digest is not that of {manifest.agent_id} as configured here")
    if intent.model_digest not in (ZERO32, result.model_digest):
        raise Refuse("the result is not of the model that the intent asks for")
    document = read_evidence(result.evidence)
    document.check(manifest, intent, terms, result.output, result.model_digest)
    if executor is not None:
        if document.executor != "0x" + executor.hex():
            raise Refuse("the evidence names another executor than the member that sent it")
        if document.results:
            raise Refuse("a member's own result is of one run, not of several")
    return document
