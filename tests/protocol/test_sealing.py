"""Sealed bytes: read by whom they are for, in their context alone; `cryptography` is the oracle."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import Web3

from vagus.protocol import Refuse
from vagus.protocol.sealing import MAX_READERS, is_sealed, seal, sealed_readers, unseal

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
CONTEXT = bytes(range(32))
HEAD = 14
SLOT = 88


def reader() -> tuple[X25519PrivateKey, bytes, bytes]:
    """A key as the oracle has it, its secret and its public bytes."""
    key = X25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return key, secret, key.public_key().public_bytes_raw()


def test_each_reader_opens_what_is_sealed_to_all() -> None:
    readers = [reader() for _ in range(4)]
    sealed = seal(b"a secret question", [public for *_, public in readers], CONTEXT)
    assert is_sealed(sealed)
    assert len(sealed) == len(b"a secret question") + 62 + 4 * SLOT
    for _, secret, _ in readers:
        assert unseal(sealed, secret, CONTEXT) == b"a secret question"


def test_another_library_opens_what_was_sealed() -> None:
    readers = [reader() for _ in range(3)]
    sealed = seal(b"read me elsewhere", [public for *_, public in readers], CONTEXT)
    for at, (key, _, public) in enumerate(readers):
        slot = sealed[HEAD + at * SLOT :][:SLOT]
        assert slot[:8] == bytes(Web3.keccak(public))[:8] == sealed_readers(sealed)[at]
        once = SUITE.decrypt(slot[8:], key, info=b"vagus sealed 1" + CONTEXT)
        end = HEAD + 3 * SLOT + 32
        assert sealed[end - 32 : end] == bytes(Web3.keccak(b"vagus-sealed-key" + once))
        plain = ChaCha20Poly1305(once).decrypt(bytes(12), sealed[end:], sealed[:end])
        assert plain == b"read me elsewhere"


def test_what_another_library_sealed_is_opened() -> None:
    _, secret, public = reader()
    once = bytes(range(100, 132))
    wrapped = SUITE.encrypt(
        once, X25519PublicKey.from_public_bytes(public), info=b"vagus sealed 1" + CONTEXT
    )
    head = b"vagus-sealed\x01\x01" + bytes(Web3.keccak(public))[:8] + wrapped
    head += bytes(Web3.keccak(b"vagus-sealed-key" + once))
    sealed = head + ChaCha20Poly1305(once).encrypt(bytes(12), b"from elsewhere", head)
    assert unseal(sealed, secret, CONTEXT) == b"from elsewhere"


def test_nobody_opens_it_in_another_context() -> None:
    _, secret, public = reader()
    sealed = seal(b"mine", [public], CONTEXT)
    with pytest.raises(Refuse, match="damaged, or was sealed for another use"):
        unseal(sealed, secret, bytes(32))


def test_two_readers_cannot_be_handed_two_keys() -> None:
    (_, first, one), (_, second, two) = reader(), reader()
    ours, theirs = bytes(range(32)), bytes(range(32, 64))
    info = b"vagus sealed 1" + CONTEXT
    head = b"vagus-sealed\x01\x02"
    for public, key in ((one, ours), (two, theirs)):
        wrapped = SUITE.encrypt(key, X25519PublicKey.from_public_bytes(public), info=info)
        head += bytes(Web3.keccak(public))[:8] + wrapped
    head += bytes(Web3.keccak(b"vagus-sealed-key" + ours))
    sealed = head + ChaCha20Poly1305(ours).encrypt(bytes(12), b"for one", head)
    assert unseal(sealed, first, CONTEXT) == b"for one"
    # Authentic under its own key, as a ciphertext made for two keys would be.
    other = head + ChaCha20Poly1305(theirs).encrypt(bytes(12), b"for another", head)
    for data in (sealed, other):
        with pytest.raises(Refuse, match="damaged, or was sealed for another use"):
            unseal(data, second, CONTEXT)


def test_who_is_no_reader_is_told_so() -> None:
    sealed = seal(b"not yours", [reader()[2]], CONTEXT)
    with pytest.raises(Refuse, match="sealed to others"):
        unseal(sealed, reader()[1], CONTEXT)


def test_the_same_bytes_are_never_sealed_alike() -> None:
    _, _, public = reader()
    assert len({seal(b"again", [public], CONTEXT) for _ in range(64)}) == 64


@pytest.mark.parametrize("count", [0, MAX_READERS + 1])
def test_no_readers_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="different readers"):
        seal(b"", [reader()[2] for _ in range(count)], CONTEXT)


def test_a_reader_is_named_once() -> None:
    public = reader()[2]
    with pytest.raises(ValueError, match="different readers"):
        seal(b"", [public, public], CONTEXT)


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the library's words
        seal(b"", [bytes(31)], CONTEXT)
    with pytest.raises(ValueError):  # noqa: PT011 - a point of small order: all would share its secret
        seal(b"", [bytes(32)], CONTEXT)


_, SECRET, PUBLIC = reader()
WHOLE = seal(b"every byte counts", [PUBLIC], CONTEXT)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
@settings(deadline=None)
def test_a_changed_byte_anywhere_is_refused(at: int, change: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[at] ^= change
    with pytest.raises(Refuse):
        unseal(bytes(damaged), SECRET, CONTEXT)


@given(st.integers(0, len(WHOLE) - 1))
@settings(deadline=None)
def test_bytes_cut_short_anywhere_are_refused(length: int) -> None:
    with pytest.raises(Refuse):
        unseal(WHOLE[:length], SECRET, CONTEXT)


@given(st.binary(max_size=400))
def test_no_bytes_do_anything_but_refuse(tail: bytes) -> None:
    for data in (tail, b"vagus-sealed\x01" + tail):
        with pytest.raises(Refuse):
            unseal(data, SECRET, CONTEXT)
        with pytest.raises(Refuse):
            unseal(data, SECRET, bytes(32))
