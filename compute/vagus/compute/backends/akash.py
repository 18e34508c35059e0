"""`kind = "akash"`: a model on a GPU that is rented on Akash."""

import pathlib
from typing import Annotated, Literal

from pydantic import StringConstraints

from vagus.compute.backends.http import BaseUrl
from vagus.compute.config import Label
from vagus.compute.leases.akash import BASE_URL, AkashProvisioner
from vagus.compute.leases.leased import LeasedBackend, LeasedConfig

__all__ = ["AkashBackend", "AkashConfig"]

Address = Annotated[str, StringConstraints(pattern="^akash1[02-9ac-hj-np-z]{38,58}$")]


class AkashConfig(LeasedConfig):
    """`kind = "akash"`; the rest is as for every leased backend.

    api_key_file: holds the Console account's key. providers: whom to rent from, none for all but those
    in avoid. auditors: one of them must have signed for the provider. scheme: of the URL that a
    provider gives a server; few have certificates of their own for it.
    """

    kind: Label = "akash"
    network: Label = "akash"
    base_url: BaseUrl = BASE_URL
    api_key_file: pathlib.Path
    providers: tuple[Address, ...] = ()
    avoid: tuple[Address, ...] = ()
    auditors: tuple[Address, ...] = ()
    scheme: Literal["http", "https"] = "http"


class AkashBackend(LeasedBackend):
    """One machine at a time, of whichever provider bids lowest."""

    Config = AkashConfig

    def __init__(self, config: AkashConfig) -> None:
        super().__init__(config)
        self._config = config

    def provisioner(self) -> AkashProvisioner:
        """Return the account's provisioner."""
        config = self._config
        return AkashProvisioner(
            config.api_key_file,
            base_url=config.base_url,
            providers=config.providers,
            avoid=config.avoid,
            auditors=config.auditors,
            scheme=config.scheme,
            path=config.path,
        )
