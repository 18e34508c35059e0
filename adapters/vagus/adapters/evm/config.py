"""The configuration of an EVM chain."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from vagus.adapters.signers.config import KeyConfig
from vagus.adapters.urls import HttpUrls, WsUrls, endpoint_name, endpoint_names
from vagus.protocol import Account, caip2, read_account

__all__ = ["EvmConfig", "endpoint_name", "endpoint_names"]

GWEI = 10**9


def _chain(text: str) -> str:
    if not caip2(text).startswith("eip155:"):
        raise ValueError("must be an EVM chain, such as eip155:1")
    return text


class EvmConfig(KeyConfig):
    """One EVM chain, its endpoints and one account, which pays; without a key nothing can be sent."""

    id: Annotated[str, AfterValidator(_chain)]
    """The chain, as CAIP-2."""
    hub: str
    """The hub on it, as CAIP-10; an address in mixed case must have its EIP-55 checksum."""
    rpc: HttpUrls
    """The JSON-RPC endpoints: one URL, or a list of them."""
    quorum: PositiveInt | None = None
    """How many endpoints must agree on what leads to a signature; see `agreeing`."""
    ws: WsUrls = ()
    """Websocket endpoints, which only wake the reader; without one the chain is polled."""
    finality: Literal["finalized", "safe"] | PositiveInt = "finalized"
    """The block tag that is final, or how many confirmations are enough."""
    finality_reason: str | None = None
    """Why less than "finalized" is enough here, in words: the mainnet profile wants to be told."""
    poll_interval: float = Field(default=2.0, gt=0, le=600)
    """Seconds between two looks at the head."""
    timeout: float = Field(default=10.0, gt=0, le=120)
    """Seconds that an answer may take."""
    # What has to fit: a block with the hashes of 30,000 transactions, 69 bytes each, which is 630
    # million gas of transfers. What may be longer is read another way: logs (reader.py) and receipts
    # (blocks.py). What has to be borne: as much of each endpoint at once, from three under 10 MB.
    max_answer: int = Field(default=2 << 20, ge=1 << 20)
    """Bytes of an answer; a longer one is no answer."""
    max_log_range: int = Field(default=2_000, ge=1)
    """Blocks that one eth_getLogs asks for at most."""
    max_fee_per_gas: PositiveInt = 500 * GWEI
    """The most that a transaction may pay for a unit of gas, in wei; bumps stop there."""
    max_priority_fee_per_gas: PositiveInt = 50 * GWEI
    """The most of it that may go to the block's builder, in wei."""
    max_gas: PositiveInt = 16_000_000
    """The most gas of a transaction (EIP-7825 allows 2**24)."""
    replace_after: PositiveInt = 3
    """Blocks without inclusion after which a transaction is replaced by a dearer one."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
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

    def final_tag(self, latest: int) -> int | str:
        """The tag or height of the final block, where `latest` is the newest block's height."""
        return self.finality if isinstance(self.finality, str) else max(0, latest - self.finality)

    @property
    def account(self) -> Account:
        """The hub's CAIP-10 account, in lower case as its id has it."""
        return read_account(self.hub)

    @property
    def chain_id(self) -> int:
        """EIP-155's chain id."""
        return int(self.id.removeprefix("eip155:"))
