"""secp256k1 signatures over a digest: 65 bytes r‖s‖v, v 27 or 28, low s, and nothing else.

A second encoding of one signature (high s, v of 0 or 1, EIP-2098) would let a third party
change what a node has journalled, so every form but this one is rejected.
"""

from coincurve import PrivateKey, PublicKey

from vagus.protocol.errors import SignatureError
from vagus.protocol.hashing import keccak256

SIGNATURE_SIZE = 65
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
# Compared as big-endian bytes of equal length, which order as the numbers do.
_N = _ORDER.to_bytes(32, "big")
_HALF_N = (_ORDER // 2).to_bytes(32, "big")
_ZERO = bytes(32)


def sign(digest: bytes, key: PrivateKey) -> bytes:
    """Sign a 32-byte digest as it is, with the nonce of RFC 6979: equal inputs, equal bytes."""
    signature = key.sign_recoverable(digest, hasher=None)
    if signature[64] > 1:
        # r of the curve point overflowed the order: no v of 27 or 28 can say so. 1 in 2**127.
        raise SignatureError("this digest has no signature with v 27 or 28 under this key")
    return signature[:64] + bytes((signature[64] + 27,))


def recover(digest: bytes, signature: bytes) -> bytes:
    """Return the 20-byte address that signed `digest`; SignatureError says what is wrong."""
    if len(digest) != 32:
        raise SignatureError(f"a digest is 32 bytes, not {len(digest)}")
    if len(signature) != SIGNATURE_SIZE:
        raise SignatureError(f"a signature is {SIGNATURE_SIZE} bytes, not {len(signature)}")
    r, s, v = signature[:32], signature[32:64], signature[64]
    if v not in (27, 28):
        raise SignatureError(f"v is {v}, neither 27 nor 28")
    if not _ZERO < r < _N:
        raise SignatureError("r is outside 1..n-1")
    if not _ZERO < s < _N:
        raise SignatureError("s is outside 1..n-1")
    if s > _HALF_N:
        raise SignatureError("s is high: n - s is the only form accepted")
    try:
        key = PublicKey.from_signature_and_message(r + s + bytes((v - 27,)), digest, hasher=None)
    except ValueError:
        raise SignatureError("no public key fits r, s and v") from None
    return _address(key)


def address_of(key: PrivateKey) -> bytes:
    """Return the key's 20-byte Ethereum address."""
    return _address(key.public_key)


def _address(key: PublicKey) -> bytes:
    return keccak256(key.format(compressed=False)[1:])[12:]
