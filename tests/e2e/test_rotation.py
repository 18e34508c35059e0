"""A committee of three becomes one of four while it answers: nothing is lost, and nothing comes twice."""

import asyncio
import contextlib
import json
import shutil
import signal
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.client import SETTLED, Asked, Client, hurried_client_of, until
from support.mosquitto import free_port
from support.node import Node, vagus
from support.node_devnet import Devnet, running_devnet
from support.node_model import stub_model
from vagus.daemon.folder import make_keys

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("e2e_rotation")]


async def good(*words: object) -> str:
    code, out, err = await vagus(*words)
    assert code == 0, err
    return out


async def joiner(net: Devnet, client: Client, folder: Path, like: Path) -> Path:
    """Make a fourth operator's folder by another one's config, with coins on each chain."""
    keys = make_keys(folder, "devnet")
    for chain in client.chains:
        address = chain.web3.to_checksum_address(keys.account)
        await chain.web3.provider.make_request("anvil_setBalance", [address, hex(10**20)])  # type: ignore[arg-type]
    roster = tomllib.loads(like.read_text())["roster_file"]
    path = folder / "member.toml"
    path.write_text(like.read_text().replace(roster, str(folder / "roster.json")))
    shutil.copy(roster, folder / "roster.json")
    return path


async def ready(nodes: Sequence[Node]) -> None:
    for node in nodes:
        await node.serving()
        await until(lambda node=node: node.get("/readyz"), lambda got: got[0] == 200)  # type: ignore[misc]


async def rotated(net: Devnet, configs: Sequence[Path], folder: Path) -> Path:
    """Have two of three members vote a fourth in, and the hubs take it; return the proposal."""
    proposal, entry = folder / "next.json", folder / "fourth.json"
    entry.write_text(await good("committee", "member", "--config", configs[3]))
    await good(
        *("committee", "propose", proposal, "--add", entry, "--threshold", 3),
        *("--config", configs[0]),
    )
    approvals = [folder / f"approval-{at}.json" for at in range(2)]
    for at, path in enumerate(approvals):
        await good(
            *("committee", "approve", proposal, "--yes", "--out", path),
            *("--config", configs[at]),
        )
    await good("committee", "apply", proposal, *approvals, "--config", net.config)
    return proposal


async def restarted(nodes: Sequence[Node], configs: Sequence[Path], proposal: Path) -> None:
    """Have each take the new roster by a restart, one after the other; the second one is killed."""
    document = await good("committee", "roster", proposal, "--config", configs[0])
    roster = Path(tomllib.loads(configs[0].read_text())["roster_file"])
    roster.write_text(document)
    (configs[3].parent / "roster.json").write_text(document)
    for at, node in enumerate(nodes):
        if at == 1:
            await node.kill()
        elif at < 3:
            node.send(signal.SIGTERM)
            assert await node.ended() == 0
        await node.launch()
        await node.serving()


async def epoch_and_signatures(asked: Asked) -> tuple[int, int]:
    """Return by which epoch an intent was delivered, and with how many signatures; web3 reads it."""
    assert asked.dest is not None
    contract = asked.dest.contract
    (log,) = await contract.events.Delivered.get_logs(
        from_block=0, argument_filters={"intentId": asked.id}
    )
    transaction = await asked.dest.web3.eth.get_transaction(log["transactionHash"])
    _, arguments = contract.decode_function_input(transaction["input"])
    return arguments["attestation"]["epoch"], len(arguments["signatures"])


