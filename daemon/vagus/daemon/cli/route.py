"""`vagus route`: where models' calls go, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, echo, emit, say

__all__ = ["app"]

app = typer.Typer(help="See where calls of models go, and why.", no_args_is_help=True)

DEFAULT = Path("vagus.toml")


@app.command()
def explain(
    model: Annotated[
        str | None, typer.Option(help="A model's name, or its digest; see `vagus models`.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="As terms would ask for it.")] = None,
    network: Annotated[str | None, typer.Option(help="As terms would ask for it.")] = None,
    agent: Annotated[str | None, typer.Option(help="name@major: its models and engines.")] = None,
    config: ConfigOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Print the candidates with their scores, the best first, and why others fell out.

    Asks the running node. Where none runs, the config's backends are asked what they serve: then
    nothing has been measured, and price alone decides.
    """
    import uvloop

    from vagus.daemon.config import ConfigError, load
    from vagus.daemon.explain import read_question
    from vagus.protocol import Refuse

    given = {"model": model, "region": region, "network": network, "agent": agent}
    query = {name: value for name, value in given.items() if value is not None}
    settings = load(config)
    try:
        question = read_question(query)
    except Refuse as error:
        raise ConfigError([f"--{error.reason}"]) from None  # its reason begins with what it is of
    found = uvloop.run(_explain(settings, query, question))
    if as_json:
        emit(found)
        return
    if not found["running"]:
        say("no node runs with this config: its backends were asked, and nothing was measured")
    for each in found["models"]:
        _show(each)
    for each in found["out"]:
        echo(f"{each['backend']:20} {each['model']:32} out: not within {each['rule']}")
    if not found["models"] and not found["out"]:
        say("no backend serves a model")


@app.command()
def release(
    backend: Annotated[str, typer.Argument(help="The backend's name in the config.")],
    config: ConfigOption = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """End the quarantine of a backend, once it is known to serve what it should.

    The config must name http.tokens_file: a token for this one call is made there, and revoked.
    """
    import uvloop

    from vagus.daemon.config import load
    from vagus.daemon.http_client import release as release_backend

    found = uvloop.run(release_backend(load(config), backend))
    if as_json:
        emit(found)
    else:
        say(f"{backend} is asked again for {len(found['released'])} model(s)")


async def _explain(settings: Any, query: dict[str, str], question: Any) -> dict[str, Any]:
    from urllib.parse import urlencode

    from vagus.daemon.explain import explain_config
    from vagus.daemon.http_client import NoNodeError, get, node_url

    try:
        found = await get(node_url(settings), f"/v1/route?{urlencode(query)}")
    except NoNodeError:
        return {"running": False, **await explain_config(settings, question)}
    return {"running": True, **found}


def _show(model: dict[str, Any]) -> None:
    from rich.console import Console

    from vagus.daemon.tables import route_table

    echo(f"{model['model']}  {model['digest']}")
    Console().print(route_table(model["candidates"]))
    for each in model["candidates"]:
        if each["why"] or each["state"] != "closed":
            words = ": ".join(word for word in (each["state"], each["why"]) if word)
            echo(f"{each['backend']}: {words}")
    echo()
