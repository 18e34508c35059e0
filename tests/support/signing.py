"""A committee key that signs whatever statement it is handed: what a node has a policy for."""

from coincurve import PrivateKey

from vagus.protocol import Attestation, Receipt, address_of, sign

__all__ = ["KeySigner"]


class KeySigner:
    def __init__(self, key: PrivateKey) -> None:
        self.address = address_of(key)
        self._key = key

    async def sign(self, message: Attestation | Receipt, hub_id: bytes) -> bytes:
        return sign(message.digest(hub_id), self._key)
