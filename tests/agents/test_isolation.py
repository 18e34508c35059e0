"""What an agent is given leads to no power, and what one intent did reaches no other."""

import asyncio
import contextlib
import gc
import types
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import structlog
from coincurve import PrivateKey
from eth_utils import keccak
from structlog.testing import capture_logs

from support.injection import AGENTS, HARMLESS, Attack, Hostile, attacks
from support.pipelines import Node, two_chains
from support.scripted import scripted
from support.signing import KeySigner
from vagus.adapters.evm.wallet import Wallet
from vagus.agents import AgentRegistry, Budget, Context, Route, execute
from vagus.compute import Model
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.daemon.committee import SoleSigner
from vagus.daemon.journal.base import Journal
from vagus.daemon.journal.records import Stage
from vagus.daemon.sending import Sender
from vagus.protocol import Intent, Refuse, agent_id

SIGNER = keccak(text="the signer of this test")


@pytest.mark.parametrize("agent", AGENTS)
async def test_an_attack_leaves_nothing_behind_for_the_next_intent(
    agent: str, tmp_path: Path
) -> None:
    """After each attack, the same intent leads to the same request, to the byte, and answer."""
    hostile = Hostile([])
    served_agent = AgentRegistry({agent: {}}).get(agent)
    async with scripted(hostile.answer) as served:
        config = OpenAIConfig(name="m", base_url=served.base_url, models=(ModelConfig(name="m"),))
        async with _entered(config) as route:

            async def ask(attack: Attack) -> bytes:
                return await execute(served_agent, _context(route, agent), attack.payload(agent))

            output = await ask(HARMLESS)
            request = hostile.raw[-1]
            before = repr(vars(served_agent))
            for attack in attacks():
                if attack.kind in {"memory", "tools", "delimiters", "json"}:
                    with contextlib.suppress(Refuse):
                        await ask(attack)
                    assert await ask(HARMLESS) == output
                    assert hostile.raw[-1] == request
            assert repr(vars(served_agent)) == before


@contextlib.asynccontextmanager
async def _entered(config: OpenAIConfig) -> AsyncIterator[Route]:
    async with OpenAIBackend(config) as backend:
        yield Route(backend, Model("m"))


def _context(route: Route, agent: str) -> Context:
    return Context(
        intent_id=bytes(range(32)),
        agent_id=agent,
        route=route,
        deadline=asyncio.get_running_loop().time() + 60,
        budget=Budget(),
    )


# Reach


def _reach(*roots: object) -> Iterator[object]:
    """All objects that lead from these by attributes, items, closures and bound methods.

    Not through types, modules and a function's globals, which every Python object leads to, and
    not through the event loop: an agent is the operator's code, and may do what code can.
    """
    ends = (type, types.ModuleType, types.CodeType, types.FrameType, types.CoroutineType)
    seen: dict[int, object] = {}
    left = list(roots)
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, (*ends, asyncio.AbstractEventLoop, asyncio.Future)):
            continue
        seen[id(each)] = each
        yield each
        if isinstance(each, types.FunctionType):
            left += [each.__closure__, each.__defaults__, each.__kwdefaults__, each.__dict__]
        else:
            left += gc.get_referents(each)


def _is_power(thing: object) -> bool:
    """Whether something signs, pays, remembers or opens."""
    powers = (PrivateKey, SoleSigner, Wallet, Journal, Sender, Intent)
    return isinstance(thing, powers) or (isinstance(thing, bytes) and thing == SIGNER)


async def test_nothing_that_signs_pays_or_remembers_leads_from_what_an_agent_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at from within a run of the real pipeline, beside a node that has all of it."""
    found: list[object] = []
    given: list[object] = []

    async def look(agent: object, ctx: Context, payload: bytes, value: object) -> bytes:
        given.append(ctx)
        found.extend(each for each in _reach(ctx, agent, payload, value) if _is_power(each))
        return await execute(agent, ctx, payload, value)  # type: ignore[arg-type]

    monkeypatch.setattr("vagus.daemon.execute.execute", look)
    key, hostile = PrivateKey(SIGNER), Hostile([])
    async with scripted(hostile.answer) as served, two_chains(key) as (a, b):
        node = Node(*(tmp_path, served.base_url, key, a, b), agents={agent: {} for agent in AGENTS})
        async with node.start():
            for agent in AGENTS:
                record = await node.ask(HARMLESS.payload(agent), agent_id=agent_id(agent))
                with capture_logs():
                    await node.carry_to(record, Stage.EXECUTED)
            assert len(given) == len(AGENTS)
            assert [type(each) for each in found] == []
            # The look itself is not blind: from the node all of it is in reach.
            assert {PrivateKey, SoleSigner, Wallet} <= {
                type(each) for each in _reach(node) if _is_power(each)
            }


@pytest.mark.parametrize("hide", ["attribute", "closure", "bound method", "log"])
async def test_the_look_finds_a_signer_wherever_it_hides(hide: str) -> None:
    signer = SoleSigner(KeySigner(PrivateKey(SIGNER)))
    hidden: dict[str, Callable[[], object]] = {
        "attribute": lambda: types.SimpleNamespace(a=[{"b": signer}]),
        "closure": lambda: lambda: signer,
        "bound method": lambda: signer.sign,
        "log": lambda: structlog.get_logger().bind(x=signer),
    }
    assert any(_is_power(each) for each in _reach(hidden[hide]()))
