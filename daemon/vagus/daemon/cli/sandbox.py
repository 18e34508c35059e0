"""`vagus sandbox`: a GPU network's API on this machine, to try vagus without an account."""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from vagus.daemon.cli.common import JsonOption, echo, emit, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vagus.compute.sandbox import Sandbox

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(sandbox)


def sandbox(
    name: Annotated[
        str | None, typer.Argument(help="Which API; without a name, all are listed.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to listen; 0 for a free port.")
    ] = 0,
    upstream: Annotated[
        str | None,
        typer.Option(
            help="An OpenAI-compatible server, as http://127.0.0.1:11434/v1, that writes the answers; "
            "without one a script does."
        ),
    ] = None,
    slow: Annotated[
        float, typer.Option(min=0.0, metavar="SECONDS", help="Do nothing of a call for so long.")
    ] = 0.0,
    fail: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Answer this share of the calls by 503: 0.5, each second.",
        ),
    ] = 0.0,
    credit: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="USD",
            help="What the account has left; of a network that sells tokens only whether it is 0.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Speak a GPU network's API on 127.0.0.1, with a key of its own, until Ctrl-C.

    It answers as the network's documentation says, errors included. Nothing is rented and nothing is
    paid; a script, not a model, writes the answers. Point a backend's table at the printed
    base_url, with the printed api_key in its api_key_file (docs/compute.md).

    --slow and --fail are about the network's API, and not the machines that are rented there.

    --json prints one line {"base_url", "api_key"} once it listens, with what else a network needs (a
    secret half of the key, a market's contract, the address that signs answers).
    """
    from vagus.compute.sandbox import SANDBOXES
    from vagus.daemon.config import ConfigError
    from vagus.protocol import Refuse

    if name is None:
        listed = {each: entry.about for each, entry in sorted(SANDBOXES.items())}
        if as_json:
            emit({"sandboxes": listed})
        else:
            for each, about in listed.items():
                echo(f"{each:20} {about}")
        return
    import uvloop

    from vagus.daemon.service.signals import until_stopped

    async def serve() -> None:
        with until_stopped():
            async with _sandbox(name, port, upstream) as made:
                if credit is not None:
                    made.endow(Decimal(str(credit)))
                if fail:
                    made.faults.add(status=503, share=fail, delay=slow)
                if slow:
                    made.faults.add(delay=slow)
                if as_json:
                    emit(made.show())
                else:
                    for key, value in made.show().items():
                        echo(f"{key:12} {value}")
                    say("Running; Ctrl-C ends it")
                await asyncio.Event().wait()

    try:
        uvloop.run(serve())
    except Refuse as error:
        raise ConfigError([error.reason]) from None


@contextlib.asynccontextmanager
async def _sandbox(name: str, port: int, upstream: str | None) -> AsyncIterator[Sandbox]:
    """Run a sandbox, with what its class does not run itself: GPU.net's chain."""
    from vagus.compute.sandbox import sandbox_class

    if name != "gpunet":
        async with sandbox_class(name)(port=port, upstream=upstream) as made:
            yield made
        return
    from vagus.adapters.evm.artifacts import artifact
    from vagus.adapters.evm.devnet import Anvil
    from vagus.compute.sandbox.gpunet import CHAIN_ID, GpuNetSandbox
    from vagus.daemon.fetch import anvil_path

    bytecode = artifact("market")["bytecode"]
    async with (
        Anvil(await asyncio.to_thread(anvil_path, say), CHAIN_ID) as chain,
        GpuNetSandbox(chain, bytecode, port=port, upstream=upstream) as made,
    ):
        yield made
