"""The shape of an evidence document, and reading one that another node wrote, hostile as it is.

`vagus.agents.evidence` writes them. What is checked here is form, and that the document agrees
with the intent, the manifest and the result beside it; what only a mode can tell, the mode does.
"""

import decimal
from typing import Annotated

import msgspec

from vagus.agents.codec import parse_json
from vagus.agents.manifest import Manifest
from vagus.agents.sources import MAX_NAMES, MAX_SOURCES
from vagus.agents.zk.proven import MAX_NUMBERS, MAX_PROOF, MAX_PROOFS, Proven
from vagus.compute import Model, Price, Usage
from vagus.compute.bounds import depth, one_line
from vagus.protocol import (
    ZERO32,
    Intent,
    Json,
    Refuse,
    Terms,
    canonical,
    keccak256,
    model_digest,
    models_digest,
)

__all__ = [
    "MAX_DEPTH",
    "MAX_EVIDENCE",
    "AgentDocument",
    "CallDocument",
    "CallTimes",
    "CertificateDocument",
    "Document",
    "IntentDocument",
    "MemberResult",
    "ModeDocument",
    "ModelDocument",
    "PriceDocument",
    "ProofDocument",
    "ProvenDocument",
    "RecordDocument",
    "SourceDocument",
    "Times",
    "UsageDocument",
    "read_evidence",
]

MAX_EVIDENCE = 64 << 10
MAX_DEPTH = 16
MAX_CALLS = 256
MAX_RESULTS = 32

Hash = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-f]{64}$")]
Address = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-f]{40}$")]
Label = Annotated[str, msgspec.Meta(max_length=256)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, msgspec.Meta(max_length=MAX_EVIDENCE)]
TokenId = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 52)]
Decimals = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,77})$")]
Fraction = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,36}(\.[0-9]{1,18})?$")]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Unknown keys are refused."""


class IntentDocument(_Strict, frozen=True):
    """The intent, by what names it."""

    id: Hash
    origin_hub: Hash
    dest_hub: Hash
    payload_hash: Hash
    terms_hash: Hash


class AgentDocument(_Strict, frozen=True):
    """The agent that ran."""

    name: Label
    version: Label
    digest: Hash


class ModeDocument(_Strict, frozen=True):
    """The mode, as the manifest has it."""

    name: Label
    parameters: dict[str, str | int | bool | list[str]]


class ModelDocument(_Strict, frozen=True):
    """A model; `reported` is what the server said it ran."""

    name: Label
    revision: Label | None
    quantization: Label | None
    weights: Sha256 | None
    digest: Hash
    reported: Label


class UsageDocument(_Strict, frozen=True):
    """Tokens."""

    prompt: Count
    completion: Count


class PriceDocument(_Strict, frozen=True):
    """The smallest unit of account per 1,000,000 tokens."""

    input: Fraction
    output: Fraction


class CallTimes(_Strict, frozen=True):
    """Milliseconds."""

    queued: Count
    first: Count | None
    total: Count


class ProofDocument(_Strict, frozen=True, omit_defaults=True):
    """A confidential backend's signed response (`vagus.compute.Proof`)."""

    served_as: Label
    response: Text
    text: Label
    signature: Label
    signing_address: Address
    image_digest: Label
    quote: Text = ""
    collateral: Text = ""
    quoted_at: Count = 0


class RecordDocument(_Strict, frozen=True, omit_defaults=True):
    """What a call is checked by; index is its place in the order in which the run asked."""

    index: Annotated[int, msgspec.Meta(ge=0, lt=MAX_CALLS)]
    tokens: Annotated[tuple[TokenId, ...], msgspec.Meta(min_length=1)] = ()
    proof: ProofDocument | None = None


class CallDocument(_Strict, frozen=True, omit_defaults=True):
    """One call of a model; `tries` where more than one backend was asked, `record` in some modes."""

    backend: Label
    network: Label
    region: Label
    engine: Label
    model: ModelDocument
    usage: UsageDocument
    finish: Label
    price: PriceDocument
    cost: Decimals
    times: CallTimes
    tries: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    record: RecordDocument | None = None


class CertificateDocument(_Strict, frozen=True):
    """A server's certificate (`vagus.agents.sources.Certificate`)."""

    sha256: Sha256
    issuer: Label
    names: Annotated[tuple[Label, ...], msgspec.Meta(max_length=MAX_NAMES)]


class SourceDocument(_Strict, frozen=True, omit_defaults=True):
    """One answer of one server that the run read (`vagus.agents.sources.Source`)."""

    url: Annotated[str, msgspec.Meta(max_length=2048)]
    method: Annotated[str, msgspec.Meta(pattern="^(GET|POST)$")]
    sha256: Sha256
    size: Count
    media_type: Label
    address: Label
    read_at: Count
    sent: Sha256 | None = None
    date: Count | None = None
    certificate: CertificateDocument | None = None


Number = Annotated[str, msgspec.Meta(pattern=r"^(0|-?[1-9][0-9]{0,77})$")]
Numbers = Annotated[tuple[Number, ...], msgspec.Meta(max_length=MAX_NUMBERS)]


class ProvenDocument(_Strict, frozen=True):
    """A proven run of the agent's circuit (`vagus.agents.zk.Proven`)."""

    inputs: Numbers
    outputs: Numbers
    proof: Annotated[str, msgspec.Meta(pattern="^0x([0-9a-f]{2})*$", max_length=2 + 2 * MAX_PROOF)]

    def proven(self) -> Proven:
        """Return it as it is verified."""
        inputs, outputs = map(int, self.inputs), map(int, self.outputs)
        return Proven(tuple(inputs), tuple(outputs), _bytes(self.proof))


