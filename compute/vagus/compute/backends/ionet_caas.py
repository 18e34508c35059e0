"""A GPU rented from io.net's containers (CaaS), serving models."""

import pathlib

from vagus.compute.backends.http import BaseUrl
from vagus.compute.config import Label
from vagus.compute.leases.base import Provisioner
from vagus.compute.leases.ionet import BASE_URL, IonetProvisioner
from vagus.compute.leases.leased import LeasedBackend, LeasedConfig

__all__ = ["IonetCaasBackend", "IonetCaasConfig"]


class IonetCaasConfig(LeasedConfig):
    """`kind = "ionet-caas"`. api_key_file: a key of the project IO Cloud. hours are whole ones."""

    kind: Label = "ionet-caas"
    network: Label = "io.net"
    base_url: BaseUrl = BASE_URL
    api_key_file: pathlib.Path


class IonetCaasBackend(LeasedBackend):
    """One container of one account."""

    Config = IonetCaasConfig

    def __init__(self, config: IonetCaasConfig) -> None:
        super().__init__(config)
        self._config = config

    def provisioner(self) -> Provisioner:
        """Return io.net's provisioner."""
        config = self._config
        return IonetProvisioner(config.api_key_file, path=config.path, base_url=config.base_url)
