"""Documents that are named by a digest: the Keccak-256 of their RFC 8785 JSON."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec
import rfc8785

from vagus.protocol.hashing import ZERO32, keccak256
from vagus.protocol.words import WORD, require_bytes

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
# The integers that an IEEE 754 double holds exactly, which RFC 8785 asks for.
_EXACT = 2**53 - 1
_SHA256 = re.compile("[0-9a-f]{64}")


def canonical(document: Json) -> bytes:
    """Return the RFC 8785 bytes; ValueError for what has none (NaN, integers over 2**53 - 1)."""
    try:
        if _is_plain(document):
            return msgspec.json.encode(document, order="sorted")
        return rfc8785.dumps(document)
    except RecursionError:
        raise ValueError("the document is nested too deep") from None


def _is_plain(value: object, depth: int = 16) -> bool:
    """Tell whether compact sorted JSON is the RFC 8785 form already, which is far quicker to write.

    It is without fractions, integers over 2**53 - 1, and keys that UTF-16 would order differently.
    """
    if value is None or isinstance(value, str | bool):
        return True
    if isinstance(value, int):
        return -_EXACT <= value <= _EXACT
    if isinstance(value, dict):
        if not all(isinstance(key, str) and key.isascii() for key in value):
            return False
        value = list(value.values())
    if not isinstance(value, list | tuple) or depth == 0:
        return False
    return all(_is_plain(each, depth - 1) for each in value)


def document_hash(document: Json) -> bytes:
    """Return the document's 32-byte digest."""
    return keccak256(canonical(document))


def agent_digest(name: str, version: str, config: Mapping[str, Json]) -> bytes:
    """Return the digest of an agent: its manifest's full version, its config as the roster has it."""
    return document_hash({"name": name, "version": version, "config": config})


def model_digest(
    model: str, revision: str | None, quantization: str | None, weights: str | None
) -> bytes:
    """Return the digest of a model; None for what is unknown.

    `weights` is the sha256 of the weights in 64 lower-case hex digits, else ValueError.
    """
    if weights is not None and _SHA256.fullmatch(weights) is None:
        raise ValueError("weights must be a sha256 in 64 lower-case hex digits")
    return document_hash(
        {"model": model, "revision": revision, "quantization": quantization, "weights": weights}
    )


def models_digest(digests: Iterable[bytes]) -> bytes:
    """Return one digest for all models used: zero for none, itself for one, else their hash."""
    distinct = sorted(set(digests))
    for digest in distinct:
        require_bytes("a model digest", digest, WORD)
    match distinct:
        case []:
            return ZERO32
        case [digest]:
            return digest
        case _:
            return keccak256(b"".join(distinct))
