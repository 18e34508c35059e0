"""`vagus intent`: ask a hub, and see where intents stand."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path
from typing import Annotated, Any

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, echo, emit, say
from vagus.daemon.printable import printable

__all__ = ["app"]

app = typer.Typer(help="Ask a question on chain, and follow it.", no_args_is_help=True)

DEFAULT = Path("vagus.toml")
IdArgument = Annotated[str, typer.Argument(help="The intent's id, 0x and 64 hex digits.")]
AgentOption = Annotated[str, typer.Option(help="name@major of the agent.")]
FromOption = Annotated[str | None, typer.Option("--from", help="CAIP-2 of the chain to ask on.")]
ToOption = Annotated[
    str | None, typer.Option("--to", help="CAIP-2 or hub (CAIP-10) where the answer goes.")
]


@app.command()
def quote(
    config: ConfigOption = DEFAULT,
    agent: AgentOption = "chat@1",
    origin: FromOption = None,
    dest: ToOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the smallest maxFee that the hub and this config's node accept.

    It covers the formula's base and the delivery's gas. Tokens at a backend that charges for them
    come on top, which `vagus intent send` adds where it is given no --fee; what is not used goes back
    to the requester.
    """
    import uvloop

    from vagus.daemon.config import load
    from vagus.daemon.requests import quote_fee
    from vagus.daemon.service.logs import set_up

    set_up("critical", "console")  # what an adapter would log, the error says
    fee = uvloop.run(quote_fee(load(config), agent, origin, dest))
    emit({"max_fee": str(fee)}) if as_json else echo(fee)


