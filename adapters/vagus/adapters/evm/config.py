"""The configuration of an EVM chain."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    model_validator,
)

from vagus.protocol import Account, caip2

__all__ = ["EvmConfig", "endpoint_name", "endpoint_names"]

GWEI = 10**9


def endpoint_name(url: SecretStr) -> str:
    """Return what may be shown of an endpoint: an API key may stand in the rest of it."""
    parts = urlsplit(url.get_secret_value())
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def endpoint_names(urls: Sequence[SecretStr]) -> tuple[str, ...]:
    """Return a name for each endpoint; those of one host and port are told apart by a number."""
    names = [endpoint_name(url) for url in urls]
    return tuple(
        f"{name}#{names[: at + 1].count(name)}" if names.count(name) > 1 else name
        for at, name in enumerate(names)
    )


def _url(*schemes: str) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(url.get_secret_value())
            known = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise ValueError(f"must be a URL that begins with {' or '.join(schemes)}://")
        return url

    return AfterValidator(check)


def _several(urls: object) -> object:
    return urls if isinstance(urls, list | tuple) else (urls,)


def _differ(urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """One endpoint under two spellings would have two votes."""
    parts = [urlsplit(url.get_secret_value().rstrip("/")) for url in urls]
    ports = [None if each.port in {80, 443} else each.port for each in parts]
    places = [(each.hostname, each.path, each.query) for each in parts]
    if len(set(zip(places, ports, strict=True))) < len(urls):
        raise ValueError("has an endpoint twice: each must be another one")
    return urls


_Rpc = Annotated[SecretStr, _url("http", "https")]
_Ws = Annotated[SecretStr, _url("ws", "wss")]


def _chain(text: str) -> str:
    if not caip2(text).startswith("eip155:"):
        raise ValueError("must be an EVM chain, such as eip155:1")
    return text


class EvmConfig(BaseModel):
    """One EVM chain, its endpoints and one account."""

    # A URL may hold an API key: no error repeats what was given.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: Annotated[str, AfterValidator(_chain)]
    """The chain, as CAIP-2."""
    hub: str
    """The hub on it, as CAIP-10; an address in any case."""
    rpc: Annotated[
        tuple[_Rpc, ...], BeforeValidator(_several), AfterValidator(_differ), Field(min_length=1)
    ]
    """The JSON-RPC endpoints: one URL, or a list of them."""
    quorum: PositiveInt | None = None
    """How many endpoints must agree on what leads to a signature; see `agreeing`."""
    ws: Annotated[tuple[_Ws, ...], BeforeValidator(_several), AfterValidator(_differ)] = ()
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
    keystore: Path | None = None
    """The encrypted key (V3) of the account that pays; without one nothing can be sent."""
    password_file: Path | None = None
    """The file with the keystore's password."""
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
        if (self.keystore is None) != (self.password_file is None):
            raise ValueError("keystore and password_file go together")
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
        return Account.parse(self.hub.lower())

    @property
    def chain_id(self) -> int:
        """EIP-155's chain id."""
        return int(self.id.removeprefix("eip155:"))
