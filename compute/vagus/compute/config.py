"""What every backend's section of a config file has in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from vagus.compute.price import PriceConfig

__all__ = ["BackendConfig", "Label"]

# Names, regions and networks: what terms and metrics can carry without quoting.
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class BackendConfig(BaseModel):
    """One `[[backends]]` table: `kind` is the entry point's name, the rest is the backend's.

    region: where the machine stands, as requesters' terms name it (`eu-de`). network: who owns
    it (`akash`). engine: what runs the models, recorded in the evidence. Each is the operator's
    claim.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Label
    name: Label
    region: Label = "unknown"
    network: Label = "unknown"
    engine: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "unknown"
    price: PriceConfig = PriceConfig()
    max_in_flight: Annotated[int, Field(ge=1, le=4096)] = 64
