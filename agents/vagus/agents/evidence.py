"""The evidence document: what ran where, on what, at what price, to give which output.

RFC 8785 JSON of strings and integers only, so that its hash is the same everywhere. A node stores
the bytes and serves them by their hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from vagus.agents.context import Call, Record
from vagus.agents.document import (
    AgentDocument,
    CallDocument,
    CallTimes,
    CertificateDocument,
    Document,
    IntentDocument,
    ModeDocument,
    ModelDocument,
    PriceDocument,
    ProofDocument,
    ProvenDocument,
    RecordDocument,
    SourceDocument,
    Times,
    UsageDocument,
)
from vagus.agents.manifest import Manifest
from vagus.agents.sources import Source
from vagus.agents.zk import Proven
from vagus.protocol import Intent, keccak256

__all__ = ["Evidence", "build"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The document's canonical bytes and their keccak256, the evidenceHash."""

    data: bytes
    hash: bytes


def build(
    intent: Intent,
    manifest: Manifest,
    calls: Sequence[Call],
    output: bytes,
    *,
    executor: bytes,
    started: int,
    finished: int,
    sources: Sequence[Source] = (),
    proofs: Sequence[Proven] = (),
) -> Evidence:
    """Return the evidence of one run; started and finished are Unix times in milliseconds.

    sources: what the run read elsewhere than from a model (`Context.sources`). proofs: of the agent's
    circuit (`Context.proofs`).
    executor is the 20-byte address of the signer whose node ran the agent. Costs are decimal strings in the smallest unit of the backends' price coin, durations are
    milliseconds, hashes 0x-prefixed hex.
    """
    document = Document(
        version=1,
        intent=IntentDocument(
            id=_hex(intent.id),
            origin_hub=_hex(intent.origin_hub),
            dest_hub=_hex(intent.dest_hub),
            payload_hash=_hex(intent.payload_hash),
            terms_hash=_hex(intent.terms_hash),
        ),
        agent=AgentDocument(manifest.name, manifest.version, _hex(manifest.digest)),
        executor=_hex(executor),
        mode=ModeDocument(**manifest.mode.model_dump(mode="json")),
        output_hash=_hex(keccak256(output)),
        calls=tuple(_call(call) for call in calls),
        cost=str(sum(call.cost for call in calls)),
        times=Times(started, finished),
        sources=tuple(_source(source) for source in sources),
        proofs=tuple(_proven(proof) for proof in proofs),
    )
    data = document.encode()
    return Evidence(data, keccak256(data))


def _call(call: Call) -> CallDocument:
    backend, model, times = call.route.backend, call.route.model, call.times
    return CallDocument(
        backend=backend.name,
        network=backend.network,
        region=backend.region,
        engine=backend.engine,
        model=ModelDocument(
            name=model.name,
            revision=model.revision,
            quantization=model.quantization,
            weights=model.weights,
            digest=_hex(model.digest),
            reported=call.reported_model,
        ),
        usage=UsageDocument(call.usage.prompt, call.usage.completion),
        finish=call.finish_reason,
        price=PriceDocument(format(call.price.input, "f"), format(call.price.output, "f")),
        cost=str(call.cost),
        times=CallTimes(
            queued=_ms(times.queued),
            first=None if times.first is None else _ms(times.first),
            total=_ms(times.total),
        ),
        tries=call.tries,
        record=None if call.record is None else _record(call.index, call.record),
    )


def _record(index: int, record: Record) -> RecordDocument:
    proof = record.proof
    return RecordDocument(
        index=index,
        tokens=record.tokens or (),
        proof=None if proof is None else ProofDocument(**msgspec.structs.asdict(proof)),
    )


def _source(source: Source) -> SourceDocument:
    certificate = source.certificate
    return SourceDocument(
        url=source.url,
        method=source.method,
        sha256=source.sha256.hex(),
        size=source.size,
        media_type=source.media_type,
        address=source.address,
        read_at=source.read_at,
        sent=None if source.sent is None else source.sent.hex(),
        date=source.date,
        certificate=None
        if certificate is None
        else CertificateDocument(certificate.sha256.hex(), certificate.issuer, certificate.names),
    )


def _proven(proof: Proven) -> ProvenDocument:
    inputs, outputs = map(str, proof.inputs), map(str, proof.outputs)
    return ProvenDocument(tuple(inputs), tuple(outputs), _hex(proof.proof))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
