"""A node's life in one file: open, resume, watch, carry, drain."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from vagus.daemon.api import Api, serve
from vagus.daemon.carriers import Carriers
from vagus.daemon.chains import serve_chain
from vagus.daemon.committee import SoleSigner
from vagus.daemon.config import ConfigError
from vagus.daemon.execute import Executor
from vagus.daemon.feed import Feed
from vagus.daemon.journal.lock import DataInUseError, data_folder
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.metrics.measured import Measured
from vagus.daemon.metrics.registry import Metrics
from vagus.daemon.network import Network
from vagus.daemon.pauses import Pauses
from vagus.daemon.pipeline import Pipeline
from vagus.daemon.profiles import Made, look, refusals
from vagus.daemon.sending import Sender
from vagus.daemon.service.health import Health
from vagus.daemon.service.sdnotify import Notifier
from vagus.daemon.service.signals import on_stop, until_stopped
from vagus.daemon.status import Status
from vagus.daemon.survey import Survey
from vagus.daemon.tokens import read_tokens
from vagus.protocol import Retry, VagusError, agent_id

if TYPE_CHECKING:
    from vagus.daemon.config import Settings
    from vagus.daemon.journal.base import Journal

__all__ = ["StartError", "run"]

log = structlog.get_logger("vagus.node")


class StartError(VagusError):
    """The node cannot start, and starting it again would not help."""

    exit_code = 3


@dataclass(frozen=True)
class _Node:
    settings: Settings
    journal: Journal
    network: Network
    metrics: Metrics
    pipeline: Pipeline
    health: Health
    survey: Survey


async def run(settings: Settings) -> None:
    """Run a node until SIGTERM or SIGINT.

    Raises ConfigError; DataInUseError; StartError for what only a person can mend; Retry and
    OSError for what the next start may find mended.
    """
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        notifier, node = stack.enter_context(Notifier()), None
        with until_stopped():
            node = await _start(settings, stack)
        if node is not None:
            notifier.ready()
            with on_stop(stopping.set):
                await _serve(node, stopping, notifier)
    log.info("stopped")


async def _start(settings: Settings, stack: AsyncExitStack) -> _Node:
    """Open everything a node needs, in the order in which it is closed last to first."""
    try:
        adapters, agents = settings.adapters(), settings.agent_registry()
        backends, roster = settings.backend_list(), settings.committee
        if settings.http.tokens_file is not None:
            read_tokens(settings.http.tokens_file)  # one that others can read is refused at once
        folder = stack.enter_context(data_folder(settings.data))
        committee = SoleSigner(settings.signer.open())
        if refused := refusals(Made(settings, adapters, committee.address)):
            where = f"{settings.file}: profile {settings.profile}"
            raise ConfigError([f"{where}: {words}" for _, words in refused])
        journal = await stack.enter_async_context(SqliteJournal(folder / "journal.sqlite"))
        network = Network(adapters, journal)
        await network.load()
        metrics, pauses, sender = Metrics(), Pauses(), Sender(journal, network)
        journal.on_commit(metrics.committed)
        measured = [Measured(each, metrics) for each in backends]
        survey = Survey(network, measured)
        names = {agent_id(name): name for name in settings.agents}
        status = Status(journal, network, survey, folder, costs=sender.costs, agents=names)
        feed = await stack.enter_async_context(Feed(journal))
        api = Api(status, metrics, feed, pauses, settings.http)
        port = await stack.enter_async_context(serve(api, settings.http))
        signer = f"0x{committee.address.hex()}"
        log.info("serving", host=settings.http.host, port=port, signer=signer)
        for backend in measured:
            await stack.enter_async_context(backend)
        executor = Executor(agents, measured, settings.policy, roster, committee.address)
    except (Retry, ConfigError, DataInUseError):
        raise
    except VagusError as error:
        raise StartError(str(error)) from error
    health = Health(journal, network.faults)
    pipeline = Pipeline(
        journal=journal,
        network=network,
        executor=executor,
        committee=committee,
        sender=sender,
        roster=roster,
        pauses=pauses,
        health=health,
    )
    return _Node(settings, journal, network, metrics, pipeline, health, survey)


async def _serve(node: _Node, stopping: asyncio.Event, notifier: Notifier) -> None:
    """Serve every chain, resume what the journal has, and drain once `stopping` is set."""
    async with asyncio.TaskGroup() as group:
        carriers = Carriers(group, node.pipeline, node.metrics)
        for adapter in node.network.adapters:
            node.network.hold(adapter.chain)
        chains = [
            group.create_task(
                serve_chain(
                    adapter,
                    partial(node.settings.adapter, adapter.chain),
                    partial(look, node.settings.profile),
                    node.network,
                    node.journal,
                    carriers,
                ),
                name=f"chain {adapter.chain}",
            )
            for adapter in node.network.adapters
        ]
        health = group.create_task(node.health.watch(notifier), name="health")
        looks = [
            group.create_task(node.survey.run(), name="survey"),
            group.create_task(node.metrics.watch_loop(), name="loop lag"),
        ]
        await stopping.wait()
        notifier.stopping()
        await carriers.drain()
        for task in (*chains, health, *looks):
            task.cancel()
