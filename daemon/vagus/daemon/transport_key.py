"""The transport key: what a member says to the others is signed by it, and by no other key.

It is a key of its own so that the signer's can be kept where only attestations, receipts and rotations
are signed. What others encrypt to the member goes to an X25519 key that is derived from it: one file
holds both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from Crypto.Hash import SHA256
from Crypto.Protocol.DH import import_x25519_private_key
from Crypto.Protocol.KDF import HKDF

from vagus.protocol import Refuse, address_of

if TYPE_CHECKING:
    from coincurve import PrivateKey

    from vagus.daemon.member import Member

__all__ = ["TransportKey"]

_INFO = b"vagus x25519"


@dataclass(frozen=True)
class TransportKey:
    """A member's transport key, which signs (secp256k1), and the X25519 secret derived from it.

    `address` is 20 bytes, `x25519` the 32-byte public key: the roster has both.
    """

    key: PrivateKey = field(repr=False)

    @property
    def address(self) -> bytes:
        """The key's 20-byte Ethereum address."""
        return address_of(self.key)

    @property
    def x25519_secret(self) -> bytes:
        """The X25519 secret (RFC 7748), 32 bytes: HKDF-SHA256 of the key's secret, without a salt."""
        derived = HKDF(self.key.secret, 32, b"", SHA256, context=_INFO)
        return bytes(derived)  # type: ignore[arg-type]  # a tuple only where several keys are asked for

    @property
    def x25519(self) -> bytes:
        """The X25519 public key, 32 bytes."""
        public = import_x25519_private_key(self.x25519_secret).public_key()
        return bytes(public.export_key(format="raw"))

    def require(self, member: Member) -> None:
        """Raise Refuse where the roster has other keys of this member."""
        if member.transport_address != self.address:
            raise Refuse(
                f"the roster's transport key of {member.signer} is {member.transport}, and this node has"
                f" 0x{self.address.hex()}: name that keystore under [transport_key], or have the "
                "roster changed"
            )
        if member.x25519 is not None and member.x25519 != f"0x{self.x25519.hex()}":
            raise Refuse(
                f"the roster's x25519 of {member.signer} is {member.x25519}, and this node's transport "
                f"key gives 0x{self.x25519.hex()}: have the roster changed"
            )
