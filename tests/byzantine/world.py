"""Two chains, a committee of four with a threshold of three, and what stands between them."""

import asyncio
import contextlib
import json
import shutil
import sys
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson

from byzantine.books import Books
from byzantine.evm import Evm
from byzantine.forging import Forger
from byzantine.model import Model, model
from byzantine.questions import Question
from byzantine.relay import Relay
from byzantine.solana import Solana
from soak.link import Link
from support.node import VAGUS, Node
from support.node_devnet import LOCAL, running_devnet
from vagus.adapters.conformance import FaultProxy
from vagus.adapters.conformance.faults import Lie

__all__ = ["CHAINS", "HONEST", "SIZE", "THRESHOLD", "Life", "Member", "World", "world"]

SIZE, THRESHOLD = 4, 3
CHAINS = "eip155,solana"
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
BACKEND = """\
[[backends]]
kind = "openai"
name = "scripted"
base_url = "{url}"
models = [{{ name = "scripted" }}]
"""
LIAR = """\
#!/bin/sh
exec env PYTHONPATH='{tests}'"${{PYTHONPATH:+:$PYTHONPATH}}" '{python}' -m byzantine.liars "$@"
"""


@dataclass(frozen=True)
class Life:
    """How a node lives: as which liar, by which of its configs, with its clock so many seconds off.

    A `failpoint` of the product's ends it once it is there.
    """

    behaviour: str = ""
    config: str = "honest"
    failpoint: str = ""
    clock: int = 0

    @property
    def mortal(self) -> bool:
        """Whether it ends by itself."""
        return bool(self.failpoint) or self.behaviour.startswith("dies")


HONEST = Life()


@dataclass
class Member:
    """One operator: keys, a database, wires to each chain and to the broker, all of its own."""

    number: int
    signer: str
    folder: Path
    node: Node
    relay: Relay
    links: list[Link]
    configs: dict[str, Path]
    liar: Path
    _life: Life | None = None

    @property
    def topic(self) -> str:
        """How the topics of what it says name it."""
        return self.signer.removeprefix("0x")

    async def live(self, life: Life) -> None:
        """Let the node live such a life, if it does not; wait until it is ready.

        One that is to die may do so before: it finds intents of its former life.
        """
        if self._life == life and self.node.returncode is None:
            return
        if self._life is not None:
            await self.kill()
            if self._life.config == "deceived":
                # What it believes of the chains is good for nothing any more.
                shutil.rmtree(self.folder / "data")
        env = {"BYZANTINE": life.behaviour} if life.behaviour else {}
        if life.clock:
            assert FAKETIME is not None, "libfaketime is missing (apt: faketime)"
            env |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME": f"{life.clock:+d}s",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        self.node.program = self.liar if life.behaviour else VAGUS
        self.node.config = self.configs[life.config]
        self._life = life
        await self.node.launch(life.failpoint, **env)
        ready = asyncio.create_task(self.node.ready())
        ended = asyncio.create_task(self.node.ended())
        await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if self.node.returncode is None or not life.mortal:
            await ready
        else:
            ready.cancel()
        await asyncio.wait((ready, ended))

    async def kill(self) -> None:
        if self.node.returncode is None:
            await self.node.kill()

    def did(self) -> Counter[str]:
        """What it has done as a liar, in all its lives, and what it has logged as an error."""
        found = Counter[str]()
        for line in self.node.log.splitlines():
            if line.startswith("{") and "info" not in line:
                entry = orjson.loads(line)
                if entry["event"] == "byzantine":
                    found[entry["did"]] += 1
                elif entry["level"] in {"error", "critical"}:
                    found[f"ERROR in a log: {entry['event']}"] += 1
        return found


@dataclass
class World:
    """What runs; nobody but the nodes themselves reads what they say."""

    folder: Path
    chains: list[Evm | Solana]
    members: list[Member]
    model: Model
    forger: Forger
    books: Books = field(default_factory=Books)

    @property
    def signers(self) -> set[str]:
        return {each.signer for each in self.members}

    async def ask(self, questions: list[Question]) -> None:
        """Ask all of these now."""
        hubs = [chain.hub_id for chain in self.chains]
        for chain in self.chains:
            mine = [each for each in questions if each.origin == chain.number]
            await chain.ask(mine, hubs)

    async def read(self) -> None:
        """Read what became final."""
        for chain in self.chains:
            self.books.take(chain.number, await chain.news())


@contextlib.asynccontextmanager
async def world(folder: Path, seed: int, say: Callable[[str], None]) -> AsyncIterator[World]:
    """Start all but the nodes, which are yielded ready to start; all of it ends with the block."""
    async with contextlib.AsyncExitStack() as stack:
        say(f"Starting {CHAINS}, and keys for {SIZE} nodes")
        net = await stack.enter_async_context(
            running_devnet(folder / "net", folder / "devnet.log", CHAINS, SIZE)
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        served = await stack.enter_async_context(model())
        first, second = net.chains
        forger = Forger()
        forging = await stack.enter_async_context(FaultProxy(first["rpc"]))
        forging.faults = (Lie(forger),)
        liar = folder / "liar"
        liar.write_text(LIAR.format(tests=Path(__file__).parents[1], python=sys.executable))
        liar.chmod(0o700)
        roster = json.loads((folder / "net" / "roster.json").read_bytes())
        members = []
        for number, path in enumerate(map(Path, net.shown["configs"])):
            broker = tomllib.loads(path.read_text())["transports"][0]["url"]
            relay = await stack.enter_async_context(Relay(broker, f"{seed}/{number}"))
            links = [await stack.enter_async_context(Link(each["rpc"])) for each in net.chains]
            changes = {f'url = "{broker}"': f'url = "{relay.url}"'}
            for chain, link in zip(net.chains, links, strict=True):
                changes[f'rpc = "{chain["rpc"]}"'] = f'rpc = "{link.rpc}"'
                changes[f'ws = "{chain["ws"]}"'] = f'ws = "{link.ws}"'
            text = _replaced(path.read_text(), changes)
            models = {
                "honest": served.honest,
                "lying": served.lying,
                "wavering": served.wavering,
            }
            configs = {}
            for name, url in models.items():
                configs[name] = path.with_name(f"{name}.toml")
                _write(configs[name], _replaced(text, {LOCAL: BACKEND.format(url=url)}))
            configs["deceived"] = path.with_name("deceived.toml")
            deceived = {
                f'rpc = "{links[0].rpc}"': f'rpc = "{forging.rpc}"',
                f'ws = "{links[0].ws}"': f'ws = "{forging.ws}"',
            }
            _write(configs["deceived"], _replaced(configs["honest"].read_text(), deceived))
            node = await stack.enter_async_context(
                Node(configs["honest"], folder / f"node-{number + 1}.log")
            )
            members.append(
                Member(
                    *(number, _signer(configs["honest"], roster), path.parent, node),
                    *(relay, links, configs, liar),
                )
            )
        chains = [Evm(0, first, http), Solana(1, second, http)]
        yield World(folder, chains, members, served, forger)


def _signer(config: Path, roster: dict) -> str:
    keystore = json.loads((config.parent / "keys" / "signer.json").read_bytes())
    address = f"0x{keystore['address'].removeprefix('0x').lower()}"
    assert address in {each["signer"] for each in roster["members"]}
    return address


def _write(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)


def _replaced(text: str, changes: dict[str, str]) -> str:
    for before, after in changes.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text
