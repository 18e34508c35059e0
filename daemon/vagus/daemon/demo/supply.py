"""The demo's compute: GPU networks as sandboxes and an edge worker, of which three go wrong.

Each node buys of other sellers, as operators do. What a seller rents out answers by one local model
that all of them share, so that what is compared is who serves and not which model.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from vagus.adapters.evm.artifacts import artifact
from vagus.adapters.evm.devnet import Anvil, leashed
from vagus.compute.mqtt.broker import Broker
from vagus.compute.sandbox.akash import AkashSandbox
from vagus.compute.sandbox.gpunet import CHAIN_ID, GpuNetSandbox
from vagus.compute.sandbox.ionet import IonetSandbox
from vagus.compute.sandbox.render import RenderSandbox
from vagus.daemon.config import load
from vagus.daemon.demo.desk import Desk
from vagus.daemon.demo.nodes import DemoError, end
from vagus.daemon.demo.offers import USD, table
from vagus.daemon.fetch import anvil_path, model_path
from vagus.daemon.worker import worker_key
from vagus.protocol import address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from vagus.daemon.devnet import Devnet

__all__ = ["SELLERS", "Supply"]

SELLERS = ("akash", "ionet", "render", "gpunet")
SLOW_SECONDS = 20.0
RENT_SECONDS = 60.0


class Supply:
    """`async with`; `configs` are the nodes' configs with what they buy, in the order of the devnet's.

    model: as `vagus models` shows it.
    """

    def __init__(
        self, net: Devnet, folder: Path, model: dict[str, Any], say: Callable[[str], None]
    ) -> None:
        self.configs: tuple[Path, ...] = ()
        self.broken = self.swapped = False
        self._net = net
        self._folder = folder
        self._model = model
        self._say = say
        self._life = AsyncExitStack()
        self._desk = Desk(model_path(say), model["model"])
        self._akash: AkashSandbox | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._life.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._life.aclose()

    async def _open(self) -> None:
        enter, desk = self._life.enter_async_context, self._desk
        await enter(desk)
        chain = await enter(Anvil(await asyncio.to_thread(anvil_path, self._say), CHAIN_ID))
        bytecode = artifact("market")["bytecode"]
        akash = self._akash = await enter(AkashSandbox(upstream=desk.url("akash")))
        render = await enter(RenderSandbox(upstream=desk.url("render")))
        # Its jobs take a look for each step of their life, and a node looks every five seconds.
        render.patience = 0
        shown = {
            "akash": akash.show(),
            "ionet": (await enter(IonetSandbox(upstream=desk.url("ionet")))).show(),
            "render": render.show(),
            "gpunet": (
                await enter(GpuNetSandbox(chain, bytecode, upstream=desk.url("gpunet")))
            ).show(),
        }
        broker = await enter(Broker())
        worker = worker_key(self._folder / "worker")
        edge = {"broker": broker.url, "worker": f"0x{address_of(worker).hex()}"}
        nodes = []
        configs = []
        for at, config in enumerate(self._net.configs):
            mine = SELLERS[at :: len(self._net.configs)]
            tables = [table(each, shown[each], self._model, config.parent) for each in mine]
            tables.append(table("edge", edge, self._model, config.parent))
            configs.append(_extended(config, tables))
            keys = load(configs[-1]).transport_key
            if keys is None:
                raise DemoError(f"{config} has no [transport_key]: the edge's worker must know it")
            nodes.append(f"0x{keys.open().address.hex()}")
        self.configs = tuple(configs)
        await self._start_worker(broker.url, nodes)

    async def _start_worker(self, broker: str, nodes: Sequence[str]) -> None:
        """Run `vagus worker` in front of the desk, as a GPU's owner would at home."""
        name = self._model["model"]
        options = ["--broker", broker, "--serve", self._desk.url("edge"), "--model"]
        parts = {key: self._model[key] for key in ("revision", "quantization", "weights")}
        known = [f"{key}={value}" for key, value in parts.items() if value is not None]
        options.append(",".join([f"name={name}", *known, "input=0.03", "output=0.06"]))
        for each in nodes:
            options += ["--node", each]
        options += ["--folder", str(self._folder / "worker")]
        with (self._folder / "worker.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *leashed(sys.executable, "-m", "vagus.daemon", "worker", *options),
                stdout=log,
                stderr=log,
            )
        self._life.push_async_callback(end, process)

    async def serving(self) -> None:
        """Wait until what the nodes rent serves. Raises DemoError where it does not come."""
        for each in ("akash", "ionet", "render"):
            try:
                async with asyncio.timeout(RENT_SECONDS):
                    await self._desk.asked(each)
            except TimeoutError:
                raise DemoError(
                    f"what was rented of {each} serves nothing after {RENT_SECONDS:g} s"
                ) from None

    async def break_three(self) -> None:
        """Akash's market and machine are gone, io.net answers late, GPU.net's machine has another model.

        Who is alone, or one of two, has nobody to outvote a false answer: there the model stays.
        """
        self.broken = True
        self.swapped = len(self.configs) > 2
        third = ", GPU.net's machine has another model" if self.swapped else ""
        self._say(f"Akash is gone, io.net is late by {SLOW_SECONDS:g} s{third}")
        self._desk.slow("ionet", SLOW_SECONDS)
        if self.swapped:
            self._desk.swap("gpunet")
        if self._akash is not None:
            self._akash.faults.disappear()
            await self._akash.machines.close()


def _extended(config: Path, tables: Sequence[str]) -> Path:
    """Write a config beside a node's own that buys of these sellers too; return where it is."""
    text = config.read_text(encoding="utf-8")
    # What the operator's own machine costs: more than sellers ask, so that it is the last to be asked.
    own = '[[backends]]\nkind = "local"\n'
    text = text.replace(
        own, own + 'price = { input = "400000000000000", output = "800000000000000" }\n'
    )
    parts = [
        "# What `vagus demo` runs: vagus.toml and its sellers of the moment. Made anew each time."
    ]
    parts.append(f'[money]\nusd = "{USD}"')
    path = config.with_name("vagus-demo.toml")
    path.touch(0o600)
    path.write_text("\n\n".join([text, *parts, *tables]) + "\n", encoding="utf-8")
    return path
