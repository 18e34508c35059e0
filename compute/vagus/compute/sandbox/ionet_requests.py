"""What io.net's containers (CaaS) are asked, and how what is not of the form is turned away: 422.

Source: io.net's API reference, "CaaS", and the request models of its own client (wheel `ionet-cloud`).
"""

from collections.abc import Mapping
from typing import Annotated, NoReturn, TypeVar

import msgspec
from aiohttp import web

from vagus.compute.sandbox.base import ApiError

__all__ = ["Deploy", "Extend", "invalid", "number", "read"]

T = TypeVar("T")

Hours = Annotated[int, msgspec.Meta(ge=1, le=8760)]
Number = Annotated[int, msgspec.Meta(ge=1)]


class Container(msgspec.Struct, forbid_unknown_fields=True):
    """The container, its environment and its one port."""

    replica_count: Number
    traffic_port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    env_variables: dict[str, str] = {}
    secret_env_variables: dict[str, str] = {}
    entrypoint: list[str] | None = None
    args: list[str] | None = None
    command: str | None = None
    public_ingress_enabled: bool | None = None
    tls_required: bool | None = None


class Registry(msgspec.Struct, forbid_unknown_fields=True):
    """The image."""

    image_url: str
    registry_username: str | None = None
    registry_secret: str | None = None


class Deploy(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /deploy`."""

    resource_private_name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    duration_hours: Hours
    gpus_per_container: Number
    hardware_id: int | str
    container_config: Container
    registry_config: Registry
    location_ids: list[int] | None = None
    node_pool_id: str | None = None
    resource_id: str | None = None
    payment_source: str = "credits"
    on_incomplete_booking: str = "full_refund"


class Extend(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /deployment/{id}/extend`."""

    duration_hours: Hours


async def read(request: web.Request, kind: type[T]) -> T:
    """Return a body; 422 for one that is not of its form, as their framework has it."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        invalid("", str(error)[:300])


def number(query: Mapping[str, str], name: str, default: int | None = None) -> int:
    """Return a number of a query. Raises ApiError, 422."""
    try:
        if name not in query and default is not None:
            return default
        return int(query[name])
    except (KeyError, ValueError):
        invalid(f"?{name}", "Input should be a valid integer")


def invalid(where: str, why: str) -> NoReturn:
    """Raise ApiError, 422, about a field of the body, or of the query where it begins with `?`."""
    raise ApiError(422, why, code=where)
