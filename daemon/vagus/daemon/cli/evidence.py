"""`vagus evidence` and `vagus verify`: how a result came about, and whether it is right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, echo, emit, say

if TYPE_CHECKING:
    from vagus.daemon.verify.bundle import Bundle, Line

__all__ = ["add_to", "app"]

app = typer.Typer(help="How results came about.", no_args_is_help=True)

DEFAULT = Path("vagus.toml")
UrlOption = Annotated[
    str | None,
    typer.Option(help="Any node that has it, as http://127.0.0.1:8650; the config's, if absent."),
]
_MARKS = {True: "ok", False: "NO", None: "-"}


def add_to(root: typer.Typer) -> None:
    """Add `evidence` as a group and `verify` as a command of its own."""
    root.add_typer(app, name="evidence")
    root.command()(verify)


@app.command()
def show(
    digest: Annotated[str, typer.Argument(metavar="HASH", help="0x and 64 hex digits.")],
    config: ConfigOption = DEFAULT,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print an evidence document, and what each member of the committee found of its result.

    The document is held against its hash, so that any node may give it. Where none answers, it comes
    from this node's own journal. Whether the result is right, `vagus verify` says.
    """
    import msgspec
    import uvloop

    from vagus.daemon.verify.showing import document_of

    document, checks = uvloop.run(document_of(_digest(digest), config, url))
    if as_json:
        emit({"hash": digest, "document": msgspec.Raw(document), "checks": checks})
        return
    # Each line by itself: what else would begin one is a stranger's, and is shown as its escape.
    for line in msgspec.json.format(document, indent=2).decode(errors="replace").split("\n"):
        echo(line)
    for each in checks:
        found = each["document"] if isinstance(each["document"], dict) else {}
        right = "right" if found.get("right") is True else "wrong"
        say(f"{each['member']} found it {right}: {found.get('reason') or 'no reason given'}")


def verify(
    intent_id: Annotated[str, typer.Argument(metavar="INTENT", help="0x and 64 hex digits.")],
    config: ConfigOption = DEFAULT,
    url: UrlOption = None,
    tx: Annotated[
        str | None, typer.Option(help="The delivery's transaction; searched if absent.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write all that is needed into a new folder.")
    ] = None,
    offline: Annotated[
        Path | None, typer.Option(help="Verify from such a folder, and nothing else.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a delivered result: who signed it, and how they came to it.

    The delivery's own transaction and the hub's signer set are read from the chain, by the config's
    endpoints; the evidence comes from a node, and is held against its hash. Each line says what was
    checked and found: ok, NO, or - where it cannot be told. Exit code 0: verified.

    With --offline neither a chain nor a config is needed. The signer set is then the folder's: compare
    it with what the hub has, or has had (`vagus hub show`).
    """
    import uvloop

    from vagus.daemon.config import ConfigError, load
    from vagus.daemon.http_client import node_url
    from vagus.daemon.service.logs import set_up
    from vagus.daemon.verify import bundle as folders
    from vagus.daemon.verify.checks import verified
    from vagus.daemon.verify.checks import verify as check
    from vagus.daemon.verify.collecting import collect

    set_up("critical", "console")  # what an adapter would log, the error says
    if offline is not None and (save, url, tx) != (None, None, None):
        raise ConfigError(
            ["--offline reads a folder and nothing else: leave the other options out"]
        )
    wanted = _digest(intent_id)
    if offline is not None:
        found = folders.load(offline)
    else:
        settings = load(config)
        found = uvloop.run(collect(settings, url or node_url(settings), wanted, tx, say))
    lines = check(found, wanted)
    if save is not None:
        folders.save(found, save)
        say(f"written to {save}: vagus verify {intent_id} --offline {save}")
    emit(_shown(found, lines)) if as_json else _print(lines)
    raise typer.Exit(0 if verified(lines) else 1)


def _print(lines: list[Line]) -> None:
    from vagus.daemon.verify.checks import verified

    for each in lines:
        echo(f"{_MARKS[each.holds]:3} {each.what:14} {each.found}")
    if verified(lines):
        echo("verified")
    else:
        faults = [each.what for each in lines if each.holds is False]
        echo(f"NOT verified: {', '.join(faults) or 'what must be told cannot be'}")


def _shown(bundle: Bundle, lines: list[Line]) -> dict[str, Any]:
    from vagus.daemon.verify.checks import recovered, verified

    told = bundle.delivered
    return {
        "verified": verified(lines),
        "intent": f"0x{told.intent.id.hex()}",
        "hub": bundle.hub,
        "tx": told.tx_id,
        "status": told.attestation.status,
        "output": f"0x{told.output.hex()}",
        "epoch": told.attestation.epoch,
        "signers": [f"0x{each.hex()}" for each in recovered(bundle)],
        "evidence_hash": f"0x{told.attestation.evidence_hash.hex()}",
        "checks": [{"what": each.what, "holds": each.holds, "found": each.found} for each in lines],
    }


def _digest(text: str) -> bytes:
    from vagus.daemon.config import ConfigError

    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) != 32:
        raise ConfigError([f"{text!r} is no id and no hash: 0x and 64 hex digits"])
    return data
