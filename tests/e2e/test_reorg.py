"""Reorganisations under a real node: what a chain drops is never signed for, and what was final is.

The node takes six confirmations for final. Blocks come only when a test mines them, so that a
reorganisation drops exactly what it is meant to. What stands on the chains is read by web3 alone.
"""

import asyncio
import contextlib
import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import pytest_asyncio
from web3.types import RPCEndpoint

from support.client import Asked, Chain, Client, client_of, until
from support.node import Node, vagus
from support.node_devnet import Devnet, running_devnet
from support.node_model import StubModel

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_reorg"),
]

T = TypeVar("T")

CONFIRMATIONS = 6
NONE, OPEN, SETTLED = 0, 1, 2


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def net(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Devnet]:
    """A devnet of its own: nobody else may stand on blocks that go."""
    async with running_devnet(tmp_path_factory.mktemp("reorg") / "net") as net:
        yield net


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asker(net: Devnet) -> AsyncIterator[Client]:
    async with client_of(net.chains) as found:
        for chain in found.chains:
            await call(chain, "evm_setIntervalMining", 0)
            await call(chain, "evm_setAutomine", True)
            await mine(chain, 2 * CONFIRMATIONS)  # the hub's own block is final
        yield found


def config_of(net: Devnet, stub: StubModel, name: str) -> Path:
    config = net.variant(name, backends=stub.backends)
    text = config.read_text()
    assert text.count('finality = "finalized"') == len(net.chains)
    config.write_text(text.replace('finality = "finalized"', f"finality = {CONFIRMATIONS}"))
    return config


async def call(chain: Chain, method: str, *params: object) -> Any:
    answer = await chain.web3.provider.make_request(RPCEndpoint(method), list(params))
    assert "error" not in answer, answer
    return answer["result"]


async def mine(chain: Chain, blocks: int) -> None:
    await call(chain, "anvil_mine", hex(blocks))


async def reorganise(chain: Chain, depth: int) -> None:
    """Replace the newest blocks by as many others without a transaction."""
    before = [await chain.web3.eth.get_block(at) for at in await heights(chain, depth)]
    await call(chain, "anvil_reorg", depth, [])
    after = [await chain.web3.eth.get_block(each["number"]) for each in before]
    assert all(a["hash"] != b["hash"] for a, b in zip(before, after, strict=True))
    assert all(not each["transactions"] for each in after)


async def heights(chain: Chain, count: int) -> range:
    latest = await chain.web3.eth.block_number
    return range(latest - count + 1, latest + 1)


async def logs(chain: Chain, name: str, asked: Asked) -> list[Any]:
    """An intent's events of that name, with the blocks that they are in."""
    wanted = {"intentId": asked.id}
    return await chain.contract.events[name].get_logs(from_block=0, argument_filters=wanted)


async def drop(chain: Chain, log: Any) -> int:
    """Replace the blocks from that of an event on; returns how many those were."""
    depth: int = await chain.web3.eth.block_number - log["blockNumber"] + 1
    await reorganise(chain, depth)
    return depth


async def mined_until(
    client: Client, read: Callable[[], Awaitable[T]], wanted: Callable[[T], object]
) -> T:
    """Add blocks to all chains until what is read is as wanted."""

    async def look() -> T:
        for chain in client.chains:
            await mine(chain, 1)
        return await read()

    return await until(look, wanted, every=0.2)


async def reaches(client: Client, node: Node, asked: Asked, stage: str) -> None:
    await mined_until(client, lambda: node.intent(asked.hex), lambda shown: shown["stage"] == stage)


def signatures(net: Devnet, name: str, asked: Asked) -> bytes:
    """What the node's journal has of signatures over an intent's outcome."""
    path = net.folder / name / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        (found,) = db.execute("SELECT signatures FROM intents WHERE id=?", (asked.id,)).fetchone()
    return bytes(found)


