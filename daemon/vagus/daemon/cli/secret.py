"""`vagus secret`: a requester's secrets, such as keys of APIs, that the committee's members alone can read."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, echo, emit, say

__all__ = ["app"]

app = typer.Typer(help="Secrets for APIs, sealed to the committee's members.", no_args_is_help=True)

DEFAULT = Path("vagus.toml")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_SECRET = re.compile(r"[!-~]+(?: [!-~]+)*")
_MOST = 1024


@app.command()
def seal(
    host: Annotated[str, typer.Option(help="The one HTTPS host that it is for, in lower case.")],
    requester: Annotated[
        str, typer.Option(help="Who will ask: a contract's or an account's address on --from.")
    ],
    config: ConfigOption = DEFAULT,
    agent: Annotated[str, typer.Option(help="The one agent that it is for.")] = "fetch@1",
    origin: Annotated[
        str | None, typer.Option("--from", help="CAIP-2 of the chain that is asked on.")
    ] = None,
    dest: Annotated[
        str | None, typer.Option("--to", help="CAIP-2 of the chain whose members sign.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Holds the secret; without it stdin does.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Encrypt a header's whole value, as "Bearer abc"; print it in base64 for a payload of fetch@1.

    The value comes from a file or from stdin, never from the command line, where others could read it.
    Nobody but the members can open it, and they use it for this requester, agent and host alone. Seal
    it again once the members change, or the key does; docs/sealed.md.
    """
    import base64

    import uvloop

    from vagus.daemon.config import ConfigError, load
    from vagus.daemon.requests import seal_secret
    from vagus.daemon.service.logs import set_up

    set_up("critical", "console")
    if not _HOST.fullmatch(host):
        raise ConfigError([f"--host {host!r}: a host is a lower-case name, without scheme or port"])
    secret, settings = _read(file), load(config)
    sealed = uvloop.run(
        seal_secret(
            settings,
            secret,
            agent=agent,
            host=host,
            requester=requester,
            origin=origin,
            dest=dest,
        )
    )
    text = base64.b64encode(sealed).decode()
    if agent not in settings.agents:
        say(
            f"{settings.file} serves {', '.join(settings.agents)}: who asks for {agent}, asks others"
        )
    if as_json:
        emit({"host": host, "agent": agent, "requester": requester, "sealed": text})
        return
    echo(text)
    say(f"for {agent} asked by {requester}, to https://{host} alone")


def _read(file: Path | None) -> bytes:
    """Return the secret, without the newline that ends it; no error quotes it."""
    from vagus.daemon.config import ConfigError

    text: str
    if file is None:
        if sys.stdin.isatty():
            text = typer.prompt("The header's value", hide_input=True, err=True)
        else:
            text = sys.stdin.read(_MOST + 2)
    else:
        try:
            text = file.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"--file {file} can't be read: {type(error).__name__}"]) from None
    text = text.rstrip("\r\n")
    if len(text) > _MOST or not _SECRET.fullmatch(text):
        raise ConfigError(
            [f"the secret must be visible ASCII, 1 to {_MOST} characters, in one line"]
        )
    return text.encode()
