"""`vagus leases offers`: what could be rented now, and for how much."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, echo, emit, say

if TYPE_CHECKING:
    from vagus.compute import Backend
    from vagus.daemon.config import Settings

__all__ = ["offers"]

PATIENCE = 60.0


def offers(
    name: Annotated[
        str | None, typer.Argument(help="One backend; without a name, all that rent.")
    ] = None,
    config: ConfigOption = Path("vagus.toml"),
    as_json: JsonOption = False,
) -> None:
    """Ask each network what it would rent out now as its table in the config wants it, cheapest first.

    Nothing is rented. For GPU.net it is what its market lists.
    """
    from vagus.daemon.config import load

    found = asyncio.run(_all(load(config), name))
    if as_json:
        emit({"backends": found})
    else:
        for each in found:
            for offer in each["offers"]:
                paid = "  paid ahead" if offer["prepaid"] else ""
                echo(
                    f"{each['backend']:16} {offer['hourly_usd']:>10} USD/h  {offer['gpu']}"
                    f"  {offer['region']}{paid}"
                )
            if not each["offers"]:
                say(f"{each['backend']}: {each['fault'] or 'nothing at that price'}")
    if any(each["fault"] for each in found):
        raise typer.Exit(1)


async def _all(settings: Settings, name: str | None) -> list[dict[str, Any]]:
    from vagus.compute.backends.gpunet import GpuNetBackend
    from vagus.compute.leases.leased import LeasedBackend
    from vagus.compute.registry import backend_class
    from vagus.daemon.config import ConfigError, backend_of

    rents = (LeasedBackend, GpuNetBackend)
    backends = [
        backend_of(table, f"{settings.file}: backends.{at}")
        for at, table in enumerate(settings.backends)
        if issubclass(backend_class(str(table.get("kind", ""))), rents)
        and name in {None, table.get("name")}
    ]
    if not backends:
        raise ConfigError(
            ["no backend in the config rents machines" + (f": {name}" if name else "")]
        )
    say(f"asking {', '.join(each.name for each in backends)} …")
    return list(await asyncio.gather(*(_one(each) for each in backends)))


async def _one(backend: Backend) -> dict[str, Any]:
    from vagus.protocol import Refuse, Retry

    shown: dict[str, Any] = {"backend": backend.name, "offers": [], "fault": None}
    try:
        async with asyncio.timeout(PATIENCE):
            shown["offers"] = await _ask(backend)
    except (Retry, Refuse) as error:
        shown["fault"] = error.reason
    except TimeoutError:
        shown["fault"] = f"no answer in {PATIENCE:g} s"
    return shown


async def _ask(backend: Backend) -> list[dict[str, Any]]:
    """Return the offers of one network; `number` is a machine's in GPU.net's market."""
    from vagus.compute.backends.gpunet import GpuNetBackend
    from vagus.compute.leases.leased import LeasedBackend

    if isinstance(backend, GpuNetBackend):
        async with backend:
            return [
                {
                    "gpu": each.gpu,
                    "hourly_usd": str(each.hourly),
                    "region": each.region,
                    "prepaid": False,
                    "number": each.number,
                }
                for each in await backend.offers()
            ]
    if not isinstance(backend, LeasedBackend):
        return []
    async with backend.provisioner() as provisioner:
        quotes = await provisioner.quote(backend.settings.plan().want)
    return [
        {
            "gpu": each.gpu,
            "hourly_usd": f"{each.hourly:.4f}",
            "region": each.region,
            "prepaid": each.prepaid,
        }
        for each in quotes
    ]
