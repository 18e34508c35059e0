"""The four signed messages, as EIP-712 structs of static words only.

Every VM hashes them with one keccak over fixed offsets. Field names are the struct's in snake
case, in the struct's order. A message checks the shape of its fields when it is made; what they
mean (a status over 2, a foreign hub) is for whoever acts on it.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import Any, ClassVar, Self

from vagus.protocol.hashing import keccak256
from vagus.protocol.words import UINT64_MAX, UINT256_MAX, WORD, require_bytes, require_uint

_DOMAIN_TYPE_HASH = keccak256(b"EIP712Domain(string name,string version,bytes32 salt)")
_DOMAIN_PREFIX = _DOMAIN_TYPE_HASH + keccak256(b"vagus") + keccak256(b"1")
# What a Solidity type may hold: 0 marks the one type that is bytes and no number.
_MAXIMA = {"bytes32": 0, "uint64": UINT64_MAX, "uint256": UINT256_MAX}


class Status(IntEnum):
    """How an intent ended. REFUSED and FAILED have an empty output and a fee of 0."""

    FULFILLED = 0
    REFUSED = 1
    FAILED = 2


@lru_cache(maxsize=1024)
def domain_separator(hub_id: bytes) -> bytes:
    """Return the EIP-712 domain separator of the hub that verifies: ("vagus", "1", hub id)."""
    require_bytes("hub_id", hub_id, WORD)
    return keccak256(_DOMAIN_PREFIX + hub_id)


class Message:
    """What the four messages share; TYPE is the EIP-712 `encodeType` of the struct."""

    __slots__ = ()
    TYPE: ClassVar[str]
    TYPE_HASH: ClassVar[bytes]
    _layout: ClassVar[tuple[tuple[str, int], ...]]
    _words: ClassVar[Struct]
    _numbers: ClassVar[tuple[int, ...]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        members = [m.split() for m in cls.TYPE[cls.TYPE.index("(") + 1 : -1].split(",")]
        cls.TYPE_HASH = keccak256(cls.TYPE.encode())
        cls._layout = tuple((_snake(name), _MAXIMA[kind]) for kind, name in members)
        cls._words = Struct(f"{WORD}s" * len(members))
        cls._numbers = tuple(at for at, (_, maximum) in enumerate(cls._layout) if maximum)

    def __post_init__(self) -> None:
        for name, maximum in self._layout:
            if maximum:
                require_uint(name, getattr(self, name), maximum)
            else:
                require_bytes(name, getattr(self, name), WORD)

    def encode(self) -> bytes:
        """Return the fields as big-endian words of 32 bytes, without the type hash in front."""
        return b"".join(
            [
                getattr(self, name).to_bytes(WORD, "big") if maximum else getattr(self, name)
                for name, maximum in self._layout
            ]
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` writes; ValueError for another length or a word out of its range."""
        if len(data) != cls._words.size:
            raise ValueError(f"{cls.__name__} is {cls._words.size} bytes, not {len(data)}")
        fields: list[Any] = list(cls._words.unpack(data))
        for at in cls._numbers:
            fields[at] = int.from_bytes(fields[at], "big")
        return cls(*fields)

    def struct_hash(self) -> bytes:
        """Return EIP-712's hashStruct, 32 bytes."""
        return keccak256(self.TYPE_HASH + self.encode())

    def digest(self, hub_id: bytes) -> bytes:
        """Return the 32 bytes that are signed for the hub `hub_id`, which verifies them."""
        return keccak256(b"\x19\x01" + domain_separator(hub_id) + self.struct_hash())


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda match: "_" + match[0].lower(), name)


@dataclass(frozen=True, slots=True)
class Intent(Message):
    """One request, as the origin hub recorded it; amounts in the fee asset's smallest unit."""

    TYPE: ClassVar[str] = (
        "Intent(bytes32 originHub,uint64 seq,bytes32 requester,bytes32 agentId,"
        "bytes32 payloadHash,bytes32 modelDigest,bytes32 termsHash,uint64 minSigners,"
        "bytes32 destHub,bytes32 callback,uint64 callbackGas,bytes32 feeAsset,uint256 maxFee,"
        "uint64 deadline)"
    )

    origin_hub: bytes
    seq: int
    requester: bytes
    agent_id: bytes
    payload_hash: bytes
    model_digest: bytes
    terms_hash: bytes
    min_signers: int
    dest_hub: bytes
    callback: bytes
    callback_gas: int
    fee_asset: bytes
    max_fee: int
    deadline: int

    @property
    def id(self) -> bytes:
        """The intent's 32-byte id, which the destination recomputes from the intent."""
        return self.struct_hash()


@dataclass(frozen=True, slots=True)
class Attestation(Message):
    """The committee's statement of an intent's outcome, for the destination hub."""

    TYPE: ClassVar[str] = (
        "Attestation(bytes32 intentId,bytes32 originHub,uint64 status,bytes32 outputHash,"
        "bytes32 agentDigest,bytes32 modelDigest,bytes32 evidenceHash,uint64 epoch,uint64 expiry)"
    )

    intent_id: bytes
    origin_hub: bytes
    status: int
    output_hash: bytes
    agent_digest: bytes
    model_digest: bytes
    evidence_hash: bytes
    epoch: int
    expiry: int


@dataclass(frozen=True, slots=True)
class Receipt(Message):
    """The committee's statement that releases the escrow, for the origin hub."""

    TYPE: ClassVar[str] = (
        "Receipt(bytes32 intentId,bytes32 destHub,uint64 status,bytes32 payoutsHash,uint256 fee,"
        "uint64 epoch,uint64 expiry)"
    )

    intent_id: bytes
    dest_hub: bytes
    status: int
    payouts_hash: bytes
    fee: int
    epoch: int
    expiry: int


@dataclass(frozen=True, slots=True)
class Rotation(Message):
    """The current set's statement of the next one, for each hub on its own."""

    TYPE: ClassVar[str] = (
        "Rotation(uint64 epoch,bytes32 signersHash,uint64 threshold,uint64 validFrom,"
        "bytes32 rosterHash)"
    )

    epoch: int
    signers_hash: bytes
    threshold: int
    valid_from: int
    roster_hash: bytes
