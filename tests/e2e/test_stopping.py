"""How a node ends: by signals, in time, with nothing lost; and that only one has its data."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.client import Client, Question, hurried_client_of, until
from support.node import Node, children, vagus
from support.node_devnet import Devnet, alive, running_devnet
from support.node_model import StubModel, stub_model

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_stopping"),
]

IN_FLIGHT = 64
BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def devnet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Devnet]:
    """One of its own: what other tests left on theirs would be in flight too."""
    async with running_devnet(tmp_path_factory.mktemp("stopping") / "net") as net:
        yield net


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(devnet: Devnet) -> AsyncIterator[Client]:
    async with hurried_client_of(devnet.chains) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stub() -> AsyncIterator[StubModel]:
    """One of its own too: a test that fails may leave it closed."""
    async with stub_model() as model:
        yield model


async def test_a_node_with_64_in_flight_drains_and_resumes_them(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("drain", backends=stub.backends)
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        stub.open.clear()
        prompts = [f"in flight when the node stops, {at}" for at in range(IN_FLIGHT)]
        asked = await client.ask_all([chat(prompt) for prompt in prompts])
        # The model has all of them, and answers none: so many are under way, neither more nor fewer.
        await until(lambda: asyncio.sleep(0, [stub.asked[each] for each in prompts]), all)
        began = time.monotonic()
        node.send(signal.SIGTERM)
        # The aim is ten seconds; a machine with ten times as much to do as it bears takes longer.
        assert await node.ended() == 0
        print(f"drained in {time.monotonic() - began:.1f} s")
        cut = [line["intent"] for line in node.lines() if line["event"] == "cut off"]
        # This node may have found questions of earlier ones on the chains: those are cut off too.
        assert [cut.count(each.hex) for each in asked] == [1] * len(prompts)
        assert node.lines()[-1]["event"] == "stopped"

        stub.open.set()
        await node.start()
        for each in asked:
            await node.reaches(each.hex, "settled")
            assert len(await client.events("Delivered", each)) == 1
        assert "Traceback" not in node.log


@BOTH
async def test_an_answer_that_comes_while_a_node_drains_is_kept(
    number: signal.Signals, devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant(f"kept-{number}", backends=stub.backends)
    prompt = f"answered while it drains, {number}"
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        stub.open.clear()
        asked = await client.ask(prompt)
        await until(lambda: asyncio.sleep(0, stub.asked[prompt]), bool)
        node.send(number)
        stub.open.set()
        assert await node.ended() == 0
        assert node.lines()[-1]["event"] == "stopped"

        await node.start()
        await node.reaches(asked.hex, "settled")
        assert stub.asked[prompt] == 1


@BOTH
async def test_a_node_that_is_stopped_while_it_starts_ends_at_once_and_leaves_no_process(
    number: signal.Signals, devnet: Devnet, tmp_path: Path
) -> None:
    """It answers over HTTP before its model is loaded: that is when the signal comes."""
    async with Node(devnet.variant(f"starting-{number}"), tmp_path / "log") as node:
        await node.launch()
        await node.serving()
        started = await until(lambda: asyncio.sleep(0, children(node.pid)), bool, every=0.01)
        node.send(number)
        assert await node.ended() == 0
        assert "local model ready" not in node.log
        assert "Traceback" not in node.log
        await until(
            lambda: asyncio.sleep(0, [alive(pid) for pid in started]), lambda up: not any(up)
        )


async def test_a_second_node_on_the_same_data_refuses_with_exit_code_4(
    devnet: Devnet, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("second", backends=stub.backends)
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        code, out, err = await vagus("run", "--config", config)
        assert (code, out) == (4, "")
        data = devnet.folder / "second"
        assert err.startswith(f"vagus: {data} is in use by process {node.pid}")
        assert err.count("\n") == 1
        assert (await node.get("/readyz"))[0] == 200
        await node.kill()
        # The kernel drops the lock of a process that was killed.
        await node.start()


def chat(prompt: str) -> Question:
    return Question(b'{"prompt": "%s"}' % prompt.encode())
