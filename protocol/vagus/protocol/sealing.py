"""Bytes that only some members of a committee can read: HPKE (RFC 9180) to the X25519 keys of a roster.

    "vagus-sealed" and a version byte | n, one byte | n times: tag 8, enc 32, wrapped key 48
    | commitment 32 | ciphertext

A key made for this one message encrypts it by ChaCha20-Poly1305 (nonce zero, all before the ciphertext
authenticated with it); each reader finds that key wrapped for it by HPKE in base mode, of DHKEM(X25519,
HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305, whose `info` has the context. The tag is the first eight
bytes of keccak256 of the reader's public key. The commitment is keccak256 of "vagus-sealed-key" and that
key: ChaCha20-Poly1305 alone would let one ciphertext be two plaintexts under two keys. A context says whose bytes these are and for what: who
copies them into a request of its own has another one, and nobody can open them there.
"""

import secrets
from collections.abc import Sequence
from functools import cache

from Crypto.Cipher import ChaCha20_Poly1305
from Crypto.Protocol import HPKE
from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key
from Crypto.PublicKey.ECC import EccKey

from vagus.protocol.errors import Refuse
from vagus.protocol.hashing import keccak256

__all__ = [
    "MAX_READERS",
    "is_sealed",
    "payload_context",
    "seal",
    "sealed_readers",
    "secret_context",
    "tag_of",
    "unseal",
]

_MAGIC = b"vagus-sealed\x01"
_INFO = b"vagus sealed 1"
_NONCE = bytes(12)
_TAG, _ENC, _WRAPPED, _COMMITMENT, _MAC = 8, 32, 48, 32, 16
_SLOT = _TAG + _ENC + _WRAPPED
MAX_READERS = 32


def is_sealed(data: bytes) -> bool:
    """Return whether bytes say of themselves that they are sealed; they may be damaged."""
    return data.startswith(_MAGIC)


def tag_of(public: bytes) -> bytes:
    """Return how a reader's slot is found: 8 bytes of its X25519 public key of 32."""
    return keccak256(public)[:_TAG]


def payload_context(origin_hub: bytes, requester: bytes, agent_id: bytes) -> bytes:
    """Return the context of an intent's payload, 32 bytes, of three words of the intent."""
    return keccak256(b"vagus-sealed-payload" + origin_hub + requester + agent_id)


def secret_context(origin_hub: bytes, requester: bytes, agent_id: bytes, host: str) -> bytes:
    """Return the context of a requester's secret for one HTTPS host, by its lower-case name: 32 bytes."""
    words = origin_hub + requester + agent_id + keccak256(host.encode())
    return keccak256(b"vagus-sealed-secret" + words)


def seal(plaintext: bytes, readers: Sequence[bytes], context: bytes) -> bytes:
    """Encrypt to X25519 public keys of 32 bytes each; ValueError for none, too many, or no such key.

    What is sealed is 62 bytes longer than the plaintext, and 88 for each reader.
    """
    if not 1 <= len(set(readers)) == len(readers) <= MAX_READERS:
        raise ValueError(f"1 to {MAX_READERS} different readers are allowed, not {len(readers)}")
    once = secrets.token_bytes(32)
    head = _MAGIC + bytes([len(readers)])
    for public in readers:
        lock = HPKE.new(
            receiver_key=import_x25519_public_key(public),
            aead_id=HPKE.AEAD.CHACHA20_POLY1305,
            info=_INFO + context,
        )
        head += tag_of(public) + lock.enc + lock.seal(once)
    head += _commitment(once)
    cipher = ChaCha20_Poly1305.new(key=once, nonce=_NONCE)
    cipher.update(head)
    ciphertext, mac = cipher.encrypt_and_digest(plaintext)
    return head + ciphertext + mac


def sealed_readers(sealed: bytes) -> tuple[bytes, ...]:
    """Return the tags of those who can read sealed bytes, in order. Raises Refuse for a damaged head."""
    return tuple(slot[:_TAG] for slot in _slots(sealed))


def unseal(sealed: bytes, secret: bytes, context: bytes) -> bytes:
    """Return the plaintext, by one reader's X25519 secret of 32 bytes.

    Raises Refuse for damaged bytes, for those of another context and for those sealed to others.
    """
    private = _private(secret)
    tag = tag_of(bytes(private.public_key().export_key(format="raw")))
    for slot in _slots(sealed):
        if slot[:_TAG] == tag:
            return _open(sealed, slot, private, context)
    raise Refuse("it is sealed to others than this node")


def _open(sealed: bytes, slot: bytes, private: EccKey, context: bytes) -> bytes:
    end = len(_MAGIC) + 1 + _SLOT * sealed[len(_MAGIC)] + _COMMITMENT
    try:
        key = HPKE.new(
            receiver_key=private,
            aead_id=HPKE.AEAD.CHACHA20_POLY1305,
            enc=slot[_TAG : _TAG + _ENC],
            info=_INFO + context,
        ).unseal(slot[_TAG + _ENC :])
        if _commitment(key) != sealed[end - _COMMITMENT : end]:
            raise ValueError("the key is another reader's")
        cipher = ChaCha20_Poly1305.new(key=key, nonce=_NONCE)
        cipher.update(sealed[:end])
        return cipher.decrypt_and_verify(sealed[end:-_MAC], sealed[-_MAC:])
    except ValueError:
        # Which of the two it was is nothing that a stranger should learn.
        raise Refuse("it is damaged, or was sealed for another use than this") from None


def _commitment(key: bytes) -> bytes:
    return keccak256(b"vagus-sealed-key" + key)


def _slots(sealed: bytes) -> tuple[bytes, ...]:
    begin = len(_MAGIC) + 1
    if not is_sealed(sealed) or len(sealed) < begin:
        raise Refuse("it is not sealed")
    count = sealed[begin - 1]
    if not 1 <= count <= MAX_READERS or len(sealed) < begin + count * _SLOT + _COMMITMENT + _MAC:
        raise Refuse("what is sealed is cut short")
    return tuple(sealed[begin + at * _SLOT :][:_SLOT] for at in range(count))


@cache
def _private(secret: bytes) -> EccKey:
    return import_x25519_private_key(secret)
