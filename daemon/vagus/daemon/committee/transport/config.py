"""How the members of a committee reach each other, as a config says it."""

from __future__ import annotations

import pathlib
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from vagus.compute.mqtt import MqttConfig

__all__ = ["BrokerConfig", "PeerConfig", "PeersConfig", "TransportConfig"]


class BrokerConfig(MqttConfig):
    """`kind = "mqtt"`: one broker. Several tables are several brokers, used at once."""

    kind: Literal["mqtt"] = "mqtt"


class PeerConfig(BaseModel):
    """One peer. transport: the address of its transport key, as the roster has it.

    url: the root of its HTTP, such as `https://peer.example:9464`; none for a peer that can't be
    reached, which fetches what is for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    transport: Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{40}$")]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?#]+$")] | None = None

    @model_validator(mode="after")
    def _has_an_address(self) -> Self:
        if self.url is not None and not urlsplit(self.url).hostname:
            raise ValueError("url: write http://host:port or https://host:port")
        return self

    @property
    def address(self) -> bytes:
        """The transport key's address, 20 bytes."""
        return bytes.fromhex(self.transport[2:])


class PeersConfig(BaseModel):
    """`kind = "http"`: peers over HTTP, without a broker.

    fetch: ask each peer again and again for what it has for us: for a node that they can't reach.
    ca_file: PEM of the authorities of the peers' certificates; without it the system's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["http"] = "http"
    peers: Annotated[tuple[PeerConfig, ...], Field(min_length=1, max_length=64)]
    fetch: bool = False
    ca_file: pathlib.Path | None = None

    @model_validator(mode="after")
    def _is_a_set(self) -> Self:
        if len({peer.transport for peer in self.peers}) < len(self.peers):
            raise ValueError("peers: a transport key is there more than once")
        return self


TransportConfig = Annotated[BrokerConfig | PeersConfig, Field(discriminator="kind")]