async def test_an_intent_in_a_dropped_block_is_never_signed_for_at_any_depth_below_finality(
    net: Devnet, asker: Client, stub: StubModel, tmp_path: Path
) -> None:
    async with Node(config_of(net, stub, "shallow"), tmp_path / "log") as node:
        await node.start()
        a, _ = asker.chains
        dropped = []
        for depth in range(1, CONFIRMATIONS + 1):
            asked = await asker.ask(f"dropped at depth {depth}")
            await mine(a, depth - 1)
            await node.reaches(asked.hex, "observed")
            await reorganise(a, depth)
            assert await asker.state(asked) == NONE
            dropped.append(asked)
        kept = await asker.ask("asked on the chain that stays")
        await reaches(asker, node, kept, "settled")
        for asked in dropped:
            shown = await node.reaches(asked.hex, "orphaned")
            assert shown["reason"] == "its block left the chain"
            assert signatures(net, "shallow", asked) == b""
            assert shown["evidence_hash"] is None  # nor was anything decided
            assert await asker.events("Delivered", asked) == []
        assert not any(prompt.startswith("dropped") for prompt in stub.asked)
        assert signatures(net, "shallow", kept) != b""
        assert (await node.get("/readyz"))[0] == 200


async def test_a_delivery_and_a_settlement_in_dropped_blocks_are_made_again_and_once(
    net: Devnet, asker: Client, stub: StubModel, tmp_path: Path
) -> None:
    async with Node(config_of(net, stub, "resent"), tmp_path / "log") as node:
        await node.start()
        a, b = asker.chains
        asked = await asker.ask("delivered twice, since the first block goes")
        await reaches(asker, node, asked, "submitted")
        (delivered,) = await until(lambda: logs(b, "Delivered", asked), len)
        await drop(b, delivered)
        await reaches(asker, node, asked, "settling")
        (settled,) = await until(lambda: logs(a, "Settled", asked), len)
        await drop(a, settled)
        await reaches(asker, node, asked, "settled")
        assert await asker.state(asked) == SETTLED
        (again,) = await logs(b, "Delivered", asked)
        assert again["blockHash"] != delivered["blockHash"]
        (again,) = await logs(a, "Settled", asked)
        assert again["blockHash"] != settled["blockHash"]
        assert stub.asked["delivered twice, since the first block goes"] == 1


async def test_deeper_than_finality_the_chain_halts_for_good_and_goes_on_once_it_is_resumed(
    net: Devnet, asker: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = config_of(net, stub, "deep")
    a, _ = asker.chains
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        before = await asker.ask("settled for good, as it seemed")
        await reaches(asker, node, before, "settled")
        stub.open.clear()
        gone = await asker.ask("final for the node, and gone")
        await mine(a, CONFIRMATIONS + 1)
        await until(lambda: asyncio.sleep(0, stub.asked["final for the node, and gone"]), bool)

        (settlement,) = await logs(a, "Settled", before)
        assert await drop(a, settlement) > CONFIRMATIONS
        assert await asker.state(before) == OPEN
        assert await asker.state(gone) == NONE
        await until(lambda: node.get("/readyz"), lambda got: b"halted" in got[1])
        stub.open.set()
        await elsewhere_goes_on(asker, node, "the other chain goes on")

        await node.kill()
        await node.launch()
        await node.serving()
        await until(lambda: node.get("/readyz"), lambda got: b"halted" in got[1])
        await elsewhere_goes_on(asker, node, "the other chain goes on after a restart")
        assert signatures(net, "deep", gone) == b""
        assert await asker.events("Delivered", gone) == []
        (line,) = [each for each in node.lines() if each["event"] == "chain halted"]
        assert (line["level"], line["chain"]) == ("error", a.caip2)
        assert f"vagus resume {a.caip2}" in line["todo"]

        code, out, err = await vagus("doctor", "--config", config, "--json", within=120)
        assert (code, out != "") == (1, True), err
        report = json.loads(out)
        (halt,) = [each for each in report["checks"] if each["name"] == f"halt {a.caip2}"]
        assert (report["verdict"], halt["verdict"]) == ("fail", "fail")
        assert "was replaced" in halt["finding"]
        assert f"vagus resume {a.caip2}" in halt["advice"]

        code, _, err = await vagus("resume", a.caip2, "--yes", "--config", config)
        assert (code, "in use by process" in err) == (4, True)
        node.send(signal.SIGTERM)
        assert await node.ended() == 0
        code, _, err = await vagus("resume", a.caip2, "--yes", "--config", config)
        assert code == 0, err
        assert "was replaced" in err

        await node.start()
        after = await asker.ask("asked after the resume")
        for each in (after, before):
            await reaches(asker, node, each, "settled")
            assert await asker.state(each) == SETTLED
            assert len(await asker.events("Delivered", each)) == 1
            assert len(await logs(a, "Settled", each)) == 1
        await node.reaches(gone.hex, "orphaned")
        assert signatures(net, "deep", gone) == b""
        assert stub.asked["settled for good, as it seemed"] == 1


async def test_a_chain_that_was_reorganised_while_the_node_was_down_is_not_signed_for(
    net: Devnet, asker: Client, stub: StubModel, tmp_path: Path
) -> None:
    """The node is killed between an outcome and its signature, and the request's block goes."""
    a, _ = asker.chains
    async with Node(config_of(net, stub, "asleep"), tmp_path / "log") as node:
        await node.start(failpoint="executed")
        asked = await asker.ask("decided, and gone before it is signed")
        await mined_until(asker, lambda: asyncio.sleep(0, node.returncode), lambda code: code)
        assert node.returncode == -signal.SIGKILL
        (request,) = await logs(a, "IntentRequested", asked)
        assert await drop(a, request) > CONFIRMATIONS
        await node.launch()
        await node.serving()
        await until(lambda: node.get("/readyz"), lambda got: b"halted" in got[1])
        assert (await node.intent(asked.hex))["stage"] == "executed"
        assert signatures(net, "asleep", asked) == b""
        await elsewhere_goes_on(asker, node, "the other chain goes on beside it")
        assert signatures(net, "asleep", asked) == b""
        assert await asker.events("Delivered", asked) == []


async def test_an_endpoint_of_another_chain_halts_that_chain_alone_until_it_is_resumed(
    net: Devnet, asker: Client, stub: StubModel, tmp_path: Path
) -> None:
    """It is resumed over HTTP, by a node that runs: with another config, since that was wrong."""
    a, b = asker.chains
    config = config_of(net, stub, "crossed")
    right = config.read_text()
    config.write_text(right.replace(f'rpc = "{a.rpc}"', f'rpc = "{b.rpc}"'))
    async with Node(config, tmp_path / "log") as node:
        await node.launch()
        await node.serving()
        await until(lambda: node.get("/readyz"), lambda got: b"halted" in got[1])
        assert f"serves {b.caip2}".encode() in (await node.get("/readyz"))[1]
        await elsewhere_goes_on(asker, node, "asked beside a chain that is not served")

        node.send(signal.SIGTERM)
        assert await node.ended() == 0
        tokens = 'tokens_file = "tokens"'
        config.write_text(right.replace("[http]\n", f"[http]\n{tokens}\n"))
        code, token, err = await vagus(
            *("tokens", "new", "operator", "--scope", "chains:write", "--config", config)
        )
        assert code == 0, err
        await node.launch()
        await node.serving()
        await until(lambda: node.get("/readyz"), lambda got: b"halted" in got[1])
        assert (await resume(node, a.caip2, ""))[0] == 401
        assert (await resume(node, a.caip2, token.strip()))[0] == 200
        asked = await asker.ask("asked once its chain is served")
        await reaches(asker, node, asked, "settled")
        assert (await resume(node, a.caip2, token.strip()))[0] == 409
        assert (await node.get("/readyz"))[0] == 200


async def resume(node: Node, chain: str, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{node.url}/v1/chains/{chain}/resume", headers=headers) as response,
    ):
        return response.status, await response.text()


async def elsewhere_goes_on(client: Client, node: Node, prompt: str) -> None:
    asked = await client.ask(prompt, origin=1, dest=1)
    await reaches(client, node, asked, "settled")
    assert await client.state(asked) == SETTLED