@app.command()
def send(
    config: ConfigOption = DEFAULT,
    prompt: Annotated[str | None, typer.Option(help="For chat agents: the question.")] = None,
    payload: Annotated[str | None, typer.Option(help="The payload as it is, instead.")] = None,
    agent: AgentOption = "chat@1",
    origin: FromOption = None,
    dest: ToOption = None,
    fee: Annotated[
        int | None,
        typer.Option(
            help="maxFee in the coin's smallest unit, as wei; if absent as quoted, and what the tokens "
            "of an answer cost at most at the node's cheapest backend for it."
        ),
    ] = None,
    ttl: Annotated[int, typer.Option(help="Seconds until the deadline.")] = 600,
    model: Annotated[str | None, typer.Option(help="Digest of the only model allowed.")] = None,
    callback: Annotated[str | None, typer.Option(help="Contract to call with the answer.")] = None,
    callback_gas: Annotated[
        int | None,
        typer.Option(help="Gas for that call, in the destination's units; 300000 if absent."),
    ] = None,
    keystore: Annotated[
        Path | None, typer.Option(help="The requester's key; keys/user.json beside the config.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="Its password; keys/password beside the config.")
    ] = None,
    seal: Annotated[
        bool, typer.Option("--seal", help="Let the committee's members alone read the payload.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Follow it at the node, and print the answer.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Escrow a fee and ask; prints the intent's id, then its answer.

    A payload that its agent cannot read is refused before it costs anything, where the agent is
    installed here.

    The requester's key must not be the node's own account: two who send from one account take each
    other's nonces.
    """
    import msgspec
    import uvloop

    from vagus.daemon.config import ConfigError, load
    from vagus.daemon.http_client import node_url, wait_for
    from vagus.daemon.request_checks import check_payload
    from vagus.daemon.requests import Request, send_request
    from vagus.daemon.service.logs import set_up

    set_up("critical", "console")  # what an adapter would log, the error says
    if (prompt is None) == (payload is None):
        raise ConfigError(["give --prompt or --payload"])
    text = msgspec.json.encode({"prompt": prompt}) if payload is None else payload.encode()
    settings = load(config)
    if (unread := check_payload(settings, agent, text)) is not None:
        say(f"the payload cannot be checked here: {unread}")
    keys = config.resolve().parent / "keys"
    request = Request(
        agent=agent,
        payload=text,
        origin=origin,
        dest=dest,
        fee=fee,
        ttl=ttl,
        model=model,
        callback=callback,
        callback_gas=callback_gas,
        seal=seal,
        keystore=keystore or keys / "user.json",
        password_file=password_file or keys / "password",
    )
    asked = uvloop.run(send_request(settings, request, say))
    intent_id = "0x" + asked.intent.id.hex()
    if not wait:
        shown = {"id": intent_id, "tx": asked.tx_id}
        emit(shown) if as_json else echo(intent_id)
        return
    say(f"asked as {intent_id}; waiting for the node (Ctrl-C leaves it to itself)")
    ended = uvloop.run(wait_for(node_url(settings), intent_id, say))
    if as_json:
        emit(ended)
    else:
        fulfilled = ended["status"] == "fulfilled"
        typer.echo(readable(ended["output_bytes"])) if fulfilled else echo(ended["reason"])
    raise typer.Exit(0 if ended["status"] == "fulfilled" else 1)


@app.command()
def show(
    intent_id: Annotated[
        str,
        typer.Argument(
            help="The intent's id, 0x and 64 hex digits, or a transaction that asked, delivers or settles it."
        ),
    ],
    config: ConfigOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Print where an intent stands, and its history, as the node has it."""
    import uvloop

    from vagus.daemon.config import load
    from vagus.daemon.http_client import get_intent, node_url

    found = uvloop.run(get_intent(node_url(load(config)), intent_id))
    if as_json:
        emit(found)
        return
    found["output"] = readable(found["output_bytes"])
    for key, value in found.items():
        if key not in {"history", "committee"}:
            echo(f"{key:16} {'' if value is None else value}")
        if key == "stage" and (waits := _waits(found)):
            echo(f"{'waits':16} {waits}")
    for line in _committee_lines(found["committee"]):
        echo(line)
    began = found["history"][0]["at"]
    for line in found["history"]:
        echo(f"{line['at'] - began:8.2f} s  {line['stage']:10} {line['note']}")


@app.command("list")
def list_(
    config: ConfigOption = DEFAULT,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.")] = 20,
    stage: Annotated[str | None, typer.Option(help="Only those at this stage.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the newest intents that the node has seen."""
    from rich.console import Console

    from vagus.daemon.tables import intents_table

    only = f"&stage={stage}" if stage else ""
    found = _get(config, f"/v1/intents?limit={limit}{only}")
    if as_json:
        emit(found)
    else:
        Console().print(intents_table(found["intents"]))


@app.command()
def watch(config: ConfigOption = DEFAULT) -> None:
    """Show the newest intents, and keep showing them until Ctrl-C."""
    import time

    from rich.live import Live

    from vagus.daemon.tables import intents_table

    path = "/v1/intents?limit=20"
    with Live(intents_table(_get(config, path)["intents"]), refresh_per_second=4) as live:
        while True:
            time.sleep(0.5)
            live.update(intents_table(_get(config, path)["intents"]))


@app.command()
def poke(
    intent_id: IdArgument, config: ConfigOption = DEFAULT, as_json: JsonOption = False
) -> None:
    """Have the running node try again now what it would try again later.

    For when the cause is mended: an endpoint is back, an account has coins. Nothing is done twice.
    The config must name http.tokens_file: a token for this one call is made there, and revoked.
    """
    import uvloop

    from vagus.daemon.config import load
    from vagus.daemon.http_client import poke as poke_node

    found = uvloop.run(poke_node(load(config), intent_id))
    if as_json:
        emit(found)
    elif found["woken"]:
        say(f"it waited at {found['stage']}, and is tried again now")
    else:
        say(f"nothing was changed: at {found['stage']} it waits for no other try, but for the work")
        say("of a model or the next block of a chain")
    if not as_json:
        say(f"follow it: vagus intent show {intent_id} --config {config}")


def readable(output: str) -> str:
    """Return an output, given in hex, as text if it is some, else as that hex.

    Control characters make it none: a stranger's bytes must not steer a terminal. What hides in a
    text, or turns the order of what is beside it, is escaped: a joiner of emoji too.
    """
    try:
        text = bytes.fromhex(output.removeprefix("0x")).decode()
    except UnicodeDecodeError:
        return output
    controls = [each for each in text if unicodedata.category(each) == "Cc" and each not in "\n\t"]
    if controls:
        return output
    return "".join(each if each in "\n\t" or _is_space(each) else printable(each) for each in text)


_FOR = {
    "observed": "its block to become final",
    "final": "an agent and a model to be chosen",
    "executed": "the signature of its outcome",
    "attested": "its delivery to be sent",
    "submitted": "its delivery to become final",
    "confirmed": "its settlement to be sent",
    "settling": "its settlement to become final",
}
_WHEN = "%Y-%m-%d %H:%M:%S UTC"


def _waits(found: dict[str, Any]) -> str:
    """Say what an intent waits for, since when, and until when; nothing once it has ended."""
    what = _FOR.get(found["stage"], "")
    if found["stage"] == "routed":
        # What is refused has no backend: its outcome is the next thing there is.
        what = f"the answer of {found['backend']}" if found["backend"] else "its refusal"
    if not what:
        return ""
    since = time.strftime(_WHEN, time.gmtime(found["updated_at"]))
    until = time.strftime(_WHEN, time.gmtime(found["deadline"]))
    return f"for {what}, since {since}; its deadline is {until}"


def _committee_lines(standing: dict[str, Any] | None) -> list[str]:
    """Say who of the committee has said what of an intent, and what is next."""
    if standing is None:
        return []
    lines = [f"{'committee':16} {standing['phase']}, {standing['votes_needed']} are needed"]
    lines += [f"  {each['signer']}  {each['state']}" for each in standing["members"]]
    return [*lines, f"{'next':16} {standing['next']}"]


def _is_space(character: str) -> bool:
    """Whether it is one of the spaces that a text has between its words, as U+00A0 is."""
    return unicodedata.category(character) == "Zs"


def _get(config: Path, path: str) -> dict[str, Any]:
    import uvloop

    from vagus.daemon.config import load
    from vagus.daemon.http_client import get, node_url

    found: dict[str, Any] = uvloop.run(get(node_url(load(config)), path))
    return found
