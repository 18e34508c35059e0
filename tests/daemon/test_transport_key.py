"""The transport key: one secret, from which both public keys in the roster follow."""

import hashlib
import hmac

import pytest
from coincurve import PrivateKey
from eth_account import Account

from vagus.daemon.member import Member
from vagus.daemon.transport_key import TransportKey
from vagus.protocol import Refuse

SECRET = bytes(range(1, 33))
KEY = TransportKey(PrivateKey(SECRET))
P = 2**255 - 19


def montgomery(secret: bytes, point: int) -> bytes:
    """X25519 as RFC 7748, section 5, writes it down."""
    k = bytearray(secret)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    scalar = int.from_bytes(k, "little")
    x2, z2, x3, z3, swap = 1, 0, point, 1, 0
    for t in reversed(range(255)):
        bit = scalar >> t & 1
        if swap ^ bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        e = a * a - b * b
        x3, z3 = (d * a + c * b) ** 2 % P, point * (d * a - c * b) ** 2 % P
        x2, z2 = a * a * b * b % P, e * (a * a + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def test_its_address_is_its_keys() -> None:
    assert KEY.address == bytes.fromhex(Account.from_key(SECRET).address[2:])


def test_the_key_that_others_encrypt_to_is_derived_from_it_by_hkdf_and_x25519() -> None:
    extracted = hmac.new(bytes(32), SECRET, hashlib.sha256).digest()
    derived = hmac.new(extracted, b"vagus x25519\x01", hashlib.sha256).digest()
    assert KEY.x25519_secret == derived
    assert KEY.x25519 == montgomery(derived, 9)


def test_the_oracle_is_rfc_7748s() -> None:
    """Section 5.2: one iteration."""
    nine = (9).to_bytes(32, "little")
    once = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    assert montgomery(nine, 9).hex() == once


def member(**changes: str) -> Member:
    own = {
        "signer": "0x" + "11" * 20,
        "transport": f"0x{KEY.address.hex()}",
        "x25519": f"0x{KEY.x25519.hex()}",
    }
    return Member.model_validate(own | changes)


def test_the_rosters_keys_of_a_member_are_its_own() -> None:
    KEY.require(member())
    with pytest.raises(Refuse, match=r"transport key of 0x11.* is 0x22.*, and this node has 0x"):
        KEY.require(member(transport="0x" + "22" * 20))
    with pytest.raises(Refuse, match=r"x25519 of 0x11.* is 0x33"):
        KEY.require(member(x25519="0x" + "33" * 32))


def test_nothing_of_the_secret_is_shown() -> None:
    assert SECRET.hex() not in repr(KEY)
    assert repr(KEY) == "TransportKey()"
