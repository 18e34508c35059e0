"""The configuration of a Solana chain."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from vagus.adapters.signers.config import KeyConfig
from vagus.adapters.urls import HttpUrls, WsUrls
from vagus.protocol import Account, caip2, read_account

__all__ = ["SolanaConfig"]


def _chain(text: str) -> str:
    if not caip2(text).startswith("solana:"):
        raise ValueError("must be a Solana chain, such as solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp")
    return text


class SolanaConfig(KeyConfig):
    """One Solana chain, its endpoints and one account, which pays; without a key nothing can be sent.

    A keystore is one around an ed25519 seed.
    """

    id: Annotated[str, AfterValidator(_chain)]
    """The chain, as CAIP-2: the first 32 letters of its genesis hash."""
    hub: str
    """The hub on it, as CAIP-10: its program id."""
    rpc: HttpUrls
    """The JSON-RPC endpoints: one URL, or a list of them."""
    quorum: PositiveInt | None = None
    """How many endpoints must agree on what leads to a signature; see `agreeing`."""
    ws: WsUrls = ()
    """Websocket endpoints, which only wake the reader; without one the chain is polled."""
    poll_interval: float = Field(default=2.0, gt=0, le=600)
    """Seconds between two looks at the head."""
    timeout: float = Field(default=10.0, gt=0, le=120)
    """Seconds that an answer may take."""
    max_answer: int = Field(default=32 << 20, ge=1 << 20)
    """Bytes of an answer; a longer one is no answer."""
    max_priority_fee: PositiveInt = 1_000_000
    """The most that a transaction may offer for a compute unit, in micro-lamports."""
    max_units: Annotated[int, Field(ge=200_000, le=1_400_000)] = 1_400_000
    """The most compute units of a transaction (the chain's own limit is 1,400,000)."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kms is not None:
            raise ValueError("kms: keys there are secp256k1, and a Solana account's is ed25519")
        hub = self.account
        if hub.chain != self.id:
            raise ValueError(f"hub is on {hub.chain}, and the chain is {self.id}")
        if not len(self.rpc) < 2 * self.agreeing <= 2 * len(self.rpc):
            least, most = len(self.rpc) // 2 + 1, len(self.rpc)
            raise ValueError(f"quorum is {self.quorum}: of {most} rpc it can be {least} to {most}")
        return self

    @property
    def agreeing(self) -> int:
        """The k of k of n: over half of the endpoints where `quorum` does not say otherwise."""
        return self.quorum or len(self.rpc) // 2 + 1

    @property
    def account(self) -> Account:
        """The hub's CAIP-10 account."""
        return read_account(self.hub)

    @property
    def reference(self) -> str:
        """The first 32 letters of the genesis hash."""
        return self.id.removeprefix("solana:")
