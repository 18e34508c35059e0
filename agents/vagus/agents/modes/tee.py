"""tee: the answer was signed inside of a trusted execution environment.

The agent is run again on the leader's answers, so each request is the agent's own; each response
must be signed, with the request's hash and its own, by a key that an enclave holds.

    signers         addresses of enclaves' keys that the agent's author has attested
    measurements    MRTD of TDX domains, 96 hex digits: a quote in the evidence must vouch for the
                    address that signed, in the first 20 bytes of its report data
    images          image digests that a response may name; any
    days            how long before the intent's deadline a quote's time may lie, 45

At least one of signers and measurements is needed. A member asks no model at all. That a quote
binds a key, and which image a measurement stands for, is the author's to have looked at; so is the
hardware's maker's word, which this mode rests on.
"""

import re
from collections.abc import Sequence

import msgspec

from vagus.agents.document import CallDocument, Document, RecordDocument
from vagus.agents.modes.base import CheckContext, Parameters, Result, Verdict, Verifier
from vagus.agents.modes.replay import Replayed, replay
from vagus.compute import Backend, Completion, Model, Proof, Times, wire
from vagus.compute.confidential import check_response, check_vouched, load_verifier
from vagus.protocol import Intent, Refuse, Retry

__all__ = ["Tee"]

DAY = 86_400
_ADDRESS = re.compile("0x[0-9a-f]{40}")
_MEASUREMENT = re.compile("[0-9a-f]{96}")


class Tee(Verifier):
    """Checks signatures and quotes."""

    records = True
    attested = True

    def _read(self, parameters: Parameters) -> None:
        self.signers = parameters.texts("signers", _ADDRESS)
        self.measurements = parameters.texts("measurements", _MEASUREMENT)
        self.images = parameters.texts("images", re.compile(".{1,256}"))
        self.days = parameters.count("days", 45, 1, 366)
        if not self.signers and not self.measurements:
            parameters.wrong("signers", "without them, measurements are needed")

    def require(self, backends: Sequence[Backend]) -> None:
        """Refuse where quotes are to be verified and the extra for it is missing."""
        if self.measurements:
            load_verifier()

    async def _check(
        self, ctx: CheckContext, own: Result | None, proposed: Result, document: Document
    ) -> Verdict:
        checked = _Checked(self, ctx, document)
        await replay(ctx, checked, proposed)
        reason = "enclaves that the agent trusts signed each answer"
        return Verdict(
            True, reason, {"signed": len(document.calls), "keys": len(checked.addresses)}
        )

    def trust(self, proof: Proof, intent: Intent) -> None:
        """Refuse a proof whose key is not known to be an enclave's."""
        if self.images and proof.image_digest not in self.images:
            raise Refuse("the enclave runs an image that the agent does not trust")
        if proof.signing_address in self.signers:
            return
        if not proof.quote:
            raise Refuse("the response is signed by a key that the agent does not trust")
        if not intent.deadline - self.days * DAY <= proof.quoted_at <= intent.deadline:
            raise Refuse("the quote is judged at a time that is not the intent's")
        at, trusted = proof.quoted_at, self.measurements
        check_vouched(proof.signing_address, proof.quote, proof.collateral, at, trusted)


class _Checked(Replayed):
    """Checks an answer by its proof."""

    def __init__(self, verifier: Tee, ctx: CheckContext, document: Document) -> None:
        super().__init__(ctx, document)
        self.addresses: set[str] = set()
        self._verifier = verifier
        self._intent = ctx.intent

    def model(self, ctx: CheckContext, document: Document) -> Model:
        """Return the model that the evidence names: this node need not have one."""
        if not document.calls:
            raise Refuse("the agent asked no model, so no enclave has signed anything")
        of = document.calls[0].model
        return Model(of.name, of.revision, of.quantization, of.weights)

    async def verify(self, request: Completion, call: CallDocument, record: RecordDocument) -> str:
        """Return the signed response's text."""
        if record.proof is None:
            raise Refuse("the evidence has no signed response")
        proof = Proof(**msgspec.structs.asdict(record.proof))
        if proof.served_as != call.model.name:
            raise Refuse("the signed request asked for another model")
        check_response(proof, wire.encode_request(request, proof.served_as))
        self._verifier.trust(proof, self._intent)
        try:
            answer = wire.decode_answer(proof.response.encode(), request, Times(0, None, 0))
        except Retry as error:
            raise Refuse(error.reason) from None
        counted = (answer.usage.prompt, answer.usage.completion, answer.finish_reason)
        if counted != (call.usage.prompt, call.usage.completion, call.finish):
            raise Refuse("the evidence counts other tokens than the signed response")
        self.addresses.add(proof.signing_address)
        return answer.text
