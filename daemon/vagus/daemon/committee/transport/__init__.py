"""How a committee's envelopes travel: over MQTT brokers, or over HTTP from node to node."""

from vagus.daemon.committee.transport.base import MAX_FRAME, Topic, Traffic, Transport
from vagus.daemon.committee.transport.config import (
    BrokerConfig,
    PeerConfig,
    PeersConfig,
    TransportConfig,
)
from vagus.daemon.committee.transport.opening import open_transports

__all__ = [
    "MAX_FRAME",
    "BrokerConfig",
    "PeerConfig",
    "PeersConfig",
    "Topic",
    "Traffic",
    "Transport",
    "TransportConfig",
    "open_transports",
]
