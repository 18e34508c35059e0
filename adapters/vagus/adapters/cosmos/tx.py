"""Cosmos transactions of one message and one signer (SIGN_MODE_DIRECT), as cosmpy's protos.

Sources: cosmos-sdk's proto/cosmos/tx/v1beta1/tx.proto, ADR-020.
"""

import hashlib
from dataclasses import dataclass
from typing import Any as Message
from typing import Self

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError

from vagus.adapters.cosmos.protos import (
    AuthInfo,
    Coin,
    Fee,
    ModeInfo,
    PubKey,
    SignDoc,
    SignerInfo,
    SignMode,
    TxBody,
    TxRaw,
)
from vagus.adapters.cosmos.wallet import Wallet

__all__ = ["CosmosTx", "packed", "tx_hash"]


def tx_hash(raw: bytes) -> str:
    """Return the upper-case hex of the sha256 that names a signed transaction."""
    return hashlib.sha256(raw).hexdigest().upper()


def packed(message: Message) -> bytes:
    """Return a message as a `google.protobuf.Any`, its type named as the Cosmos SDK does."""
    name = f"/{message.DESCRIPTOR.full_name}"
    return _bytes(Any(type_url=name, value=_bytes(message)))


@dataclass(frozen=True, slots=True)
class CosmosTx:
    """A transaction: `message` is a packed one, `fee` in `denom`, valid up to `timeout_height`."""

    message: bytes
    sequence: int
    gas: int
    fee: int
    denom: str
    timeout_height: int

    async def sign(self, wallet: Wallet, chain_id: str, account_number: int) -> bytes:
        """Return the signed transaction as it is broadcast; with a key here, equal inputs give equal bytes."""
        body, info = self._body(), self._auth_info(wallet.public_key)
        document = SignDoc(
            body_bytes=body,
            auth_info_bytes=info,
            chain_id=chain_id,
            account_number=account_number,
        )
        return _raw(body, info, await wallet.sign(_bytes(document)))

    def unsigned(self, public_key: bytes) -> bytes:
        """Return it with an empty signature, as a simulation takes it."""
        return _raw(self._body(), self._auth_info(public_key), b"")

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read back what `sign` returned. ValueError for anything else; no signature is checked."""
        try:
            outer = TxRaw.FromString(raw)
            body = TxBody.FromString(outer.body_bytes)
            info = AuthInfo.FromString(outer.auth_info_bytes)
        except DecodeError:
            raise ValueError("not a Cosmos transaction") from None
        if (len(body.messages), len(info.signer_infos), len(info.fee.amount)) != (1, 1, 1):
            raise ValueError("not a transaction of one message, one signer and one coin")
        coin = info.fee.amount[0]
        return cls(
            message=_bytes(body.messages[0]),
            sequence=info.signer_infos[0].sequence,
            gas=info.fee.gas_limit,
            fee=int(coin.amount),
            denom=coin.denom,
            timeout_height=body.timeout_height,
        )

    def _body(self) -> bytes:
        body = TxBody(messages=[Any.FromString(self.message)], timeout_height=self.timeout_height)
        return _bytes(body)

    def _auth_info(self, public_key: bytes) -> bytes:
        mode = ModeInfo(single=ModeInfo.Single(mode=SignMode.SIGN_MODE_DIRECT))
        key = Any.FromString(packed(PubKey(key=public_key)))
        signer = SignerInfo(public_key=key, mode_info=mode, sequence=self.sequence)
        coins = [Coin(denom=self.denom, amount=str(self.fee))] if self.fee else []
        fee = Fee(amount=coins, gas_limit=self.gas)
        return _bytes(AuthInfo(signer_infos=[signer], fee=fee))


def _raw(body: bytes, info: bytes, signature: bytes) -> bytes:
    return _bytes(TxRaw(body_bytes=body, auth_info_bytes=info, signatures=[signature]))


def _bytes(message: Message) -> bytes:
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded
