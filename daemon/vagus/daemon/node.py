"""A node's life in one file: open, resume, watch, carry, drain."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from vagus.adapters.evm.keystore import load_keystore, read_password
from vagus.daemon.api import Api, serve
from vagus.daemon.carriers import Carriers
from vagus.daemon.committee import SoleSigner
from vagus.daemon.config import ConfigError
from vagus.daemon.execute import Executor
from vagus.daemon.lock import DataInUseError, data_folder
from vagus.daemon.metrics import Metrics
from vagus.daemon.network import Network
from vagus.daemon.pipeline import Pipeline
from vagus.daemon.sending import Sender
from vagus.daemon.signals import on_stop, until_stopped
from vagus.daemon.sqlite import SqliteJournal
from vagus.daemon.watch import watch
from vagus.protocol import Retry, VagusError

if TYPE_CHECKING:
    from vagus.daemon.config import Settings
    from vagus.daemon.journal import Journal

__all__ = ["StartError", "run"]

log = structlog.get_logger("vagus.node")


class StartError(VagusError):
    """The node cannot start, and starting it again would not help."""

    exit_code = 3


@dataclass(frozen=True)
class _Node:
    journal: Journal
    network: Network
    metrics: Metrics
    pipeline: Pipeline


async def run(settings: Settings) -> None:
    """Run a node until SIGTERM or SIGINT.

    Raises ConfigError; DataInUseError; StartError for what only a person can mend; Retry and
    OSError for what the next start may find mended.
    """
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        node = None
        with until_stopped():
            node = await _start(settings, stack)
        if node is not None:
            with on_stop(stopping.set):
                await _serve(node, stopping)
    log.info("stopped")


async def _start(settings: Settings, stack: AsyncExitStack) -> _Node:
    """Open everything a node needs, in the order in which it is closed last to first."""
    try:
        adapters, agents = settings.adapters(), settings.agent_registry()
        backends, roster = settings.backend_list(), settings.committee
        folder = stack.enter_context(data_folder(settings.data))
        password = read_password(settings.signer.password_file)
        committee = SoleSigner(load_keystore(settings.signer.keystore, password))
        journal = await stack.enter_async_context(SqliteJournal(folder / "journal.sqlite"))
        network = Network([await stack.enter_async_context(each) for each in adapters])
        metrics = Metrics()
        api = Api(journal, network, metrics)
        port = await stack.enter_async_context(serve(api, settings.http))
        signer = f"0x{committee.address.hex()}"
        log.info("serving", host=settings.http.host, port=port, signer=signer)
        for backend in backends:
            await stack.enter_async_context(backend)
        executor = Executor(agents, backends, settings.policy, roster, committee.address)
    except (Retry, ConfigError, DataInUseError):
        raise
    except VagusError as error:
        raise StartError(str(error)) from error
    pipeline = Pipeline(
        journal=journal,
        network=network,
        executor=executor,
        committee=committee,
        sender=Sender(journal),
        roster=roster,
    )
    return _Node(journal, network, metrics, pipeline)


async def _serve(node: _Node, stopping: asyncio.Event) -> None:
    """Resume what the journal has, watch every hub, and drain once `stopping` is set."""
    async with asyncio.TaskGroup() as group:
        carriers = Carriers(group, node.pipeline, node.metrics)
        for record in await node.journal.unfinished():
            await carriers.take(record)
        watchers = [
            group.create_task(
                watch(adapter, node.journal, node.network.faults, carriers.take),
                name=f"watch {adapter.hub}",
            )
            for adapter in node.network.adapters
        ]
        await stopping.wait()
        for task in watchers:
            task.cancel()
        await carriers.drain()
