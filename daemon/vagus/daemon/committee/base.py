"""The contract of a committee: what the pipeline asks of it, whether it has one member or many."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vagus.protocol import Refuse, Retry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web

    from vagus.agents.modes import Verdict
    from vagus.daemon.committee.rotations import Rotations
    from vagus.daemon.committee.tally import Tally
    from vagus.daemon.execute import Run
    from vagus.daemon.journal.records import IntentRecord
    from vagus.protocol import Attestation, Outcome, Receipt, SignerSet

__all__ = ["Committee", "Decided", "Signing", "Work"]


class Signing(Protocol):
    """Whoever holds this member's key, and signs what its policy allows: `Guarded`, at a node."""

    @property
    def address(self) -> bytes:
        """The key's 20-byte Ethereum address."""
        ...

    async def sign(self, message: Attestation | Receipt, hub_id: bytes) -> bytes:
        """Sign a statement for a hub: 65 bytes r‖s‖v. Raises Refuse and Retry."""
        ...


class Work(Protocol):
    """What a member does about an intent, beside agreeing on it."""

    @property
    def runs_again(self) -> bool:
        """Whether each member runs the agent itself, and not the leader alone."""
        ...

    async def attempt(self) -> Run:
        """Try it: an answer, a refusal, or a failure once time is over. Raises Retry."""
        ...

    @property
    def combines(self) -> bool:
        """Whether the outcome is made of several members' results, which they reveal to each other."""
        ...

    async def check(
        self,
        own: Run | None,
        proposed: Outcome,
        leader: bytes,
        revealed: Mapping[bytes, Outcome],
    ) -> Verdict:
        """Find out whether what a leader proposes is right; `own` is this member's own run.

        `revealed` are the members' results where they are combined. Raises Refuse and Retry.
        """
        ...

    def reveals(self, member: bytes, result: Outcome) -> bool:
        """Whether a member's own result may be combined with others."""
        ...

    def combine(self, results: Mapping[bytes, Outcome], leader: bytes) -> Run:
        """Return what several members' results make, of which the leader's own is one."""
        ...

    def combined_of(self, proposed: Outcome) -> tuple[bytes, ...]:
        """Return whose results a proposal says that it is made of. Raises Refuse."""
        ...

    def executor(self, decided: Outcome) -> bytes:
        """Return the signer's address of who ran what was decided; zero where nobody did."""
        ...

    def read(self, decided: Outcome) -> Run:
        """Return a decided outcome as its evidence tells of it; Retry where this node can't read it."""
        ...


@dataclass(frozen=True, slots=True)
class Decided:
    """What a committee decided of an intent, and who of it, by the signer's address, ran it."""

    run: Run
    leader: bytes


class Committee(abc.ABC):
    """Decides what an intent came to, and signs what was decided."""

    address: bytes
    """This member's signer: a 20-byte Ethereum address."""
    alone: bool
    """Whether there is nobody to wait for."""
    tally: Tally
    """How long it took, and how often members differed."""
    rotations: Rotations
    """What members have approved, as far as this node has heard."""

    def require(self, current: SignerSet, min_signers: int) -> int:
        """Return how many votes and signatures an intent needs.

        Raises Refuse where the requester asks for more signers than the set has, Retry where this
        node is no member of the hub's current set, or cannot reach as many (a rotation may change
        that).
        """
        size = len(current.signers)
        if min_signers > size:
            raise Refuse(f"{min_signers} signers were asked for, the set has {size}")
        needed = max(current.threshold, min_signers)
        member = self.address in current.signers
        if not member or needed > self.reach(current):
            raise Retry(
                f"the hub's set needs {needed} of {size} signers, and this node is"
                f" {'one' if member else 'none'} of them",
                after=30.0,
            )
        return needed

    @abc.abstractmethod
    def reach(self, current: SignerSet) -> int:
        """Return of how many of a set's members this node may hear, itself among them."""

    @abc.abstractmethod
    async def decide(self, record: IntentRecord, current: SignerSet, work: Work) -> Decided:
        """Return what the intent came to, once that is decided for good.

        `current` is the destination's set that decides. Raises what `work.attempt` raises, where
        this node decides alone.
        """

    @abc.abstractmethod
    async def sign(
        self,
        record: IntentRecord,
        message: Attestation | Receipt,
        hub_id: bytes,
        current: SignerSet,
        needed: int,
    ) -> Sequence[bytes]:
        """Return `needed` signatures of a hub's set over a decided message, ascending by signers.

        What was decided is journalled before this is called. The signatures are verified as the hub
        will verify them, before anything is paid for.
        """

    @abc.abstractmethod
    def rank(self, record: IntentRecord, current: SignerSet) -> int:
        """Return how many members of a set are to send an intent's transactions before this one."""

    @abc.abstractmethod
    async def run(self) -> None:
        """Do what goes on beside the intents, until cancelled; returns where there is nothing."""

    @abc.abstractmethod
    async def joined(self) -> None:
        """Wait until this member may act: before it, no chain is served."""

    @abc.abstractmethod
    def present(self) -> set[bytes]:
        """Return the members that were heard of lately, this one among them."""

    def lacking(self, current: SignerSet) -> str | None:
        """Say how far a set is from its threshold by who is here; None where it is not."""
        here, size = len(self.present() & {*current.signers}), len(current.signers)
        if here >= current.threshold:
            return None
        are = "is" if here == 1 else "are"
        return f"{current.threshold} of {size} members must agree, and {here} {are} here"

    @abc.abstractmethod
    def faults(self) -> dict[str, str]:
        """Return why this member can't do its part now, by what is at fault."""

    @abc.abstractmethod
    def view(self) -> dict[str, Any]:
        """Return the committee as `vagus committee status` shows it."""

    @abc.abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Return what the node's HTTP serves for the other members."""

    @abc.abstractmethod
    def standing(self, record: IntentRecord) -> dict[str, Any] | None:
        """Say for people where an intent stands: who has said what, who is missing and why, what is next.

        None where nothing is waited for from others.
        """

    @abc.abstractmethod
    def ended(self, record: IntentRecord) -> None:
        """Forget what is kept of an intent that needs this node no more."""
