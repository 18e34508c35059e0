"""A node's life in one file: open, resume, watch, carry, drain."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from vagus.adapters.signers import Guarded, SignedTable
from vagus.agents.modes import mode_of
from vagus.compute.leases.upkeep import unattended
from vagus.compute.rates import Rates
from vagus.compute.routing.canary import Canaries
from vagus.compute.routing.capacity import tell
from vagus.daemon.api import Api, serve
from vagus.daemon.carriers import Carriers
from vagus.daemon.chains import serve_chain
from vagus.daemon.committee.heartbeat import Beat
from vagus.daemon.committee.opening import open_committee
from vagus.daemon.committee.rosters import open_rosters
from vagus.daemon.config import ConfigError
from vagus.daemon.execute import Executor
from vagus.daemon.feed import Feed
from vagus.daemon.fetch import embedder_path
from vagus.daemon.journal.lock import DataInUseError, data_folder
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.metrics.measured import Measured
from vagus.daemon.metrics.registry import Metrics
from vagus.daemon.network import Network
from vagus.daemon.pauses import Pauses
from vagus.daemon.pipeline import Pipeline
from vagus.daemon.profiles import Made, look, refusals
from vagus.daemon.sealed import Opener
from vagus.daemon.sending import Sender
from vagus.daemon.service.health import Health
from vagus.daemon.service.memory import give_back
from vagus.daemon.service.sdnotify import Notifier
from vagus.daemon.service.signals import on_stop, until_stopped
from vagus.daemon.status import Status
from vagus.daemon.survey import Survey
from vagus.daemon.tokens import read_tokens
from vagus.protocol import Refuse, Retry, VagusError, agent_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.adapters.base import ChainAdapter
    from vagus.agents import AgentRegistry
    from vagus.compute import Backend
    from vagus.compute.routing import Router
    from vagus.daemon.committee import Committee
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
    committee: Committee
    health: Health
    survey: Survey
    canaries: Canaries | None


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
        adapters = await asyncio.to_thread(settings.adapters)
        agents = settings.agent_registry()
        backends, roster = settings.backend_list(), settings.committee
        if settings.http.tokens_file is not None:
            read_tokens(settings.http.tokens_file)  # one that others can read is refused at once
        folder = stack.enter_context(data_folder(settings.data))
        # A token or a key service may be slow to answer.
        key = await asyncio.to_thread(settings.signer.open_signer)
        transport_key = settings.member_key(key.address)
        if refused := refusals(Made(settings, adapters, key.address)):
            where = f"{settings.file}: profile {settings.profile}"
            raise ConfigError([f"{where}: {words}" for _, words in refused])
        journal = await stack.enter_async_context(SqliteJournal(folder / "journal.sqlite"))
        network = Network(adapters, journal)
        await network.load()
        table = await stack.enter_async_context(SignedTable(folder / "signed.sqlite"))
        signing = Guarded(key, table, {each.hub_id for each in adapters})
        rosters = await open_rosters(roster, journal, network)
        metrics, pauses, sender = Metrics(), Pauses(), Sender(journal, network)
        journal.on_commit(metrics.committed)
        measured = [Measured(each, metrics) for each in backends]
        survey = Survey(network, measured)
        beat = Beat(network, survey, sender.costs)
        committee = await open_committee(
            settings, rosters, signing, transport_key, journal, beat, stack
        )
        names = {agent_id(name): name for name in settings.agents}
        status = Status(
            journal, network, survey, folder, costs=sender.costs, agents=names, committee=committee
        )
        feed = await stack.enter_async_context(Feed(journal))
        api = Api(status, metrics, feed, pauses, roster, settings.http)
        port = await stack.enter_async_context(serve(api, settings.http))
        signer = f"0x{committee.address.hex()}"
        log.info("serving", host=settings.http.host, port=port, signer=signer)
        rates = await stack.enter_async_context(Rates(settings.money))
        for backend in measured:
            backend.price_by(rates.money)
            backend.keep_in(folder)
            await stack.enter_async_context(backend)
        for lease in await unattended(folder, {backend.name for backend in measured}):
            log.error("rented, and no backend for it is in the config", lease=lease.label)
        await asyncio.to_thread(_require_modes, agents, measured, alone=committee.alone)
        opener = Opener(transport_key)
        executor = Executor(
            agents,
            measured,
            settings.policy,
            roster,
            committee.address,
            opener=opener,
            journal=journal,
        )
        status.executor = executor
        canaries = _observe(settings, executor.router, measured)
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
        rosters=rosters,
        pauses=pauses,
        health=health,
    )
    return _Node(settings, journal, network, metrics, pipeline, committee, health, survey, canaries)


async def _serve(node: _Node, stopping: asyncio.Event, notifier: Notifier) -> None:
    """Serve every chain, resume what the journal has, and drain once `stopping` is set."""
    async with asyncio.TaskGroup() as group:
        carriers = Carriers(group, node.pipeline, node.metrics)
        for adapter in node.network.adapters:
            node.network.hold(adapter.chain)
        chains = [
            group.create_task(_serve_chain(node, adapter, carriers), name=f"chain {adapter.chain}")
            for adapter in node.network.adapters
        ]
        committee = group.create_task(node.committee.run(), name="committee")
        health = group.create_task(node.health.watch(notifier), name="health")
        looks = [
            group.create_task(node.survey.run(), name="survey"),
            group.create_task(node.metrics.watch_loop(), name="loop lag"),
            group.create_task(give_back(), name="memory"),
        ]
        if node.canaries is not None:
            looks.append(group.create_task(node.canaries.run(), name="canaries"))
        await stopping.wait()
        notifier.stopping()
        await carriers.drain()
        for task in (*chains, committee, health, *looks):
            task.cancel()


async def _serve_chain(node: _Node, adapter: ChainAdapter, carriers: Carriers) -> None:
    # What others have heard of this member may leave intents to their refund that are carried now.
    await node.committee.joined()
    await serve_chain(
        adapter,
        partial(node.settings.adapter, adapter.chain),
        partial(look, node.settings.profile),
        node.network,
        node.journal,
        carriers,
    )


def _observe(settings: Settings, router: Router, backends: Sequence[Backend]) -> Canaries | None:
    """Have the router's calls seen by what follows from them; return the canaries, where any are asked."""
    if renting := [each for each in backends if each.rents]:
        router.observers.append(tell(renting))
    if settings.canaries is None:
        return None
    canaries = Canaries(settings.canaries, router, backends)
    router.observers.append(canaries.saw)
    return canaries


def _require_modes(agents: AgentRegistry, backends: Sequence[Backend], *, alone: bool) -> None:
    """Refuse to start where this node can't check an agent's answers as its mode says, or prove its own."""
    for name in agents.enabled:
        try:
            agent = agents.get(name)
        except Refuse:
            continue  # broken: logged before, and its intents are refused
        verifier = mode_of(agent.manifest)
        if alone and verifier.prover is None:
            continue  # nobody's answers are checked
        if verifier.embeds:
            embedder_path()
        verifier.require(backends)
