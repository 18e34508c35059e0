"""Addresses as people type them, read into the one spelling that ids and words are made of.

A letter that is mistyped sends money to nobody, so whatever an address says of itself is held
against it: the case of its letters on EVM chains (EIP-55), its prefix on Cosmos chains (BIP-173).
Everything raises ValueError, in words for whoever typed it.
"""

import re

from vagus.protocol import base58, bech32
from vagus.protocol.hashing import keccak256
from vagus.protocol.ids import Account, caip2, pack_address

_EVM_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")
_KINDS = {
    "eip155": ("an EVM address", "0x and 40 hex digits"),
    "solana": ("a Solana address", "32 bytes in base58"),
    "cosmos": ("a Cosmos address", "bech32"),
}
_SHOWN = 80


def read_account(text: str, alike: str = "") -> Account:
    """Return the CAIP-10 account that was typed; `alike` as for `read_address`."""
    chain, separator, address = text.rpartition(":")
    if not separator:
        raise ValueError(f"{text[:64]!r} is not a CAIP-10 account id")
    return Account(chain, read_address(chain, address, alike))


def read_address(chain: str, text: str, alike: str = "") -> str:
    """Return the address on a chain that was typed, in the chain's one spelling.

    An EVM address may be all in lower or all in upper case, and its checksum must fit where it is
    neither. `alike` is an address known to be of the chain: a Cosmos address must have its prefix,
    which no CAIP-2 id holds. Of another namespace only its adapter knows the spelling: there the
    text stays as it is.
    """
    namespace = caip2(chain).partition(":")[0]
    if namespace not in _KINDS:
        return text
    prefix = address_prefix(chain, alike) if alike else ""
    kind = _kind(text)
    if kind not in (None, namespace):
        example = f" ({prefix}1…)" if prefix else ""
        raise ValueError(
            f"{text[:_SHOWN]!r} is {_KINDS[kind][0]}, and {chain} wants "
            f"{_KINDS[namespace][1]}{example}"
        )
    if namespace == "eip155" and kind == namespace:
        text = _lowered(text)
    pack_address(chain, text)
    if prefix and address_prefix(chain, text) != prefix:
        raise ValueError(
            f"{text[:_SHOWN]!r} is of another chain: addresses of {chain} begin with {prefix}1"
        )
    return text


def address_prefix(chain: str, address: str) -> str:
    """Return the bech32 prefix of a Cosmos address ("wasm"); empty for any other namespace's."""
    return bech32.decode(address)[0] if chain.startswith("cosmos:") else ""


def _kind(text: str) -> str | None:
    """Return the namespace whose spelling a text has, None where it has none's."""
    if text[:2] in ("0x", "0X"):
        return "eip155"
    try:
        bech32.decode(text)
    except ValueError:
        pass
    else:
        return "cosmos"
    try:
        # 44 letters hold 32 bytes.
        return "solana" if len(text) <= 44 and len(base58.decode(text)) == 32 else None
    except ValueError:
        return None


def _lowered(text: str) -> str:
    """Return an EVM address in lower case; ValueError where its letters deny its digits (EIP-55)."""
    if _EVM_ADDRESS.fullmatch(text) is None:
        raise ValueError(f"{text[:64]!r} is not 0x and 40 hex digits")
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()):
        check = keccak256(digits.lower().encode()).hex()
        pairs = zip(digits, check, strict=False)
        if any(each.isalpha() and each.isupper() != (nibble > "7") for each, nibble in pairs):
            raise ValueError(f"{text!r} is mistyped: its checksum (EIP-55) does not fit")
    return text.lower()
