"""Names of chains, hubs, accounts and agents, and addresses in 32 bytes.

Sources: CAIP-2 and CAIP-10; for `eip155` CAIP-3, for `cosmos` CAIP-5, for `solana` CAIP-30. One
account has one spelling here, since a hub's id is the hash of its text: EVM addresses are lower
case, Cosmos addresses too. Everything raises ValueError on malformed input.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from vagus.protocol import base58, bech32
from vagus.protocol.hashing import keccak256
from vagus.protocol.words import WORD, require_bytes

_CAIP2 = re.compile(r"([-a-z0-9]{3,8}):([-_a-zA-Z0-9]{1,32})")
_ADDRESS = re.compile(r"[-.%a-zA-Z0-9]{1,128}")
_AGENT = re.compile(r"[a-z0-9][-._a-z0-9]{0,63}@(0|[1-9][0-9]{0,8})")
_EVM_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_HEX_WORD = re.compile(r"0x[0-9a-f]{64}")
_COSMOS_CHAIN_ID = re.compile(r"[-a-zA-Z0-9]{1,32}")
# What CAIP-3, CAIP-5 and CAIP-30 make of CAIP-2's reference. Other namespaces are left as they are.
_REFERENCES = {
    "eip155": re.compile(r"[1-9][0-9]{0,31}"),
    "cosmos": re.compile(r"hashed-[0-9a-f]{16}|(?!hashed-)[-a-zA-Z0-9]{1,32}"),
    "solana": re.compile(r"[1-9A-HJ-NP-Za-km-z]{32}"),
}
_SHORT = 20


def caip2(text: str) -> str:
    """Return `text` if it is a CAIP-2 chain id such as "eip155:31337"."""
    match = _CAIP2.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a CAIP-2 chain id")
    namespace, reference = match.groups()
    rule = _REFERENCES.get(namespace)
    if rule is not None and rule.fullmatch(reference) is None:
        raise ValueError(f"{reference!r} is not a reference of the namespace {namespace}")
    return text


def cosmos_chain(chain_id: str) -> str:
    """Return the CAIP-2 id of a Cosmos chain; CAIP-5 hashes the ids that CAIP-2 can't hold."""
    if not chain_id:
        raise ValueError("a Cosmos chain id is not empty")
    if _COSMOS_CHAIN_ID.fullmatch(chain_id) and not chain_id.startswith("hashed-"):
        return f"cosmos:{chain_id}"
    return f"cosmos:hashed-{hashlib.sha256(chain_id.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Account:
    """A CAIP-10 account: `chain` is its CAIP-2 id, `address` the chain's own spelling."""

    chain: str
    address: str

    def __post_init__(self) -> None:
        caip2(self.chain)
        if _ADDRESS.fullmatch(self.address) is None:
            raise ValueError(f"{self.address[:64]!r} is not a CAIP-10 address")
        if self.chain.partition(":")[0] in _REFERENCES:
            pack_address(self.chain, self.address)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "namespace:reference:address"."""
        chain, separator, address = text.rpartition(":")
        if not separator:
            raise ValueError(f"{text[:64]!r} is not a CAIP-10 account id")
        return cls(chain, address)

    def __str__(self) -> str:
        return f"{self.chain}:{self.address}"


def hub_id(caip10: str) -> bytes:
    """Return the 32-byte id of the hub whose CAIP-10 account id this is."""
    return keccak256(str(Account.parse(caip10)).encode())


def agent_id(name: str) -> bytes:
    """Return the 32-byte id of the agent "name@major"."""
    if _AGENT.fullmatch(name) is None:
        raise ValueError(f"{name[:80]!r} is not name@major, in lower case")
    return keccak256(name.encode())


def pack_address(chain: str, address: str) -> bytes:
    """Return `address` in 32 bytes: EVM and Cosmos left-padded, Solana as is.

    Of any other namespace only its adapter knows the spelling: there an address is written as the
    word itself, 0x and 64 lower-case hex digits.
    """
    match caip2(chain).partition(":")[0]:
        case "eip155":
            if _EVM_ADDRESS.fullmatch(address) is None:
                raise ValueError(f"{address[:64]!r} is not 0x and 40 lower-case hex digits")
            return bytes.fromhex(address[2:]).rjust(WORD, b"\0")
        case "solana":
            # 44 letters hold 32 bytes; more are not worth the work of decoding them.
            word = base58.decode(address) if len(address) <= 44 else b""
            if len(word) != WORD:
                raise ValueError(f"{address[:64]!r} is not 32 bytes in base58")
            return word
        case "cosmos":
            _, canonical = bech32.decode(address)
            if len(canonical) not in (_SHORT, WORD):
                raise ValueError(f"a Cosmos address is 20 or 32 bytes, not {len(canonical)}")
            if len(canonical) == WORD and _is_short(canonical):
                raise ValueError("a Cosmos address of 32 bytes does not begin with 12 zero bytes")
            return canonical.rjust(WORD, b"\0")
        case namespace:
            if _HEX_WORD.fullmatch(address) is None:
                fault = f"{address[:80]!r} is not 0x and 64 lower-case hex digits"
                raise ValueError(f"{fault}, as addresses of the namespace {namespace} are written")
            return bytes.fromhex(address[2:])


def unpack_address(chain: str, word: bytes, prefix: str | None = None) -> str:
    """Return the address in a 32-byte word, the inverse of `pack_address`.

    `prefix` is the chain's bech32 prefix ("cosmos", "wasm"): a Cosmos chain needs it, since
    neither the word nor the CAIP-2 id holds it, and no other chain looks at it.
    """
    require_bytes("an address word", word, WORD)
    match caip2(chain).partition(":")[0]:
        case "eip155":
            if not _is_short(word):
                raise ValueError("an EVM address has 12 zero bytes in front")
            return "0x" + word[-_SHORT:].hex()
        case "solana":
            return base58.encode(word)
        case "cosmos":
            if prefix is None:
                raise ValueError(f"an address of {chain} needs the chain's bech32 prefix")
            return bech32.encode(prefix, word[-_SHORT:] if _is_short(word) else word)
        case _:
            return "0x" + word.hex()


def _is_short(word: bytes) -> bool:
    return not any(word[: WORD - _SHORT])
