"""zk: a proof shows that the agent's circuit has given the answer on the agent's own inputs.

The agent is run again, and what it hands to its circuit (`Context.prove`) is looked up among the
proofs of the evidence: the numbers are the agent's own, the outputs are the proof's, and each proof is
verified by the key that the manifest names.

    vk          sha256 of the verification key, which has the network and its weights in it
    settings    sha256 of the circuit's settings
    srs         sha256 of the structured reference string that the key was made with
    circuit     sha256 of the compiled circuit, which proving needs

Who knows the secret of an SRS can prove anything: it must come of a ceremony that the agent's users
trust. A member asks no model, and runs no network.
"""

from collections.abc import Sequence

from vagus.agents.context import Context
from vagus.agents.document import Document, ProvenDocument
from vagus.agents.modes.base import CheckContext, Parameters, Result, Verdict, Verifier
from vagus.agents.run import execute
from vagus.agents.zk import Circuit, Proven, Prover
from vagus.agents.zk.circuit import SHA256
from vagus.compute import Backend
from vagus.protocol import Halt, Refuse, Retry

__all__ = ["Zk"]


class Zk(Verifier):
    """Verifies proofs, and has them made where this node leads."""

    def _read(self, parameters: Parameters) -> None:
        found = {}
        for name in ("circuit", "settings", "vk", "srs"):
            found[name] = parameters.text(name, "")
            if not SHA256.fullmatch(found[name]):
                parameters.wrong(name, "it must be a file's sha256, 64 lower-case hex digits")
        self._prover = Prover(Circuit(**found))

    @property
    def prover(self) -> Prover:
        """The circuit's."""
        return self._prover

    def require(self, backends: Sequence[Backend]) -> None:
        """Refuse where ezkl's environment or a file of the circuit is missing."""
        self._prover.require()

    async def _check(
        self, ctx: CheckContext, own: Result | None, proposed: Result, document: Document
    ) -> Verdict:
        if document.calls:
            # Nothing proves them, and the leader is paid for them.
            raise Refuse("the evidence has calls of a model, and an agent in mode zk asks none")
        proven = _Verified(self._prover, document.proofs)
        context = Context(
            intent_id=ctx.intent.id,
            agent_id=self.manifest.agent_id,
            route=None,
            deadline=ctx.deadline,
            budget=ctx.budget,
            circuit=proven,
        )
        try:
            output = await execute(ctx.agent, context, ctx.payload)
        except Halt as error:
            raise Refuse(f"the agent stops on what was proven: {error.reason}") from None
        except Refuse as error:
            raise proven.fault or error from None
        if proven.fault is not None:
            raise proven.fault
        if not context.proofs:
            raise Refuse("the agent has its circuit prove nothing")
        if proven.left:
            raise Refuse(
                f"the evidence has {len(proven.left)} proofs that the agent has no use for"
            )
        if output != proposed.output:
            raise Refuse("the agent's output on what was proven is another")
        return Verdict(True, "the proofs hold", {"proofs": len(context.proofs)})


class _Verified:
    """Answers an agent by the evidence's proofs, once each has been verified."""

    def __init__(self, prover: Prover, documents: Sequence[ProvenDocument]) -> None:
        self.fault: Refuse | Retry | None = None
        self.left = [each.proven() for each in documents]
        self._prover = prover

    async def prove(self, inputs: Sequence[int], *, timeout: float) -> Proven:
        """Return the proof on these numbers. Raises Refuse and Retry, and keeps the first."""
        try:
            return await self._find(tuple(inputs))
        except (Refuse, Retry) as error:
            # An agent may catch it and answer something else: it is remembered.
            self.fault = self.fault or error
            raise

    async def _find(self, inputs: tuple[int, ...]) -> Proven:
        for at, each in enumerate(self.left):
            if each.inputs == inputs:
                proof = self.left.pop(at)
                if not await self._prover.verify(proof):
                    raise Refuse("the proof does not hold")
                return proof
        raise Refuse("the evidence has no proof on the numbers that the agent hands to its circuit")
