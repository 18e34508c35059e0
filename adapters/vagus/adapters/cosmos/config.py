"""The configuration of a Cosmos chain."""

from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from vagus.adapters.signers.config import KeyConfig
from vagus.adapters.urls import HttpUrls, WsUrls
from vagus.protocol import Account, address_prefix, caip2, cosmos_chain, read_account

__all__ = ["CosmosConfig"]


def _chain(text: str) -> str:
    if not caip2(text).startswith("cosmos:"):
        raise ValueError("must be a Cosmos chain, such as cosmos:juno-1")
    return text


class CosmosConfig(KeyConfig):
    """One Cosmos chain, its endpoints and one account, which pays; without a key nothing can be sent."""

    id: Annotated[str, AfterValidator(_chain)]
    """The chain, as CAIP-2 (CAIP-5)."""
    chain_id: str = ""
    """The chain's own id; needed where `id` has only its hash ("cosmos:hashed-…")."""
    hub: str
    """The hub on it, as CAIP-10; its address has the prefix of all addresses of the chain."""
    rpc: HttpUrls
    """CometBFT's JSON-RPC endpoints: one URL, or a list of them."""
    quorum: PositiveInt | None = None
    """How many endpoints must agree on what leads to a signature; see `agreeing`."""
    ws: WsUrls = ()
    """CometBFT's websocket endpoints, which only wake the reader; without one the chain is polled."""
    poll_interval: float = Field(default=2.0, gt=0, le=600)
    """Seconds between two looks at the head."""
    timeout: float = Field(default=10.0, gt=0, le=120)
    """Seconds that an answer may take."""
    max_answer: int = Field(default=32 << 20, ge=1 << 20)
    """Bytes of an answer; a longer one is no answer."""
    fee_denom: str = Field(default="", pattern=r"^([a-zA-Z][a-zA-Z0-9/:._-]{2,127})?$")
    """The coin that pays for gas and is the hub's fee, such as "ujuno"."""
    gas_price: Decimal = Field(default=Decimal("0.025"), ge=0, lt=10**12)
    """What a unit of gas is offered at first, in `fee_denom`; a node's own minimum if that is more."""
    max_gas_price: Decimal = Field(default=Decimal(1), ge=0, lt=10**12)
    """The most that a unit of gas may cost; offers that are raised stop there."""
    max_gas: PositiveInt = 10_000_000
    """The most gas of a transaction; a call that needs more is refused."""
    timeout_blocks: int = Field(default=20, ge=2, le=1_000)
    """Blocks after which a transaction that was not included is void, and signed again."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.where and not self.fee_denom:
            raise ValueError("fee_denom is missing: an account pays for gas in some coin")
        if self.gas_price > self.max_gas_price:
            raise ValueError(f"gas_price {self.gas_price} is over max_gas_price")
        if not self.chain_id and self.id.startswith("cosmos:hashed-"):
            raise ValueError("chain_id is missing: id has only its hash")
        if cosmos_chain(self.live_id) != self.id:
            raise ValueError(
                f"id is {self.id}, and chain_id is that of {cosmos_chain(self.live_id)}"
            )
        if self.account.chain != self.id:
            raise ValueError(f"hub is on {self.account.chain}, and the chain is {self.id}")
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
    def prefix(self) -> str:
        """The bech32 prefix of the chain's addresses."""
        return address_prefix(self.id, self.account.address)

    @property
    def live_id(self) -> str:
        """The chain's own id, which transactions are signed for."""
        return self.chain_id or self.id.removeprefix("cosmos:")