class Times(_Strict, frozen=True):
    """Unix times in milliseconds."""

    started: Count
    finished: Count


class MemberResult(_Strict, frozen=True):
    """What one member revealed, by hashes."""

    signer: Address
    output_hash: Hash
    model_digest: Hash
    evidence_hash: Hash


class Document(_Strict, frozen=True, omit_defaults=True):
    """The evidence of a result; `sources` where the run read from elsewhere than a model.

    proofs: in mode zk. results: where it was combined of several members' results; the rest is then the leader's run.
    """

    version: Annotated[int, msgspec.Meta(ge=1, le=1)]
    intent: IntentDocument
    agent: AgentDocument
    executor: Address
    mode: ModeDocument
    output_hash: Hash
    calls: Annotated[tuple[CallDocument, ...], msgspec.Meta(max_length=MAX_CALLS)]
    cost: Decimals
    times: Times
    sources: Annotated[
        tuple[SourceDocument, ...], msgspec.Meta(min_length=1, max_length=MAX_SOURCES)
    ] = ()
    proofs: Annotated[
        tuple[ProvenDocument, ...], msgspec.Meta(min_length=1, max_length=MAX_PROOFS)
    ] = ()
    results: Annotated[
        tuple[MemberResult, ...], msgspec.Meta(min_length=1, max_length=MAX_RESULTS)
    ] = ()

    def check(
        self, manifest: Manifest, intent: Intent, terms: Terms, output: bytes, models: bytes
    ) -> None:
        """Refuse a document of something else. models: the result's model digest, 32 bytes."""
        self._check_intent(intent)
        agent = AgentDocument(manifest.name, manifest.version, _hex(manifest.digest))
        if self.agent != agent:
            raise Refuse(f"the evidence is of another agent than {manifest.agent_id} as it is here")
        if msgspec.to_builtins(self.mode) != manifest.mode.model_dump(mode="json"):
            raise Refuse("the evidence names another mode than the manifest")
        if self.output_hash != _hex(keccak256(output)):
            raise Refuse("the evidence is of another output")
        for call in self.calls:
            _check_call(call, manifest, terms)
        if bool(self.proofs) != (manifest.mode.name == "zk"):
            raise Refuse("proofs are in the evidence of mode zk, and there alone")
        if int(self.cost) != sum(int(call.cost) for call in self.calls):
            raise Refuse("the evidence's cost is not the sum of its calls'")
        if self.models() != models:
            raise Refuse("the model digest is not that of the models in the evidence")

    def encode(self) -> bytes:
        """Return its RFC 8785 bytes, which `read_evidence` reads."""
        return canonical(msgspec.to_builtins(self))

    def models(self) -> bytes:
        """Return the digest of all models that the document names."""
        if self.results:
            digests = [_bytes(each.model_digest) for each in self.results]
            return models_digest(each for each in digests if each != ZERO32)
        return models_digest(_bytes(call.model.digest) for call in self.calls)

    def _check_intent(self, intent: Intent) -> None:
        for name in IntentDocument.__struct_fields__:
            if getattr(self.intent, name) != _hex(getattr(intent, name)):
                raise Refuse(f"the evidence is of another intent: its {name} differs")


def read_evidence(data: bytes) -> Document:
    """Read a result's evidence. Raises Refuse, in words, for anything that is none.

    It is RFC 8785 JSON of at most 64 KiB and 16 levels, with no key that is not known.
    """
    if len(data) > MAX_EVIDENCE:
        raise Refuse(f"the evidence has {len(data)} bytes, at most {MAX_EVIDENCE} are read")
    value = parse_json(data, "the evidence")
    if depth(value) > MAX_DEPTH:
        raise Refuse(f"the evidence is nested over {MAX_DEPTH} levels")
    try:
        if canonical(_json(value)) != data:
            raise Refuse("the evidence is not in RFC 8785 form")
        return msgspec.convert(value, Document)
    except msgspec.ValidationError as error:
        raise Refuse(f"the evidence is not understood: {one_line(str(error))}") from None
    except ValueError as error:
        raise Refuse(f"the evidence has no RFC 8785 form: {one_line(str(error))}") from None


def _check_call(call: CallDocument, manifest: Manifest, terms: Terms) -> None:
    """Refuse a call of a model that may not be used, or one whose cost does not follow."""
    model = Model(call.model.name, call.model.revision, call.model.quantization, call.model.weights)
    digest = model_digest(model.name, model.revision, model.quantization, model.weights)
    if call.model.digest != _hex(digest):
        raise Refuse("a model's digest in the evidence is not that of its parts")
    price = Price(decimal.Decimal(call.price.input), decimal.Decimal(call.price.output))
    if int(call.cost) != price.cost(Usage(call.usage.prompt, call.usage.completion)):
        raise Refuse("a call's cost in the evidence does not follow from its price and its tokens")
    rules = (
        ("models of the agent", manifest.models, call.model.digest),
        ("engines of the agent", manifest.config.engines, call.engine),
        ("regions of the terms", terms.regions, call.region),
        ("networks of the terms", terms.networks, call.network),
    )
    for rule, allowed, found in rules:
        if allowed and found not in allowed:
            raise Refuse(f"a call in the evidence is not within the {rule}")
    if terms.quantization not in (None, call.model.quantization):
        raise Refuse("a call in the evidence is not of the terms' quantization")


def _json(value: object) -> Json:
    """What `parse_json` returns is JSON."""
    return value  # type: ignore[return-value]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
