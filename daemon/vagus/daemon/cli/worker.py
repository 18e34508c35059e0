"""`vagus worker`: a GPU owner's machine serves nodes, over a broker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vagus.daemon.cli.common import echo, say

if TYPE_CHECKING:
    from coincurve import PrivateKey

    from vagus.compute.mqtt import MqttConfig
    from vagus.daemon.worker import WorkerSettings

__all__ = ["add_to"]

_FOLDER = Path("~/.local/share/vagus-worker")


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(worker)


def worker(
    broker: Annotated[
        str, typer.Option(envvar="VAGUS_WORKER_BROKER", help="mqtts://host[:port] of the broker.")
    ],
    serve: Annotated[
        str,
        typer.Option(
            envvar="VAGUS_WORKER_SERVE",
            help="The OpenAI-compatible server that runs the models, as http://127.0.0.1:8080/v1.",
        ),
    ],
    node: Annotated[
        list[str],
        typer.Option(
            envvar="VAGUS_WORKER_NODE",
            help="A node that may ask: the address of its transport key, as `vagus keys show` prints "
            "it there. Several times for several; nobody else is listened to.",
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            envvar="VAGUS_WORKER_MODEL",
            help="A model to offer, by name, or as name=Qwen/Qwen3-32B,served_as=qwen3,"
            "quantization=fp8,context=32768,input=0.10,output=0.40 (also revision, weights). "
            "Several times for several.",
            show_default="all that the server lists",
        ),
    ] = None,
    input_price: Annotated[
        str,
        typer.Option(
            "--input", envvar="VAGUS_WORKER_INPUT", help="US dollars per 1,000,000 tokens read."
        ),
    ] = "0",
    output_price: Annotated[
        str,
        typer.Option(
            "--output",
            envvar="VAGUS_WORKER_OUTPUT",
            help="US dollars per 1,000,000 tokens written.",
        ),
    ] = "0",
    slots: Annotated[
        int, typer.Option(min=1, max=1024, envvar="VAGUS_WORKER_SLOTS", help="Requests at once.")
    ] = 4,
    per_node: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            envvar="VAGUS_WORKER_PER_NODE",
            help="Of one node.",
            show_default="all slots",
        ),
    ] = None,
    folder: Annotated[
        Path,
        typer.Option(
            envvar="VAGUS_WORKER_FOLDER", help="Where the worker's key is kept; made if missing."
        ),
    ] = _FOLDER,
    username: Annotated[
        str | None,
        typer.Option(
            envvar="VAGUS_WORKER_USERNAME",
            help="The name at the broker.",
            show_default="the worker's address without 0x, where there is a password",
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            envvar="VAGUS_WORKER_PASSWORD_FILE",
            help="The password at the broker: one line, mode 0600.",
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="VAGUS_WORKER_CA_FILE",
            help="PEM of the broker's authorities.",
            show_default="the system's",
        ),
    ] = None,
    cert_file: Annotated[
        Path | None,
        typer.Option(
            envvar="VAGUS_WORKER_CERT_FILE",
            help="This worker's certificate, instead of a password.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(envvar="VAGUS_WORKER_KEY_FILE", help="The certificate's key, mode 0600."),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            envvar="VAGUS_WORKER_API_KEY_FILE",
            help="The server's API key, if it wants one: one line, mode 0600.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Ask the server for a token, write to the broker once, say how it went, end.",
        ),
    ] = False,
) -> None:
    """Serve a local model server to nodes that you choose, over a broker; behind any NAT.

    No port is opened, and no secret of a node is held. What a node asks is signed by it, and what this
    worker answers is signed with a key of its own, made at the first start: tell its address, which is
    printed, to the nodes, whose configs name it (docs/edge.md).

    More requests than there are slots are turned away at once. It connects again for ever; Ctrl-C or
    SIGTERM lets what is under way end, 20 seconds at most. Try it with --check first.

    Each option may be given in the environment instead, as VAGUS_WORKER_BROKER; what may be there
    several times has spaces between.
    """
    import uvloop

    from vagus.daemon import worker as process
    from vagus.daemon.config_errors import ConfigError
    from vagus.daemon.service.logs import set_up

    if per_node is not None and per_node > slots:
        raise ConfigError([f"--per-node {per_node}: there are --slots {slots} in all"])
    price = _price(input_price, output_price)
    models = tuple(process.parse_model(each, price) for each in model or [])
    if len({each.offered.model for each in models}) < len(models):
        raise ConfigError(["--model: one is there more than once"])
    nodes = frozenset(_address(each) for each in node)
    key = process.worker_key(folder.expanduser())
    files = {
        "password_file": password_file,
        "ca_file": ca_file,
        "cert_file": cert_file,
        "key_file": key_file,
    }
    settings = process.WorkerSettings(
        key=key,
        broker=_broker(broker, username, files, key),
        base_url=serve,
        api_key_file=api_key_file,
        nodes=nodes,
        models=models,
        price=price,
        slots=slots,
        per_node=per_node,
    )
    _introduce(settings)
    if check:
        uvloop.run(process.check(settings, say))
        return

    set_up("info", "auto")
    uvloop.run(process.run(settings))


def _introduce(settings: WorkerSettings) -> None:
    """Print what the nodes have to be told."""
    from decimal import Decimal

    from vagus.protocol import address_of

    address = f"0x{address_of(settings.key).hex()}"
    echo(f"worker {address}")
    prices = [(each.offered.input, each.offered.output) for each in settings.models]
    read, written = zip(*(prices or [settings.price]), strict=True)
    most = [max(each, key=Decimal) for each in (read, written)]
    say("Nodes name it in their config:")
    say("")
    say("  [[backends]]")
    say('  kind = "edge"')
    say('  name = "edge"')
    say(f'  url = "{settings.broker.url}"')
    say(f'  workers = ["{address}"]')
    if any(map(Decimal, most)):
        say(
            f'  max_price = {{ input = "{most[0]}", output = "{most[1]}" }}   # US dollars: see [money]'
        )
    say("  # Where the broker wants a name and a password, each node has its own:")
    for node in sorted(settings.nodes):
        say(f'  # username = "{node.hex()}"')
    say('  # password_file = "keys/edge-password"')
    say("")


def _price(read: str, written: str) -> tuple[str, str]:
    from vagus.daemon.config_errors import ConfigError
    from vagus.daemon.worker import usd

    try:
        return usd(read), usd(written)
    except ValueError as error:
        raise ConfigError([f"--input, --output: {error}"]) from None


def _address(text: str) -> bytes:
    from vagus.daemon.config_errors import ConfigError

    digits = text.lower().removeprefix("0x")
    if len(digits) != 40 or set(digits) - set("0123456789abcdef"):
        raise ConfigError([f"--node {text}: no address: 0x and 40 hex digits"])
    return bytes.fromhex(digits)


def _broker(
    url: str, username: str | None, files: dict[str, Path | None], key: PrivateKey
) -> MqttConfig:
    from pydantic import ValidationError

    from vagus.compute.mqtt import MqttConfig
    from vagus.daemon.config_errors import ConfigError, fault_lines
    from vagus.protocol import address_of

    if username is None and files["password_file"] is not None:
        username = address_of(key).hex()
    try:
        return MqttConfig.model_validate({"url": url, "username": username, **files})
    except ValidationError as error:
        raise ConfigError(fault_lines(error, MqttConfig, "--broker: ")) from None