async def test_a_fourth_member_joins_three_while_intents_are_under_way(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        net = await stack.enter_async_context(running_devnet(tmp_path / "net", nodes=3))
        client = await stack.enter_async_context(hurried_client_of(net.chains))
        models = [await stack.enter_async_context(stub_model(fickle=False)) for _ in range(4)]
        configs = [net.member(at, model.backends) for at, model in enumerate(models[:3])]
        folder = tmp_path / "fourth"
        configs.append(await joiner(net, client, folder, configs[2]))
        configs[3].write_text(
            configs[3].read_text().replace(models[2].base_url, models[3].base_url)
        )
        nodes = [
            await stack.enter_async_context(Node(config, tmp_path / f"{at}.log"))
            for at, config in enumerate(configs)
        ]
        await asyncio.gather(*(node.launch() for node in nodes[:3]))
        await ready(nodes[:3])

        for model in models:
            model.open.clear()
        before = [await client.ask(f"before, number {number}") for number in range(3)]
        for asked in before:
            for node in nodes[:3]:
                await node.reaches(asked.hex, "routed")

        proposal = await rotated(net, configs, tmp_path)
        after = [await client.ask(f"after, number {number}") for number in range(3)]
        for model in models:
            model.open.set()

        await restarted(nodes, configs, proposal)
        for asked in [*before, *after]:
            await client.settled(asked, within=180.0)
        await ready(nodes)

        first = json.loads(await good("committee", "show", "--json", "--config", configs[0]))
        epoch = next(h["epoch"] for h in first["hubs"] if h["hub"] == before[0].dest.hub)  # type: ignore[union-attr]
        for asked in before:
            assert await epoch_and_signatures(asked) == (epoch - 1, 2)
        for asked in after:
            assert await epoch_and_signatures(asked) == (epoch, 3)
        for asked in [*before, *after]:
            assert await client.state(asked) == SETTLED
            assert len(await client.events("Delivered", asked)) == 1
            assert len(await client.events("Settled", asked)) == 1
        # Then the four of them answer, with one of the old ones gone.
        await nodes[0].kill()
        last = await client.ask("without the first")
        await client.settled(last, within=180.0)
        assert await epoch_and_signatures(last) == (epoch, 3)


async def exchanged(net: Devnet, configs: Sequence[Path], url: str, folder: Path) -> None:
    """Have the three vote two of them out and two others in, and the hubs take it; the third serves documents."""
    entries = [folder / f"{at}.json" for at in (2, 3, 4)]
    for at, entry in zip((2, 3, 4), entries, strict=True):
        served = ("--url", url) if at == 2 else ()
        entry.write_text(await good("committee", "member", *served, "--config", configs[at]))
    leaving = [
        json.loads(await good("committee", "member", "--config", configs[at]))["signer"]
        for at in (0, 1)
    ]
    changes = [word for entry in entries for word in ("--add", entry)]
    changes += [word for signer in leaving for word in ("--remove", signer)]
    proposal = folder / "next.json"
    await good("committee", "propose", proposal, *changes, "--config", configs[0])
    approvals = [folder / f"approval-{at}.json" for at in (0, 1)]
    for at, path in enumerate(approvals):
        words = ("approve", proposal, "--yes", "--out", path)
        await good("committee", *words, "--config", configs[at])
    await good("committee", "apply", proposal, *approvals, "--config", net.config)
    document = await good("committee", "roster", proposal, "--config", configs[0])
    for at in (2, 3, 4):
        Path(configs[at].parent / "roster.json").write_text(document)


async def test_newcomers_settle_what_those_who_left_had_decided_and_delivered(
    tmp_path: Path,
) -> None:
    """One of three stays, and two sign receipts: without a newcomer nothing is settled."""
    async with contextlib.AsyncExitStack() as stack:
        net = await stack.enter_async_context(running_devnet(tmp_path / "net", nodes=3))
        client = await stack.enter_async_context(hurried_client_of(net.chains))
        model = await stack.enter_async_context(stub_model(fickle=False))
        configs = [net.member(at, model.backends) for at in range(3)]
        shared = tomllib.loads(configs[2].read_text())["roster_file"]
        own = configs[2].parent / "roster.json"
        shutil.copy(shared, own)
        url = f"http://127.0.0.1:{free_port()}"
        text = configs[2].read_text().replace(shared, str(own))
        configs[2].write_text(text.replace("port = 0", f"port = {url.rpartition(':')[2]}"))
        for name in ("fourth", "fifth"):
            joined = await joiner(net, client, tmp_path / name, configs[2])
            text = joined.read_text().replace(f"port = {url.rpartition(':')[2]}", "port = 0")
            joined.write_text(text)
            configs.append(joined)
        nodes = [
            await stack.enter_async_context(Node(config, tmp_path / f"{at}.log"))
            for at, config in enumerate(configs)
        ]
        await asyncio.gather(*(node.launch() for node in nodes[:3]))
        await ready(nodes[:3])
        model.open.clear()
        asked = [await client.ask(f"under way, number {number}") for number in range(2)]
        for each in asked:
            for node in nodes[:3]:
                await node.reaches(each.hex, "routed")
        await exchanged(net, configs, url, tmp_path)
        model.open.set()
        for each in asked:
            await nodes[2].reaches(each.hex, "confirmed")
        # Those who leave are gone before anybody who came knows of it.
        for node in nodes[:2]:
            await node.kill()
        await nodes[2].kill()
        for node in nodes[2:4]:
            await node.launch()
        await ready(nodes[2:4])
        for each in asked:
            await client.settled(each, within=180.0)
            assert await client.state(each) == SETTLED
            assert len(await client.events("Delivered", each)) == 1
            assert len(await client.events("Settled", each)) == 1
            shown = await nodes[3].reaches(each.hex, "settled")
            notes = [entry["note"] for entry in shown["history"]]
            assert any("without this node" in note for note in notes), notes
