"""kill -9 at every stage, on each chain: one delivery, one settlement, one question to the model."""

import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from web3 import Web3

from support.client import until
from support.node import Node
from support.node_devnet import Devnet
from support.node_model import StubModel
from support.stages import STAGES, STEPS
from support.worlds.client import Asked, Worlds
from support.worlds.solana import SolanaChain
from vagus.daemon.demo.consumers.solana import deploy
from vagus.daemon.failpoints import FAILPOINTS

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("worlds"),
]

EVM, SOLANA, COSMOS = "eip155", "solana", "cosmos"
# From where to where it is asked: around a broadcast, each chain is once the one that is sent to.
CASES = [
    ("observed", EVM, SOLANA),
    ("final", SOLANA, EVM),
    ("routed", COSMOS, SOLANA),
    ("executed", EVM, COSMOS),
    ("attested", SOLANA, SOLANA),
    ("deliver-built", SOLANA, EVM),
    ("deliver-built", COSMOS, SOLANA),
    ("deliver-built", EVM, COSMOS),
    ("deliver-broadcast", COSMOS, EVM),
    ("deliver-broadcast", EVM, SOLANA),
    ("deliver-broadcast", SOLANA, COSMOS),
    ("confirmed", COSMOS, COSMOS),
    ("settle-built", EVM, COSMOS),
    ("settle-built", SOLANA, EVM),
    ("settle-built", COSMOS, SOLANA),
    ("settle-broadcast", EVM, SOLANA),
    ("settle-broadcast", SOLANA, COSMOS),
    ("settle-broadcast", COSMOS, EVM),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def begun(
    devnet: Devnet, worlds: Worlds, stub: StubModel, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Node]:
    """One node with one journal, which goes through all crashes of this file."""
    config = devnet.variant("crash", backends=stub.backends)
    async with Node(config, tmp_path_factory.mktemp("crash") / "log") as found:
        # What other tests asked is behind it before the first failpoint is armed.
        await found.start()
        for asked in await worlds.ask_round("first"):
            await found.reaches(asked.hex, "settled")
        await found.kill()
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def node(begun: Node) -> AsyncIterator[Node]:
    """That node, which does not run; it is killed after each test."""
    yield begun
    if begun.returncode is None:
        await begun.kill()


def one_more(before: dict[str, int], *kinds: str) -> dict[str, int]:
    """The counts once each of these chains has one more."""
    return {kind: count + kinds.count(kind) for kind, count in before.items()}


async def test_there_is_a_test_for_each_failpoint() -> None:
    assert tuple(dict.fromkeys(failpoint for failpoint, *_ in CASES)) == FAILPOINTS


@pytest.mark.parametrize(("failpoint", "origin", "dest"), CASES)
async def test_a_node_killed_anywhere_delivers_and_settles_once(
    failpoint: str, origin: str, dest: str, node: Node, worlds: Worlds, stub: StubModel
) -> None:
    before = await worlds.sent()
    prompt = f"killed at {failpoint}, {origin} to {dest}"
    await node.start(failpoint)
    asked = await worlds.ask(prompt, origin, dest)
    assert await node.ended() == -signal.SIGKILL
    killed = time.time()

    ready = await node.start()
    print(f"{failpoint}, {origin} to {dest}: ready after {ready:.2f} s")
    shown = await node.reaches(asked.hex, "settled")

    history = [line["stage"] for line in shown["history"]]
    reached = [line["stage"] for line in shown["history"] if line["at"] < killed]
    assert reached[-1] == STAGES[failpoint]
    assert history == ["observed", *STEPS]
    delivered, _ = await worlds.once(asked, f"answer 1 to {prompt}")
    assert stub.asked[prompt] == 1
    assert "0x" + delivered.evidence_hash.hex() == shown["evidence_hash"]
    # One transaction on each chain: nothing was sent twice, and nothing failed.
    assert await worlds.sent() == one_more(before, origin, dest)


@pytest.mark.parametrize("failpoint", ["deliver-broadcast", "settle-built"])
async def test_several_intents_outlive_a_node_that_dies_again_and_again(
    failpoint: str, node: Node, worlds: Worlds
) -> None:
    before = await worlds.sent()
    several = []
    for at in range(2):
        several += await worlds.ask_round(f"{failpoint} of several, {at}")
    deaths = 0
    for _ in range(3):
        await node.launch(failpoint)
        await until(lambda: ended_or_settled(node, *several), bool)
        if node.returncode is None:
            break
        assert node.returncode == -signal.SIGKILL
        deaths += 1
    else:
        await node.launch()
    print(f"{failpoint}: died {deaths} times for {len(several)} intents")
    assert deaths >= 1
    await node.serving()
    for asked in several:
        shown = await node.reaches(asked.hex, "settled")
        await worlds.once(asked, shown["output"])
    # Two deliveries and two settlements on each chain.
    assert await worlds.sent() == {kind: count + 4 for kind, count in before.items()}


@pytest.mark.parametrize(
    ("failpoint", "origin", "dest"),
    [
        ("deliver-built", EVM, SOLANA),
        ("deliver-broadcast", SOLANA, COSMOS),
        ("settle-built", COSMOS, EVM),
        ("settle-broadcast", SOLANA, EVM),
    ],
)
async def test_a_node_that_is_away_for_longer_than_its_transaction_lives_sends_it_once(
    failpoint: str, origin: str, dest: str, node: Node, worlds: Worlds, stub: StubModel
) -> None:
    before = await worlds.sent()
    prompt = f"away since {failpoint}, {origin} to {dest}"
    await node.start(failpoint)
    asked = await worlds.ask(prompt, origin, dest)
    assert await node.ended() == -signal.SIGKILL
    sent_to = asked.dest if failpoint.startswith("deliver") else asked.origin
    await sent_to.outlive()
    await node.start()
    await node.reaches(asked.hex, "settled")

    await worlds.once(asked, f"answer 1 to {prompt}")
    assert stub.asked[prompt] == 1
    assert await worlds.sent() == one_more(before, origin, dest)


async def test_a_delivery_of_several_transactions_outlives_a_kill_behind_each_of_them(
    node: Node, worlds: Worlds, stub: StubModel
) -> None:
    prompt = "a long answer " * 200
    there = worlds.chains[SOLANA]
    assert isinstance(there, SolanaChain)
    before = await there.sent()
    asked = await worlds.ask(prompt, EVM, SOLANA)
    deaths = 0
    while True:
        await node.launch("deliver-broadcast")
        await until(lambda: ended_or_settled(node, asked), bool)
        if node.returncode is None:
            break
        assert node.returncode == -signal.SIGKILL
        deaths += 1
    await node.serving()
    await node.reaches(asked.hex, "settled")

    print(f"died {deaths} times for {await there.sent() - before} transactions")
    assert deaths >= 3
    await worlds.once(asked, f"answer 1 to {prompt}")
    assert stub.asked[prompt] == 1
    assert (await there.failed(), await there.staged()) == (0, 0)


async def ended_or_settled(node: Node, *several: Asked) -> bool:
    if node.returncode is not None:
        return True
    return all([await asked.origin.settlements(asked.id) for asked in several])


async def test_a_callback_on_solana_happens_once_though_the_node_dies_before_and_behind_it(
    node: Node, worlds: Worlds, stub: StubModel
) -> None:
    """There it is a transaction of its own, which the node sends once the delivery is final."""
    there, origin = worlds.chains[SOLANA], worlds.chains[COSMOS]
    assert isinstance(there, SolanaChain)
    consumer = await deploy(there, "chat@1")
    await consumer.allow([(bytes(Web3.keccak(text=origin.hub)), origin.requester)])
    before = await there.sent()
    asked = await worlds.ask("call me back", COSMOS, SOLANA, consumer.word)
    # The delivery, and the callback: each is built and sent in a life of its own.
    for failpoint in ("deliver-built", "deliver-broadcast", "deliver-built", "deliver-broadcast"):
        await node.launch(failpoint)
        assert await node.ended() == -signal.SIGKILL
    await node.start()
    await node.reaches(asked.hex, "settled")

    await worlds.once(asked, "answer 1 to call me back")
    assert await there.callbacks(asked.id) == [True]
    assert await consumer.answers([asked.id]) == {asked.id: b"answer 1 to call me back"}
    assert (await there.sent() - before, await there.failed()) == (2, 0)
