"""A GPU rented from Dispersed, Render's compute network, serving models."""

import pathlib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from vagus.compute.backends.http import BaseUrl, Text
from vagus.compute.config import Label
from vagus.compute.leases.base import Provisioner
from vagus.compute.leases.leased import LeasedBackend, LeasedConfig, Usd
from vagus.compute.leases.render import BASE_URL, GpuOffer, RenderProvisioner

__all__ = ["GpuOfferConfig", "RenderBackend", "RenderConfig"]

Cidr = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F:.]{2,39}/[0-9]{1,3}$")]


class GpuOfferConfig(BaseModel):
    """What one GPU costs, as Dispersed's console shows it: USD per hour, GiB of memory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    vram: Annotated[int, Field(ge=1, le=1024)]
    hourly: Usd


class RenderConfig(LeasedConfig):
    """`kind = "render"`. public_key: `pk_…`; secret_key_file holds its other half, `sk_…`.

    offers: the GPUs that will do, and what they cost. allowed_ips: who may connect to the machine, as
    CIDR; this node's own address is best.
    """

    kind: Label = "render"
    network: Label = "render"
    base_url: BaseUrl = BASE_URL
    public_key: Annotated[str, StringConstraints(pattern="^[0-9A-Za-z_-]{1,256}$")]
    secret_key_file: pathlib.Path
    offers: Annotated[tuple[GpuOfferConfig, ...], Field(min_length=1)]
    allowed_ips: tuple[Cidr, ...] = ()


class RenderBackend(LeasedBackend):
    """One job of one account."""

    Config = RenderConfig

    def __init__(self, config: RenderConfig) -> None:
        super().__init__(config)
        self._config = config

    def provisioner(self) -> Provisioner:
        """Return Dispersed's provisioner."""
        config = self._config
        return RenderProvisioner(
            config.public_key,
            config.secret_key_file,
            tuple(GpuOffer(each.name, each.vram, each.hourly) for each in config.offers),
            allowed_ips=config.allowed_ips,
            path=config.path,
            base_url=config.base_url,
        )
