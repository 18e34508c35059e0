"""One signature has one spelling: whatever else recovers elsewhere is rejected here."""

import contextlib
import random

import coincurve
import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from vagus.protocol import SignatureError, VagusError, address_of, recover, sign

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
DIGEST = bytes(range(32))
SECRET = b"\x11" * 32
GOOD = bytes(Account.unsafe_sign_hash(DIGEST, SECRET).signature)
R, S, V = GOOD[:32], GOOD[32:64], GOOD[64:]


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_signatures_are_those_of_eth_account() -> None:
    rng = random.Random(3)
    for _ in range(200):
        secret, digest = rng.randbytes(32), rng.randbytes(32)
        key = coincurve.PrivateKey(secret)
        signature = sign(digest, key)
        assert signature == bytes(Account.unsafe_sign_hash(digest, secret).signature)
        assert address_of(key).hex() == Account.from_key(secret).address[2:].lower()
        assert recover(digest, signature) == address_of(key)


@given(st.binary(min_size=32, max_size=32), st.integers(1, N - 1))
def test_what_is_signed_has_low_s_and_a_v_of_27_or_28(digest: bytes, secret: int) -> None:
    signature = sign(digest, coincurve.PrivateKey(word(secret)))
    assert len(signature) == 65
    assert 1 <= int.from_bytes(signature[32:64], "big") <= N // 2
    assert signature[64] in {27, 28}


def test_high_s_is_rejected_though_it_recovers_the_same_signer() -> None:
    flipped = R + word(N - int.from_bytes(S, "big")) + bytes([55 - V[0]])
    vrs = (flipped[64], int.from_bytes(R, "big"), int.from_bytes(flipped[32:64], "big"))
    assert Account._recover_hash(DIGEST, vrs=vrs) == Account.from_key(SECRET).address
    with pytest.raises(SignatureError, match="s is high"):
        recover(DIGEST, flipped)


@pytest.mark.parametrize("s", [N // 2 + 1, N - 1])
def test_the_smallest_and_largest_high_s_are_rejected(s: int) -> None:
    with pytest.raises(SignatureError, match="s is high"):
        recover(DIGEST, R + word(s) + V)


@pytest.mark.parametrize("r", [1, 2, 3, 4])
def test_the_largest_low_s_is_no_high_one(r: int) -> None:
    # r must be a point's x coordinate: 1 to 4 are, 5 is not.
    vrs = (27, r, N // 2)
    expected = Account._recover_hash(DIGEST, vrs=vrs)
    assert recover(DIGEST, word(r) + word(N // 2) + b"\x1b").hex() == expected[2:].lower()


@pytest.mark.parametrize("v", [v for v in range(256) if v not in {27, 28}])
def test_every_v_but_27_and_28_is_rejected(v: int) -> None:
    with pytest.raises(SignatureError, match=f"v is {v}, neither 27 nor 28"):
        recover(DIGEST, R + S + bytes([v]))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 66, 96, 130])
def test_another_length_is_rejected_eip_2098_among_them(size: int) -> None:
    with pytest.raises(SignatureError, match=f"65 bytes, not {size}"):
        recover(DIGEST, (GOOD * 2)[:size])


@pytest.mark.parametrize("number", [0, N, N + 1, 2**256 - 1])
def test_r_and_s_of_zero_or_at_least_the_order_are_rejected(number: int) -> None:
    with pytest.raises(SignatureError, match="r is outside"):
        recover(DIGEST, word(number) + S + V)
    with pytest.raises(SignatureError, match="s is outside"):
        recover(DIGEST, R + word(number) + V)


def test_an_r_that_is_no_point_is_rejected() -> None:
    with pytest.raises(SignatureError, match="no public key"):
        recover(DIGEST, word(5) + S + V)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_digest_is_32_bytes(size: int) -> None:
    with pytest.raises(SignatureError, match=f"32 bytes, not {size}"):
        recover(bytes(size), GOOD)
    with pytest.raises(ValueError, match="32 bytes"):
        sign(bytes(size), coincurve.PrivateKey(SECRET))


@given(st.binary(min_size=65, max_size=65))
def test_hostile_signatures_never_raise_anything_else(signature: bytes) -> None:
    with contextlib.suppress(SignatureError):
        assert len(recover(DIGEST, signature[:64] + bytes([27 + signature[64] % 2]))) == 20


def test_another_digest_recovers_another_signer() -> None:
    other = bytes(32)
    assert recover(other, GOOD) != recover(DIGEST, GOOD)


def test_a_signature_error_is_a_value_error_and_one_of_ours() -> None:
    assert issubclass(SignatureError, ValueError)
    assert issubclass(SignatureError, VagusError)
