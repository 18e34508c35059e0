"""`vagus devnet up --json`: one line, a config that serves, a client that needs hub.json alone."""

import asyncio
import json
import os
import re
import signal
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.client import client_of, until
from support.journal_rows import SETTLED_ROWS, rows_per_intent
from support.node import Node, vagus
from support.node_devnet import alive, running_devnet
from vagus.daemon.journal.lock import data_folder

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_devnet"),
]


async def test_a_devnet_serves_a_foreign_client_until_it_is_told_to_end(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    async with running_devnet(folder) as net:
        assert set(net.shown) == {"chains", "config", "configs"}
        assert [chain["caip2"] for chain in net.chains] == ["eip155:31337", "eip155:31338"]
        for chain in net.chains:
            assert set(chain) == {"caip2", "rpc", "ws", "hub", "private_key"}
            assert chain["hub"].startswith(f"{chain['caip2']}:0x")
            assert chain["hub"] == chain["hub"].lower()
            assert bytes.fromhex(chain["private_key"].removeprefix("0x"))
        pids = net.pids()
        assert len(pids) == 3

        code, out, err = await vagus("devnet", "up", "--json", "--folder", folder)
        assert (code, out) == (4, "")
        assert f"is in use by process {net.process.pid}: a devnet runs there" in err
        assert f"`vagus devnet down --folder {folder}` ends it" in err
        assert "`data`" not in err

        async with client_of(net.chains) as client, Node(net.config, tmp_path / "log") as node:
            await node.start()
            there = await client.ask("What is the capital of France?")
            back = await client.ask("Name a colour of the rainbow.", origin=1, dest=0)
            for asked in (there, back):
                await client.settled(asked)
                (delivered,) = await client.events("Delivered", asked)
                (settled,) = await client.events("Settled", asked)
                assert (delivered["status"], settled["status"]) == (0, 0)
                assert delivered["output"].decode()
                assert await asked.origin.credit(net.account) > 0
                await node.reaches(asked.hex, "settled")
            node.send(signal.SIGTERM)
            assert await node.ended(within=10) == 0
        assert rows_per_intent(folder / "data" / "journal.sqlite") == SETTLED_ROWS

        code, _, err = await vagus("devnet", "down", "--folder", folder)
        assert (code, err) == (0, "ended\n")
        assert await net.process.wait() == 0
        assert net.process.stdout is not None
        assert await net.process.stdout.read() == b""
        await until(lambda: asyncio.sleep(0, [alive(pid) for pid in pids]), lambda up: not any(up))

    code, _, err = await vagus("devnet", "down", "--folder", folder)
    assert (code, err) == (0, "no devnet is running there\n")


async def test_a_devnet_that_is_killed_takes_its_chains_along(tmp_path: Path) -> None:
    async with running_devnet(tmp_path / "net") as net:
        pids = net.pids()
        net.process.kill()
        await until(lambda: asyncio.sleep(0, [alive(pid) for pid in pids]), lambda up: not any(up))


def edited(config: Path) -> dict[str, Any]:
    """Change what a person would, in a config that a devnet wrote; what is then in it."""
    text = config.read_text()
    assert text.count("max_tokens = 64") == 1
    mine = text.replace("max_tokens = 64", "max_tokens = 32  # mine")
    config.write_text(mine + '[agents."mood@1"]\n')
    return tomllib.loads(config.read_text())


async def test_a_second_devnet_keeps_the_config_but_for_what_leads_to_its_chains(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "net"
    async with running_devnet(folder) as net:
        before = edited(net.config)
        text = net.config.read_text()
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "journal.sqlite").write_text("of chains that are gone")

    async with running_devnet(folder) as net:
        assert net.config == folder / "vagus.toml"
        after = tomllib.loads(net.config.read_text())
        assert sorted(os.listdir(folder)) == ["devnet", "keys", "lock", "vagus.toml"]
        for table, chain in zip(after["chains"], net.chains, strict=True):
            assert {key: table[key] for key in ("hub", "rpc", "ws")} == {
                key: chain[key] for key in ("hub", "rpc", "ws")
            }
        for found in (before, after):
            found["chains"] = [
                {key: each[key] for key in each if key not in {"hub", "rpc", "ws"}}
                for each in found["chains"]
            ]
        assert after == before
        lines = zip(text.splitlines(), net.config.read_text().splitlines(), strict=True)
        changed = {old.split(" ")[0] for old, new in lines if old != new}
        assert changed <= {"rpc", "ws"}  # a hub is at the same address, being the first deployed


UNFIT = (
    ('rpc = "', '# rpc = "', "chains.0.rpc: Field required"),
    ("[http]", "[http", "line 8"),
    ('\nsigner = "0x', '\nsigner = "0xabcdef', "committee.members.0.signer"),
)


async def test_a_config_that_cannot_be_made_to_fit_is_put_aside_and_named(tmp_path: Path) -> None:
    config = tmp_path / "net" / "vagus.toml"
    async with running_devnet(config.parent):
        pass
    for number, (before, after, why) in enumerate(UNFIT, 1):
        mine = config.read_text().replace(before, after)
        config.write_text(mine)
        aside = config.with_name(f"vagus.toml.{number}")
        async with running_devnet(config.parent, stderr=tmp_path / "said") as net:
            (line,) = [
                each
                for each in (tmp_path / "said").read_text().splitlines()
                if each.startswith(f"{config} does not fit this devnet (")
            ]
            assert why in line
            assert f"it is now {aside}" in line
            assert aside.read_text() == mine
            assert tomllib.loads(config.read_text())["chains"][0]["rpc"] == net.chains[0]["rpc"]


async def test_what_a_devnet_writes_is_for_its_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "net"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    before = os.umask(0)
    try:
        async with running_devnet(folder):
            modes = {path: path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
            assert len(modes) > 5
            for path, mode in modes.items():
                assert mode == (0o700 if path.is_dir() else 0o600), path
    finally:
        os.umask(before)


async def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "vagus.toml").write_text("precious")
    code, out, err = await vagus("devnet", "up", "--json", "--folder", tmp_path)
    assert (code, out) == (2, "")
    assert "has other things in it" in err
    assert (tmp_path / "vagus.toml").read_text() == "precious"


async def test_a_node_folder_made_by_init_is_a_config_that_loads(tmp_path: Path) -> None:
    account = "0x" + "ab" * 20
    chain = f"id=eip155:31337,hub=eip155:31337:{account},rpc=http://127.0.0.1:1"
    folder = tmp_path / "node"
    code, out, err = await vagus("init", folder, "--chain", chain)
    assert (code, out) == (0, "")
    assert re.search(r"fund +0x[0-9a-f]{40} on eip155:31337\n", err)
    assert sorted(path.name for path in (folder / "keys").iterdir()) == [
        "account.json",
        "password",
        "signer.json",
        "transport.json",
    ]
    assert {path.stat().st_mode & 0o777 for path in (folder / "keys").iterdir()} == {0o600}
    signer = json.loads((await vagus("keys", "show", folder / "keys/signer.json", "--json"))[1])
    assert signer["address"] in (folder / "vagus.toml").read_text()

    code, _, err = await vagus("init", folder, "--chain", chain)
    assert code == 2
    assert "exists" in err
    code, _, err = await vagus("init", tmp_path / "other", "--chain", "id=eip155:1,hbu=x,rpc=y")
    assert code == 2
    assert "hbu" in err


async def test_a_devnet_is_not_made_over_a_node_that_still_runs(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "devnet").touch()
    with data_folder(folder / "data"):
        (folder / "data" / "journal.sqlite").touch()
        code, out, err = await vagus("devnet", "up", "--json", "--folder", folder)
        assert (code, out) == (4, "")
        assert f"{folder / 'data'} is in use by process" in err
        assert "a node of an earlier devnet still runs: end it first" in err
    assert (folder / "data" / "journal.sqlite").exists()
