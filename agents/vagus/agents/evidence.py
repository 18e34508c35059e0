"""The evidence document: what ran where, on what, at what price, to give which output.

RFC 8785 JSON of strings and integers only, so that its hash is the same everywhere. A node stores
the bytes and serves them by their hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vagus.agents.context import Call
from vagus.agents.manifest import Manifest
from vagus.protocol import Intent, Json, canonical, keccak256

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
) -> Evidence:
    """Return the evidence of one run; started and finished are Unix times in milliseconds.

    executor is the 20-byte address of the signer whose node ran the agent. Costs are decimal strings in the smallest unit of the backends' price coin, durations are
    milliseconds, hashes 0x-prefixed hex.
    """
    document: Json = {
        "version": 1,
        "intent": {
            "id": _hex(intent.id),
            "origin_hub": _hex(intent.origin_hub),
            "dest_hub": _hex(intent.dest_hub),
            "payload_hash": _hex(intent.payload_hash),
            "terms_hash": _hex(intent.terms_hash),
        },
        "agent": {
            "name": manifest.name,
            "version": manifest.version,
            "digest": _hex(manifest.digest),
        },
        "executor": _hex(executor),
        "mode": manifest.mode.model_dump(mode="json"),
        "output_hash": _hex(keccak256(output)),
        "calls": [_call(call) for call in calls],
        "cost": str(sum(call.cost for call in calls)),
        "times": {"started": started, "finished": finished},
    }
    data = canonical(document)
    return Evidence(data, keccak256(data))


def _call(call: Call) -> Json:
    backend, model, times = call.route.backend, call.route.model, call.times
    return {
        "backend": backend.name,
        "network": backend.network,
        "region": backend.region,
        "engine": backend.engine,
        "model": {
            "name": model.name,
            "revision": model.revision,
            "quantization": model.quantization,
            "weights": model.weights,
            "digest": _hex(model.digest),
            "reported": call.reported_model,
        },
        "usage": {"prompt": call.usage.prompt, "completion": call.usage.completion},
        "finish": call.finish_reason,
        "price": {"input": format(call.price.input, "f"), "output": format(call.price.output, "f")},
        "cost": str(call.cost),
        "times": {
            "queued": _ms(times.queued),
            "first": None if times.first is None else _ms(times.first),
            "total": _ms(times.total),
        },
    }


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
