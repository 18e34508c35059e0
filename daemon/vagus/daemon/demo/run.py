"""The demo's course: chains, consumers, a node as a process of its own, intents, and the check.

What the report says of an end is read from the chains; the stages, their times and the
transactions' hashes are the node's word.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from vagus.adapters.scratch import scratch_folder
from vagus.daemon.client import ask, send
from vagus.daemon.config import load
from vagus.daemon.demo.bought import bought, note_sellers
from vagus.daemon.demo.cases import LIES, all_cases, cases_after
from vagus.daemon.demo.check import check
from vagus.daemon.demo.consumers import Consumer, deploy_consumer
from vagus.daemon.demo.nodes import DemoError, DemoNode, seen_by
from vagus.daemon.demo.rerouted import faults, still_asked
from vagus.daemon.demo.supply import Supply
from vagus.daemon.demo.tables import print_summary, progress_table
from vagus.daemon.devnet import devnet
from vagus.daemon.http_client import get
from vagus.daemon.journal.records import Stage
from vagus.daemon.models import list_models
from vagus.daemon.service.signals import until_stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vagus.adapters.base import ChainAdapter
    from vagus.daemon.demo.cases import Case
    from vagus.daemon.devnet import Devnet
    from vagus.daemon.worlds import World

__all__ = ["DemoError", "run_demo"]

INTENT_SECONDS = 300.0
_TICK = 0.25
# Seconds that the killed node is away, where not enough ends without it.
_AWAY = 10.0


class DemoStopped(DemoError):  # noqa: N818 - what happened is no error
    """A signal ended it."""

    exit_code = 130


async def run_demo(
    folder: Path | None,
    say: Callable[[str], None],
    kinds: Sequence[str],
    nodes: int,
    *,
    compute: bool,
    live: bool,
) -> dict[str, Any]:
    """Run it and return the report that `vagus demo --json` prints; `live` shows tables on stderr.

    Of several nodes the last is killed while intents are under way, and comes back. With `compute`
    they buy of sellers too, of which three go wrong.
    """
    report: dict[str, Any] | None = None
    with until_stopped():
        async with AsyncExitStack() as stack:
            if folder is None:
                folder = stack.enter_context(scratch_folder("vagus-demo-"))
            net = await stack.enter_async_context(devnet(folder, say, kinds, nodes))
            report = await _run(net, folder, say, compute=compute, live=live)
    if report is None:
        raise DemoStopped("stopped before its end; nothing is left behind")
    return report


async def _run(
    net: Devnet, folder: Path, say: Callable[[str], None], *, compute: bool, live: bool
) -> dict[str, Any]:
    settings = load(net.config)
    say("Reading the local model's digest")
    (model,) = await list_models(settings.backend_list())
    user = settings.paid_from(folder / "keys/user.json", folder / "keys/password")
    async with AsyncExitStack() as stack:
        adapters = [await stack.enter_async_context(each) for each in user.adapters()]
        say("Deploying the example consumers")
        consumers, rejecting = await _consumers(net, adapters)
        supply, configs = None, net.configs
        if compute:
            say("Starting four GPU networks' sandboxes and an edge worker")
            supply = await stack.enter_async_context(Supply(net, folder, model, say))
            configs = supply.configs
        say(
            f"Starting {len(net.configs)} nodes: vagus run"
            if net.configs[1:]
            else "Starting the node: vagus run"
        )
        nodes = [
            DemoNode(config, http, folder / f"node-{at}.log")
            for at, (config, http) in enumerate(zip(configs, net.https, strict=True), 1)
        ]
        for each in nodes:
            await stack.enter_async_context(each)
        for each in nodes:
            await each.answers()
        if supply is not None:
            say("Waiting until what they rent serves")
            await supply.serving()
        digest = bytes.fromhex(model["digest"].removeprefix("0x"))
        cases = all_cases(net.chains, consumers, rejecting, settings.committee, digest)
        say(f"Asking {len(cases)} intents")
        # Into a pipe there is no width to keep to, and names are worth more than alignment.
        console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
        view = Live(console=console, auto_refresh=False, transient=True) if live else None
        with view or contextlib.nullcontext():
            async with asyncio.TaskGroup() as group:
                for origin, adapter in enumerate(adapters):
                    mine = [case for case in cases if case.origin == origin]
                    group.create_task(_ask_all(adapter, mine), name=f"ask {adapter.chain}")
                victim = nodes[-1] if nodes[1:] else None
                await _follow(nodes, cases, view, say, supply, victim)
            if supply is not None:
                roster, swapped = settings.committee, supply.swapped
                after = cases_after(net.chains, consumers, roster, swapped=swapped)
                cases += await _ask_broken(adapters[0], nodes, after, model["model"], view, say)
        for case in cases:
            if case.expected == "refunded":
                say("Letting time pass until deadline and grace are over, and taking the refund")
                await _refund(net, adapters[case.origin], case)
        say("Checking every end on the chains")
        report = await check(adapters, settings.committee, cases)
        if compute:
            report["compute"] = await bought(nodes, model["model"])
            await note_sellers(nodes, cases, report["intents"])
            report["wrong"] += faults(report["compute"], cases, report["intents"])
            report["ok"] = not report["wrong"]
        if live:
            print_summary(console, report, cases, await _histories(net.http, cases))
        return report


async def _consumers(
    net: Devnet, adapters: Sequence[ChainAdapter]
) -> tuple[list[Consumer], tuple[int, Consumer]]:
    """Deploy a consumer on each chain that takes the answers of all, and one that takes none."""
    askers = [(adapter.hub_id, adapter.account) for adapter in adapters]

    async def one(world: World) -> Consumer:
        found = await deploy_consumer(world)
        await found.allow(askers)
        return found

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(world), name=f"on {world.caip2}") for world in net.chains]
    place = next((at for at, each in enumerate(net.chains) if each.label != "Solana"), 0)
    return [task.result() for task in tasks], (place, await deploy_consumer(net.chains[place]))


async def _histories(http: str, cases: Sequence[Case]) -> list[list[dict[str, Any]]]:
    paths = [f"/v1/intents/{case.seen['id']}" for case in cases if case.seen]
    return [(await get(http, path))["history"] for path in paths]


async def _ask_all(adapter: ChainAdapter, cases: Sequence[Case]) -> None:
    for case in cases:
        heads = await adapter.next_heads(None)
        case.asked = await ask(adapter, case.question(heads.latest.time))
        case.asked_at = time.monotonic()


async def _ask_broken(
    adapter: ChainAdapter,
    nodes: Sequence[DemoNode],
    cases: Sequence[Case],
    model: str,
    view: Live | None,
    say: Callable[[str], None],
) -> list[Case]:
    """Ask of the sellers that broke, and of the liar again until it is left; return what was asked."""
    asked = list(cases[: 1 + LIES])
    say(f"Asking {len(asked)} intents more, of those who broke or of the nodes' own model")
    await _ask_all(adapter, asked)
    await _follow(nodes, asked, view, say)
    for case in cases[len(asked) :]:
        if not still_asked("gpunet", await bought(nodes, model)):
            break
        say(f"Asking one more: {case.title}")
        asked.append(case)
        await _ask_all(adapter, [case])
        await _follow(nodes, asked, view, say)
    return asked


async def _follow(
    nodes: Sequence[DemoNode],
    cases: Sequence[Case],
    view: Live | None,
    say: Callable[[str], None],
    supply: Supply | None = None,
    victim: DemoNode | None = None,
) -> None:
    """Read the nodes' stages until every intent has ended there; meanwhile much goes wrong.

    Once a third is under way the victim is killed, and three of the sellers break.
    """
    deadline = time.monotonic() + INTENT_SECONDS
    back, killed_at = False, 0.0
    while not all(case.ended for case in cases):
        for node in nodes:
            node.check()
        if time.monotonic() > deadline:
            late = ", ".join(case.title for case in cases if not case.ended)
            raise DemoError(f"not ended within {INTENT_SECONDS:g} s: {late}")
        known = await seen_by([node for node in nodes if not node.killed])
        for case in cases:
            if case.asked is not None and not case.ended:
                case.seen = known.get("0x" + case.asked.intent.id.hex(), case.seen)
                case.seconds = time.monotonic() - case.asked_at
                case.ended = case.seen is not None and Stage[case.seen["stage"].upper()].ended
        if view is not None:
            view.update(progress_table(cases), refresh=True)
        under_way = sum(case.seen is not None for case in cases)
        if supply is not None and not supply.broken and under_way >= len(cases) // 3:
            await supply.break_three()
        if victim is not None and not back and under_way >= len(cases) // 3:
            if not victim.killed:
                say(f"Killing node {len(nodes)} while {under_way} intents are under way")
                await victim.kill()
                killed_at = time.monotonic()
            elif (
                sum(case.ended for case in cases) >= len(cases) // 3
                # The two that are left may disagree, with a liar among those that they buy of.
                or time.monotonic() > killed_at + _AWAY
            ):
                say(f"Starting node {len(nodes)} again")
                await victim.start()
                back = True
        await asyncio.sleep(_TICK)
    # The transactions of the last ones: of the members that sent them.
    known = await seen_by([node for node in nodes if not node.killed])
    for case in cases:
        if case.asked is not None:
            case.seen = known.get("0x" + case.asked.intent.id.hex(), case.seen)


async def _refund(net: Devnet, adapter: ChainAdapter, case: Case) -> None:
    """Take the escrow back once the hub allows it: after the deadline and the grace."""
    if case.asked is None:
        raise DemoError(f"{case.title}: was never asked")
    state = await adapter.hub_state()
    wait = case.asked.intent.deadline + state.grace + 1 - state.at.time
    await net.chains[case.origin].warp(max(wait, 0))
    await send(adapter, adapter.refund_call(case.asked.intent.id))
    case.seconds = time.monotonic() - case.asked_at
