"""The transports of a config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.daemon.committee.transport.config import BrokerConfig, PeersConfig
from vagus.daemon.committee.transport.http import HttpTransport
from vagus.daemon.committee.transport.mqtt import MqttTransport
from vagus.daemon.credentials import located

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coincurve import PrivateKey

    from vagus.daemon.committee.transport.base import Transport

__all__ = ["open_transports"]


def open_transports(
    configs: Sequence[BrokerConfig | PeersConfig], key: PrivateKey, network: bytes
) -> list[Transport]:
    """Return a transport for each config, not entered yet.

    key: this member's transport key. network: 32 bytes. Raises CredentialError.
    """
    return [
        MqttTransport(_located(config), network)
        if isinstance(config, BrokerConfig)
        else HttpTransport(config, key, network)
        for config in configs
    ]


def _located(config: BrokerConfig) -> BrokerConfig:
    """Return a config whose secrets are where systemd has put them, if it has them."""
    secrets = {"password_file": config.password_file, "key_file": config.key_file}
    found = {name: located(path) for name, path in secrets.items() if path is not None}
    return config.model_copy(update=found)
