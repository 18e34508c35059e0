"""A requester's terms: what nodes must keep to beyond what the hub enforces."""

from typing import Annotated, Literal, Self

import msgspec

from vagus.protocol.documents import canonical
from vagus.protocol.errors import Refuse
from vagus.protocol.hashing import ZERO32, keccak256
from vagus.protocol.limits import MAX_TERMS

Mode = Literal["exact", "fields", "collect", "jury", "semantic", "rescoring", "tee", "zk"]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Terms as understood; a key that is absent leaves the choice to the nodes.

    `regions` and `networks` list what is allowed. Which words `quantization`, `privacy`, a region
    or a network may be is known to whoever enforces them: it refuses what it does not know.
    """

    regions: tuple[_Text, ...] = ()
    networks: tuple[_Text, ...] = ()
    quantization: _Text | None = None
    verification: Mode | None = None
    privacy: _Text | None = None

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read terms as a request carries them; empty bytes are no terms.

        Raises Refuse over 1,024 bytes, for keys, types and modes that are not understood, and for
        bytes that are not the RFC 8785 form of what they say: null, empty lists, doubled keys.
        """
        if not data:
            return cls()
        if len(data) > MAX_TERMS:
            raise Refuse(f"terms are {len(data)} bytes, at most {MAX_TERMS} are allowed")
        try:
            terms = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refuse(f"terms are not understood: {error}") from error
        if canonical(msgspec.to_builtins(terms)) != data:
            raise Refuse("terms are not in RFC 8785 form")
        return terms

    @classmethod
    def check(cls, terms_hash: bytes, data: bytes) -> Self:
        """Read the terms that belong to an intent's termsHash; Refuse if they are others."""
        if hash_terms(data) != terms_hash:
            raise Refuse("the terms are not those of the intent's termsHash")
        return cls.parse(data)

    def encode(self) -> bytes:
        """Return the bytes a request carries; ValueError for terms that `parse` would refuse."""
        document = msgspec.to_builtins(self)
        data = canonical(document) if document else b""
        try:
            Terms.parse(data)
        except Refuse as error:
            raise ValueError(error.reason) from error
        return data


def hash_terms(data: bytes) -> bytes:
    """Return an intent's termsHash for these terms: zero for empty ones."""
    return keccak256(data) if data else ZERO32
