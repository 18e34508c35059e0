"""A node on a machine that fails it: its disk, its journal's pages, its clock, its descriptors.

It stops signing and says so, goes on or refuses to start, and nothing is lost or done twice.
"""

import asyncio
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from support.client import Client, until
from support.node import VAGUS, Node
from support.node_devnet import Devnet
from support.node_model import StubModel

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_faults"),
]

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TRIED: only root can mount a disk")
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
DISK = 48 << 20


def program(folder: Path, before: str) -> Path:
    """A `vagus` that runs shell commands first, and then is vagus."""
    path = folder / "vagus"
    path.write_text(f'#!/bin/sh\nset -e\n{before}\nexec {VAGUS} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", path), check=True)
    yield path
    subprocess.run(("umount", "-l", path), check=True)


def on(disk: Path, config: Path) -> Path:
    """Have a node keep its data on a disk."""
    text = config.read_text()
    config.write_text(text.replace(f'data = "{config.stem}"', f'data = "{disk / "data"}"'))
    return config


async def once_each(client: Client, node: Node, stub: StubModel, prompts: dict[str, str]) -> None:
    """Every intent is settled, its model was asked once, and it was delivered once."""
    for prompt, intent in prompts.items():
        await node.reaches(intent, "settled")
        assert stub.asked[prompt] == 1, prompt
    for chain in client.chains:
        for intent in prompts.values():
            assert len(await chain.events("Delivered", bytes.fromhex(intent[2:]))) <= 1
    delivered = [
        await chain.events("Delivered", bytes.fromhex(intent[2:]))
        for intent in prompts.values()
        for chain in client.chains
    ]
    assert sum(map(len, delivered)) == len(prompts)


@AS_ROOT
async def test_on_a_full_disk_nothing_is_signed_and_with_room_again_nothing_was_lost(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path, disk: Path
) -> None:
    config = on(disk, devnet.variant("full-disk", backends=stub.backends))
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        prompts = {}
        before = "asked before the disk was full"
        stub.open.clear()
        prompts[before] = (await client.ask(before)).hex
        await until(lambda: asyncio.sleep(0, stub.asked[before]), bool)
        # The model has the question; now the disk fills to its last byte.
        fill(disk / "other", 1 << 30)
        stub.open.set()
        _, body = await until(lambda: node.get("/readyz"), lambda got: got[0] == 503)
        assert b"journal" in body, body
        during = "asked while the disk was full"
        prompts[during] = (await client.ask(during)).hex
        await until(lambda: asyncio.sleep(0, node.log), lambda log: "node not sound" in log)
        # Several blocks become final, and several retries come and go.
        for _ in range(3):
            seen = node.log.count("\n")
            height = await client.chains[0].web3.eth.block_number
            await until(
                lambda height=height: client.chains[0].web3.eth.block_number,
                lambda now, height=height: now >= height + 3,
            )
            assert (await node.get("/readyz"))[0] == 503
            assert node.log.count("\n") - seen < 20  # it says so, and does not fill the log
        for prompt, intent in prompts.items():
            for chain in client.chains:
                assert await chain.events("Delivered", bytes.fromhex(intent[2:])) == []
            assert stub.asked[prompt] <= 1
        (disk / "other").unlink()
        await until(lambda: node.get("/readyz"), lambda got: got[0] == 200)
        await once_each(client, node, stub, prompts)
        assert "stuck" not in node.log


@AS_ROOT
async def test_a_node_that_is_killed_on_a_full_disk_goes_on_from_what_it_wrote(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path, disk: Path
) -> None:
    config = on(disk, devnet.variant("full-killed", backends=stub.backends))
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        prompt = "settled before the disk was full"
        prompts = {prompt: (await client.ask(prompt)).hex}
        await once_each(client, node, stub, prompts)
        fill(disk / "other", 1 << 30)
        await until(lambda: node.get("/readyz"), lambda got: got[0] == 503)
        during = "asked on a full disk, before a kill"
        prompts[during] = (await client.ask(during)).hex
        await node.kill()
        (disk / "other").unlink()
        await node.start()
        await once_each(client, node, stub, prompts)


def fill(path: Path, size: int) -> None:
    """Write until the disk takes no more."""
    with path.open("wb", buffering=0) as file:
        try:
            while size > 0:
                size -= file.write(b"\0" * min(size, 1 << 16))
        except OSError:
            pass
        while size > 0:
            try:
                size -= file.write(b"\0")
            except OSError:
                return


@AS_ROOT
async def test_a_node_refuses_a_data_folder_that_it_cannot_write(
    devnet: Devnet, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("read-only", backends=stub.backends)
    data = devnet.folder / "read-only"
    data.mkdir(mode=0o700)
    isolated = f"mount --bind {data} {data}; mount -o remount,ro,bind {data}"
    command = program(tmp_path, isolated)
    done = subprocess.run(
        ("unshare", "--mount", command, "run", "--config", config),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert f"{data} cannot be written (Read-only file system)" in done.stderr
    assert "Traceback" not in done.stderr


@AS_ROOT
async def test_a_node_refuses_to_begin_on_a_full_disk(
    devnet: Devnet, stub: StubModel, disk: Path
) -> None:
    config = on(disk, devnet.variant("full-begin", backends=stub.backends))
    fill(disk / "other", 1 << 30)
    code, said = cli("run", "--config", config)
    assert code == 3
    assert f"{disk / 'data'} cannot be written (No space left on device)" in said
    assert "Traceback" not in said


def damage(journal: Path) -> None:
    """Overwrite the header of every page but the first, as a broken disk would."""
    size = journal.stat().st_size
    with journal.open("r+b") as file:
        for page in range(1, size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 64)
        os.fsync(file.fileno())


async def test_a_damaged_journal_is_refused_and_a_backup_brings_the_node_back(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("damaged", backends=stub.backends)
    journal = devnet.folder / "damaged" / "journal.sqlite"
    backup = tmp_path / "backup"
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        prompt = "settled before the journal was damaged"
        prompts = {prompt: (await client.ask(prompt)).hex}
        await once_each(client, node, stub, prompts)
        assert cli("backup", backup, "--config", config)[0] == 0
        node.send(signal.SIGTERM)
        assert await node.ended() == 0

        whole = journal.read_bytes()
        damage(journal)
        code, said = cli("run", "--config", config)
        assert code == 3
        assert "is damaged" in said
        assert "vagus restore" in said
        assert "Traceback" not in said
        # Nothing was made of it: what can be saved is still there.
        assert journal.stat().st_size == len(whole)

        code, said = cli("restore", backup, "--config", config)
        assert code == 1
        assert "journal.sqlite exists: move the old journal away" in said
        shutil.move(journal, tmp_path / "damaged")
        assert cli("restore", backup, "--config", config)[0] == 0
        await node.start()
        await node.reaches(prompts[prompt], "settled")
        after = "asked after the restore"
        prompts[after] = (await client.ask(after)).hex
        await once_each(client, node, stub, prompts)


async def test_damage_that_shows_while_a_node_runs_ends_it_for_good(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("damaged-later", backends=stub.backends)
    journal = devnet.folder / "damaged-later" / "journal.sqlite"
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        asked = await client.ask("settled before the damage")
        await node.reaches(asked.hex, "settled")
        db = sqlite3.connect(journal)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        damage(journal)
        # What it has in memory hides it for a while; a question makes it look.
        await client.ask("asked after the damage")
        assert await node.ended() == 3
        last = node.log.splitlines()[-1]
        assert last.startswith("vagus: ")
        assert "is damaged" in last
        assert "Traceback" not in last


async def test_a_damaged_page_of_a_payload_ends_the_node_and_nothing_is_signed_by_it(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("damaged-page", backends=stub.backends)
    journal = devnet.folder / "damaged-page" / "journal.sqlite"
    word = "page after page "
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        stub.open.clear()
        prompt = word * 500
        asked = await client.ask(prompt)
        await until(lambda: asyncio.sleep(0, stub.asked[prompt]), bool)
        await node.kill()
        stub.open.set()
        db = sqlite3.connect(journal)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        whole = journal.read_bytes()
        pages = [whole[at : at + 4096] for at in range(0, len(whole), 4096)]
        # One that holds nothing else, so that the structure stays what it was.
        of_payload = next(at for at, page in enumerate(pages) if word.encode() * 250 in page)
        pages[of_payload] = pages[of_payload].replace(b"page after", b"page below")
        journal.write_bytes(b"".join(pages))
        code, said = cli("run", "--config", config)
        assert code == 3
        assert f"{asked.hex}: not the intent's own: payload" in said
        assert "vagus restore" in said
        for chain in client.chains:
            for event in ("Delivered", "Settled"):
                assert await chain.events(event, asked.id) == []
        journal.write_bytes(whole)
        await node.start()
        await node.reaches(asked.hex, "settled")


@pytest.mark.skipif(not FAKETIME.exists(), reason="NOT TRIED without libfaketime (apt: faketime)")
@pytest.mark.parametrize("step", ["+3600", "-3600"])
async def test_a_clock_that_steps_by_an_hour_changes_no_decision(
    step: str, devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant(f"clock{step}", backends=stub.backends)
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }
    async with Node(config, tmp_path / "log") as node:
        await node.start(**faked)
        prompts = {}
        before = f"asked before the clock stepped by {step}"
        stub.open.clear()
        # Ten minutes until the deadline: an hour on the node's clock would be past it.
        prompts[before] = (await client.ask(before, ttl=600)).hex
        await until(lambda: asyncio.sleep(0, stub.asked[before]), bool)
        clock.write_text(step)
        stub.open.set()
        after = f"asked after the clock stepped by {step}"
        prompts[after] = (await client.ask(after, ttl=600)).hex
        await once_each(client, node, stub, prompts)
        shown = await node.intent(prompts[after])
        real = (await client.chains[0].web3.eth.get_block("latest"))["timestamp"]
        # It did live in another hour: what it shows people says so.
        assert abs(shown["seen_at"] - real - float(step)) < 900
        # The next start reads a journal that was written an hour from now, or an hour ago.
        await node.kill()
        clock.write_text("+0")
        await node.start(**faked)
        last = f"asked after the clock stepped back from {step}"
        prompts[last] = (await client.ask(last, ttl=600)).hex
        await once_each(client, node, stub, prompts)


async def test_a_node_without_descriptors_says_so_signs_nothing_and_goes_on_when_it_has_some(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("descriptors", backends=stub.backends)
    async with Node(config, tmp_path / "log") as node, aiohttp.ClientSession() as session:
        await node.start()

        async def ready() -> tuple[int, bytes]:
            # One connection, which was there before.
            async with session.get(f"{node.url}/readyz") as response:
                return response.status, await response.read()

        assert (await ready())[0] == 200
        limits = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (0, limits[1]))
        _, body = await until(ready, lambda got: got[0] == 503)
        assert b"files: no file or socket can be opened (Too many open files)" in body
        prompt = "asked without descriptors"
        prompts = {prompt: (await client.ask(prompt)).hex}
        height = await client.chains[0].web3.eth.block_number
        await until(lambda: client.chains[0].web3.eth.block_number, lambda now: now >= height + 8)
        assert stub.asked[prompt] == 0
        assert (await ready())[0] == 503
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, limits)
        await until(ready, lambda got: got[0] == 200)
        await once_each(client, node, stub, prompts)


def cli(*arguments: object) -> tuple[int, str]:
    """Run a command to its end: exit code, and what it said."""
    done = subprocess.run(
        (VAGUS, *map(str, arguments)), capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr
