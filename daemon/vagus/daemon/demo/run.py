"""The demo's course: chains, consumers, a node as a process of its own, intents, and the check.

What the report says of an end is read from the chains; the stages, their times and the
transactions' hashes are the node's word.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from vagus.adapters.evm.devnet import leashed
from vagus.daemon.client import ask, send
from vagus.daemon.config import load
from vagus.daemon.demo.cases import all_cases
from vagus.daemon.demo.check import check
from vagus.daemon.demo.consumers import deploy_consumers
from vagus.daemon.demo.tables import print_summary, progress_table
from vagus.daemon.devnet import devnet
from vagus.daemon.http_client import NodeError, get
from vagus.daemon.journal.records import Stage
from vagus.daemon.models import list_models
from vagus.daemon.service.signals import until_stopped
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from vagus.adapters.base import ChainAdapter
    from vagus.daemon.demo.cases import Case
    from vagus.daemon.devnet import Devnet

__all__ = ["DemoError", "run_demo"]

START_SECONDS = 60.0
INTENT_SECONDS = 120.0
STOP_SECONDS = 10.0
_TICK = 0.25


class DemoError(VagusError):
    """The demo did not come to its end."""


class DemoStopped(DemoError):  # noqa: N818 - what happened is no error
    """A signal ended it."""

    exit_code = 130


async def run_demo(
    folder: Path | None, say: Callable[[str], None], *, live: bool
) -> dict[str, Any]:
    """Run it and return the report that `vagus demo --json` prints; `live` shows tables on stderr."""
    report: dict[str, Any] | None = None
    with until_stopped():
        async with AsyncExitStack() as stack:
            if folder is None:
                scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="vagus-demo-"))
                folder = Path(scratch)
            net = await stack.enter_async_context(devnet(folder, say))
            report = await _run(net, folder, say, live=live)
    if report is None:
        raise DemoStopped("stopped before its end; nothing is left behind")
    return report


async def _run(
    net: Devnet, folder: Path, say: Callable[[str], None], *, live: bool
) -> dict[str, Any]:
    settings = load(net.config)
    say("Reading the local model's digest")
    (model,) = await list_models(settings.backend_list())
    user = settings.paid_from(folder / "keys/user.json", folder / "keys/password")
    async with AsyncExitStack() as stack:
        adapters = [await stack.enter_async_context(each) for each in user.adapters()]
        say("Deploying the example consumers")
        consumers = await deploy_consumers(net.chains, adapters)
        say("Starting the node: vagus run")
        node = await stack.enter_async_context(_node(net, folder / "node.log"))
        digest = bytes.fromhex(model["digest"].removeprefix("0x"))
        cases = all_cases((net.chains[0].hub, net.chains[1].hub), consumers, digest)
        say(f"Asking {len(cases)} intents")
        # Into a pipe there is no width to keep to, and names are worth more than alignment.
        console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
        view = Live(console=console, auto_refresh=False, transient=True) if live else None
        with view or contextlib.nullcontext():
            async with asyncio.TaskGroup() as group:
                for origin, adapter in enumerate(adapters):
                    mine = [case for case in cases if case.origin == origin]
                    group.create_task(_ask_all(adapter, mine), name=f"ask {adapter.chain}")
                await _follow(net.http, cases, node, view)
        say("Letting time pass until the deadline and the grace are over, and taking the refund")
        for case in cases:
            if case.expected == "refunded":
                await _refund(net, adapters[case.origin], case)
        say("Checking every end on the chains")
        report = await check(net, adapters, consumers, cases)
        if live:
            print_summary(console, report, cases, await _histories(net.http, cases))
        return report


async def _histories(http: str, cases: Sequence[Case]) -> list[list[dict[str, Any]]]:
    paths = [f"/v1/intents/{case.seen['id']}" for case in cases if case.seen]
    return [(await get(http, path))["history"] for path in paths]


async def _ask_all(adapter: ChainAdapter, cases: Sequence[Case]) -> None:
    for case in cases:
        heads = await adapter.next_heads(None)
        case.asked = await ask(adapter, case.question(heads.latest.time))
        case.asked_at = time.monotonic()


async def _follow(
    http: str, cases: Sequence[Case], node: asyncio.subprocess.Process, view: Live | None
) -> None:
    """Read the node's stages until every intent has ended there."""
    deadline = time.monotonic() + INTENT_SECONDS
    while not all(case.ended for case in cases):
        if node.returncode is not None:
            raise DemoError(f"the node ended by itself, with exit code {node.returncode}")
        if time.monotonic() > deadline:
            late = ", ".join(case.title for case in cases if not case.ended)
            raise DemoError(f"not ended within {INTENT_SECONDS:g} s: {late}")
        known = {each["id"]: each for each in (await get(http, "/v1/intents"))["intents"]}
        for case in cases:
            if case.asked is not None and not case.ended:
                case.seen = known.get("0x" + case.asked.intent.id.hex(), case.seen)
                case.seconds = time.monotonic() - case.asked_at
                case.ended = case.seen is not None and Stage[case.seen["stage"].upper()].ended
        if view is not None:
            view.update(progress_table(cases), refresh=True)
        await asyncio.sleep(_TICK)


async def _refund(net: Devnet, adapter: ChainAdapter, case: Case) -> None:
    """Take the escrow back once the hub allows it: after the deadline and the grace."""
    if case.asked is None:
        raise DemoError(f"{case.title}: was never asked")
    state = await adapter.hub_state()
    wait = case.asked.intent.deadline + state.grace + 1 - state.at.time
    await net.chains[case.origin].anvil.warp(max(wait, 0))
    await send(adapter, adapter.refund_call(case.asked.intent.id))
    case.seconds = time.monotonic() - case.asked_at


@contextlib.asynccontextmanager
async def _node(net: Devnet, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `vagus run` until the block ends; its log goes to a file."""
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *leashed(sys.executable, "-m", "vagus.daemon", "run", "--config", str(net.config)),
            stdout=file,
            stderr=file,
        )
    try:
        await _ready(net.http, process, log)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(http: str, process: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.returncode is not None:
            text = await asyncio.to_thread(log.read_text)
            last = text.strip().splitlines()[-1:] or ["it said nothing"]
            raise DemoError(f"the node did not start: {last[0]}")
        with contextlib.suppress(NodeError):
            await get(http, "/v1/intents")
            return
        await asyncio.sleep(_TICK)
    raise DemoError(f"the node does not answer after {START_SECONDS:g} s")
