"""kill -9 at every stage: one delivery, one settlement, one question to the model, nothing lost."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio
from web3 import Web3

from support.client import SETTLED, Asked, Client, Question, until
from support.node import Node
from support.node_devnet import Devnet
from support.node_model import StubModel
from support.stages import STAGES, STEPS
from vagus.daemon.failpoints import FAILPOINTS

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_crash"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def node(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Node]:
    """One node with one journal, which goes through all crashes of this file."""
    config = devnet.variant("crash", backends=stub.backends)
    async with Node(config, tmp_path_factory.mktemp("crash") / "log") as found:
        # What other tests asked is behind it before the first failpoint is armed.
        await found.start()
        for asked in await client.ask_all([asking("first", 0), asking("first", 1)]):
            await found.reaches(asked.hex, "settled")
        await found.kill()
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def local(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    """The same, with the real model."""
    config = devnet.variant("crash-local")
    async with Node(config, tmp_path_factory.mktemp("crash-local") / "log") as found:
        yield found


async def sent(client: Client, devnet: Devnet) -> list[int]:
    return [await chain.sent(devnet.account) for chain in client.chains]


async def one_of_each(client: Client, asked: Asked) -> tuple[dict, dict]:
    """The one delivery and the one settlement of an intent, as the chains have them."""
    (delivered,) = await client.events("Delivered", asked)
    (settled,) = await client.events("Settled", asked)
    assert await client.state(asked) == SETTLED
    return delivered, settled


async def test_there_is_a_test_for_each_failpoint() -> None:
    assert tuple(STAGES) == FAILPOINTS


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_a_node_killed_anywhere_delivers_and_settles_once(
    failpoint: str, node: Node, client: Client, stub: StubModel, devnet: Devnet
) -> None:
    before = await sent(client, devnet)
    prompt = f"killed at {failpoint}"
    await node.start(failpoint)
    asked = await client.ask(prompt)
    assert await node.ended() == -signal.SIGKILL
    killed = time.time()

    ready = await node.start()
    print(f"{failpoint}: ready after {ready:.2f} s")
    shown = await node.reaches(asked.hex, "settled")

    reached = [line["stage"] for line in shown["history"] if line["at"] < killed]
    assert reached[-1] == STAGES[failpoint]
    assert [line["stage"] for line in shown["history"]] == ["observed", *STEPS]
    delivered, settled = await one_of_each(client, asked)
    assert delivered["output"] == f"answer 1 to {prompt}".encode()
    assert stub.asked[prompt] == 1
    assert "0x" + delivered["evidenceHash"].hex() == shown["evidence_hash"]
    assert (delivered["status"], settled["status"]) == (0, 0)
    # One transaction on each chain: nothing was sent twice, and nothing reverted.
    assert await sent(client, devnet) == [count + 1 for count in before]
    await node.kill()


@pytest.mark.parametrize("failpoint", ["executed", "deliver-broadcast"])
async def test_a_node_with_the_real_model_keeps_the_answer_it_had(
    failpoint: str, local: Node, client: Client
) -> None:
    await local.start(failpoint)
    asked = await client.ask("What is the capital of France?")
    assert await local.ended() == -signal.SIGKILL
    killed = time.time()

    await local.start()
    shown = await local.reaches(asked.hex, "settled")

    delivered, _ = await one_of_each(client, asked)
    assert delivered["output"].decode() == shown["output"] != ""
    status, document = await local.get("/v1/evidence/0x" + delivered["evidenceHash"].hex())
    assert status == 200
    assert Web3.keccak(document) == delivered["evidenceHash"]
    # It is the evidence of the run before the crash.
    assert orjson.loads(document)["times"]["finished"] < killed * 1000
    await local.kill()


async def test_one_intent_outlives_a_kill_at_every_point(
    node: Node, client: Client, stub: StubModel, devnet: Devnet
) -> None:
    before = await sent(client, devnet)
    asked = await client.ask("killed ten times")
    for failpoint in FAILPOINTS:
        await node.launch(failpoint)
        assert await node.ended() == -signal.SIGKILL
    await node.start()
    await node.reaches(asked.hex, "settled")

    delivered, _ = await one_of_each(client, asked)
    assert delivered["output"] == b"answer 1 to killed ten times"
    assert stub.asked["killed ten times"] == 1
    assert await sent(client, devnet) == [count + 1 for count in before]
    await node.kill()


async def test_a_node_killed_twice_at_the_same_point_goes_on(node: Node, client: Client) -> None:
    """This one lies before an effect, so that the same intent comes by again."""
    asked = await client.ask("killed twice")
    for _ in range(2):
        await node.launch("deliver-built")
        assert await node.ended() == -signal.SIGKILL
    await node.start()
    await node.reaches(asked.hex, "settled")

    delivered, _ = await one_of_each(client, asked)
    assert delivered["output"] == b"answer 1 to killed twice"
    await node.kill()


async def test_an_answer_that_was_sent_is_paid_though_its_agent_is_gone(
    node: Node, client: Client, devnet: Devnet
) -> None:
    await node.start("deliver-broadcast")
    asked = await client.ask("paid all the same")
    assert await node.ended() == -signal.SIGKILL
    config = node.config
    node.config = config.with_name("crash-without-agent.toml")
    text = config.read_text()
    assert text.count('[agents."chat@1"]\nmax_tokens = 64\n') == 1
    node.config.write_text(text.replace('[agents."chat@1"]\nmax_tokens = 64\n', ""))
    await node.start()
    await node.reaches(asked.hex, "settled")
    await node.kill()
    node.config = config

    _, settled = await one_of_each(client, asked)
    assert settled["status"] == 0
    assert settled["fee"] > 0
    assert sum(payout["amount"] for payout in settled["payouts"]) == settled["fee"]


async def test_a_node_killed_when_it_sees_an_intent_and_again_when_it_is_final_goes_on(
    node: Node, client: Client, stub: StubModel
) -> None:
    client.hurrying.clear()
    await node.start("observed")
    asked = await client.ask("seen twice")
    assert await node.ended() == -signal.SIGKILL
    client.hurrying.set()
    await node.launch("observed")
    assert await node.ended() == -signal.SIGKILL
    await node.start()
    shown = await node.reaches(asked.hex, "settled")

    assert [line["stage"] for line in shown["history"]] == ["observed", *STEPS]
    await one_of_each(client, asked)
    assert stub.asked["seen twice"] == 1
    await node.kill()


async def test_a_refusal_outlives_kills_too_and_is_settled_without_a_delivery(
    node: Node, client: Client, devnet: Devnet
) -> None:
    before = await sent(client, devnet)
    asked = await client.ask("a question to nobody", agent="oracle-of-delphi@9")
    for failpoint in ("routed", "executed", "confirmed", "settle-built", "settle-broadcast"):
        await node.launch(failpoint)
        assert await node.ended() == -signal.SIGKILL
    await node.start()
    shown = await node.reaches(asked.hex, "settled")

    (settled,) = await client.events("Settled", asked)
    assert (settled["status"], settled["fee"], settled["payouts"]) == (1, 0, [])
    assert await client.events("Delivered", asked) == []
    assert shown["status"] == "refused"
    assert await sent(client, devnet) == [before[0] + 1, before[1]]
    await node.kill()


@pytest.mark.parametrize("failpoint", ["deliver-broadcast", "settle-built"])
async def test_several_intents_outlive_a_node_that_dies_again_and_again(
    failpoint: str, node: Node, client: Client, stub: StubModel, devnet: Devnet
) -> None:
    before = await sent(client, devnet)
    prompts = [f"{failpoint} of several, {at}" for at in range(4)]
    several = await client.ask_all([asking(prompt, at % 2) for at, prompt in enumerate(prompts)])

    async def over() -> bool:
        states = [await client.state(asked) for asked in several]
        return node.returncode is not None or states == [SETTLED] * len(several)

    deaths = 0
    for _ in range(3):
        await node.launch(failpoint)
        await until(over, bool)
        if node.returncode is None:
            break
        assert node.returncode == -signal.SIGKILL
        deaths += 1
    else:
        await node.launch()
    print(f"{failpoint}: died {deaths} times for {len(several)} intents")
    assert deaths >= 1
    await node.serving()
    for prompt, asked in zip(prompts, several, strict=True):
        await node.reaches(asked.hex, "settled")
        await one_of_each(client, asked)
        assert stub.asked[prompt] >= 1
    # Two deliveries and two settlements on each chain.
    assert await sent(client, devnet) == [count + 4 for count in before]
    await node.kill()


async def test_a_kill_while_the_model_works_on_several_intents_loses_none(
    node: Node, client: Client, stub: StubModel
) -> None:
    prompts = [f"the model is at work, {at}" for at in range(4)]
    stub.open.clear()
    await node.start()
    several = await client.ask_all([asking(prompt, at % 2) for at, prompt in enumerate(prompts)])
    await until(lambda: asyncio.sleep(0, [stub.asked[each] for each in prompts]), all)
    await node.kill()
    stub.open.set()

    await node.start()
    for prompt, asked in zip(prompts, several, strict=True):
        await node.reaches(asked.hex, "settled")
        delivered, _ = await one_of_each(client, asked)
        assert delivered["output"] == f"answer 2 to {prompt}".encode()
    assert "Traceback" not in node.log
    await node.kill()


def asking(prompt: str, origin: int) -> Question:
    """From one chain to the other."""
    payload = orjson.dumps({"prompt": prompt})
    return Question(payload, origin=origin, dest=1 - origin)
