"""GPU.net's market on a real chain: what we read there is what web3 reads by the published interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode
from openai import AsyncOpenAI
from pydantic import SecretStr
from web3 import HTTPProvider, Web3

from support.anvil import AwaitedAnvil, running_anvil
from vagus.adapters.evm.artifacts import artifact
from vagus.compute.backends.gpunet import GpuNetBackend, GpuNetConfig
from vagus.compute.base import Barred, Completion, Message, Model
from vagus.compute.chain import ContractChain
from vagus.compute.conformance import BackendConformance
from vagus.compute.leases.gpunet import Market
from vagus.compute.sandbox.chat import ScriptedModel
from vagus.compute.sandbox.gpunet import CHAIN_ID, MODEL, GpuNetSandbox
from vagus.daemon.contracts import ContractCalls
from vagus.protocol import Refuse, Retry

# The views by the contract's published source; Solidity's getter leaves the ports out.
INTERFACE: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": name,
        "stateMutability": "view",
        "inputs": [{"name": "id", "type": "uint256"}] * takes,
        "outputs": [{"name": label, "type": kind} for label, kind in outputs],
    }
    for name, takes, outputs in (
        ("machineId", 0, [("", "uint256")]),
        ("checkAvailability", 1, [("", "bool")]),
        (
            "machines",
            1,
            [
                ("cpuName", "string"),
                ("gpuName", "string"),
                ("gpuVRAM", "uint256"),
                ("totalRAM", "uint256"),
                ("storageAvailable", "uint256"),
                ("coreCount", "uint256"),
                ("IPAddress", "string"),
                ("region", "string"),
                ("bidPrice", "uint256"),
                ("isListed", "bool"),
                ("isRented", "bool"),
            ],
        ),
    )
]
KINDS = [output["type"] for output in INTERFACE[2]["outputs"]]
GOOD = ("cpu", "NVIDIA RTX 4090", 24, 64, 1000, 16, "1.2.3.4", "eu-de", 350_000, True, False)


@pytest.fixture(scope="module")
def chain() -> Iterator[AwaitedAnvil]:
    with running_anvil(CHAIN_ID) as anvil:
        yield AwaitedAnvil(anvil)


@pytest.fixture
async def sandbox(chain: AwaitedAnvil) -> AsyncIterator[GpuNetSandbox]:
    async with GpuNetSandbox(chain, artifact("market")["bytecode"]) as sandbox:
        yield sandbox


def endpoints(*urls: str, quorum: int | None = None) -> ContractCalls:
    return ContractCalls(ContractChain(CHAIN_ID, tuple(map(SecretStr, urls)), quorum))


async def test_the_market_reads_as_web3_reads_it(sandbox: GpuNetSandbox) -> None:
    web3 = Web3(HTTPProvider(sandbox.chain.rpc))
    contract = web3.eth.contract(Web3.to_checksum_address(sandbox.contract), abi=INTERFACE)
    last = contract.functions.machineId().call()
    theirs = {
        number: contract.functions.machines(number).call() for number in (10_001, 10_002, last)
    }
    async with endpoints(sandbox.chain.rpc) as reader:
        market = Market(reader, sandbox.contract)
        for number, values in theirs.items():
            ours = await market.machine(number)
            shown = (
                ours.gpu,
                ours.vram,
                ours.region,
                ours.hourly * 10**6,
                ours.listed,
                ours.rented,
            )
            assert shown == (values[1], values[2], values[7], values[8], values[9], values[10])
        offers = await market.offers()
    assert last == 10_003
    free = [n for n in theirs if contract.functions.checkAvailability(n).call()]
    assert {each.number for each in offers} == set(free) == {10_002, 10_003}
    assert [each.hourly for each in offers] == [Decimal(2), Decimal(3)]


async def test_a_rent_and_a_price_are_seen_as_they_change(sandbox: GpuNetSandbox) -> None:
    async with endpoints(sandbox.chain.rpc) as reader:
        market = Market(reader, sandbox.contract)
        assert (await market.machine(10_001)).rented
        await sandbox.complete(10_001)
        await sandbox.price(10_001, 5)
        found = await market.machine(10_001)
    assert (found.rented, found.hourly) == (False, Decimal(5))


async def test_another_chain_and_a_machine_that_is_not_are_a_retry(
    sandbox: GpuNetSandbox,
) -> None:
    url = SecretStr(sandbox.chain.rpc)
    async with ContractCalls(ContractChain(1, (url,))) as reader:
        with pytest.raises(Retry, match="serves eip155:4048"):
            await Market(reader, sandbox.contract).offers()
    async with endpoints(sandbox.chain.rpc) as reader:
        with pytest.raises(Retry, match="no machine 9"):
            await Market(reader, sandbox.contract).machine(9)
        with pytest.raises(Retry):
            await Market(reader, "0x" + "11" * 20).offers()


async def test_so_many_endpoints_must_agree(sandbox: GpuNetSandbox) -> None:
    good = sandbox.chain.rpc
    dead = "http://127.0.0.1:9"
    async with endpoints(good, good + "/?b", dead) as reader:
        assert reader.trust == "2 of 3 endpoints"
        assert len(await Market(reader, sandbox.contract).offers()) == 2
    async with endpoints(good, dead) as reader:
        with pytest.raises(Retry):
            await Market(reader, sandbox.contract).offers()


class Said:
    """A reader that says what a test wrote: what a contract of a stranger's may return."""

    trust = "one endpoint"

    def __init__(self, machine: bytes, last: int = 10_001) -> None:
        self.machine, self.last, self.asked = machine, last, 0

    async def head(self) -> int:
        return 1

    async def call(self, address: str, data: bytes, height: int) -> bytes:
        self.asked += 1
        return self.machine if len(data) > 4 else self.last.to_bytes(32, "big")


def changed(**values: object) -> bytes:
    names = [output["name"] for output in INTERFACE[2]["outputs"]]
    fields = {**dict(zip(names, GOOD, strict=True)), **values}
    return encode(KINDS, list(fields.values()))


def pointing(at: int) -> bytes:
    """A machine whose GPU's name begins at an offset of our choice."""
    data = bytearray(encode(KINDS, list(GOOD)))
    data[32:64] = at.to_bytes(32, "big")
    return bytes(data)


NONSENSE = {
    "nothing": b"",
    "less than a word": b"\0" * 31,
    "all ones": b"\xff" * 32 * 11,
    "a price beyond belief": changed(bidPrice=(1 << 256) - 1),
    "memory beyond belief": changed(gpuVRAM=(1 << 256) - 1),
    "no name": changed(gpuName=""),
    "a name without end": changed(gpuName="x" * 20_000),
    "a name behind the end of memory": pointing((1 << 256) - 32),
    "a name within the numbers": pointing(0),
    "a name between words": pointing(33),
    "a name behind the answer": pointing(1 << 20),
    "a name that is cut": encode(KINDS, list(GOOD))[:-32],
    "a flag that is two": encode([*KINDS[:-1], "uint256"], [*GOOD[:-1], 2]),
}


@pytest.mark.parametrize("machine", NONSENSE.values(), ids=NONSENSE)
async def test_a_machine_that_is_nonsense_is_not_offered(machine: bytes) -> None:
    assert await Market(Said(machine), "0x00").offers() == ()


async def test_a_strangers_words_are_made_printable_and_short() -> None:
    reader = Said(changed(gpuName="\x1b[2J\nRTX\u202e" + "x" * 500))
    [found] = await Market(reader, "0x00").offers()
    assert len(found.gpu) <= 128
    assert found.gpu.isascii()
    assert found.gpu.isprintable()


async def test_a_market_without_end_costs_a_bounded_number_of_calls() -> None:
    reader = Said(changed(), last=(1 << 63) - 1)
    assert len(await Market(reader, "0x00").offers()) == 512
    assert reader.asked == 513
    with pytest.raises(Retry, match="beyond belief"):
        await Market(Said(changed(), last=1 << 255), "0x00").offers()


async def test_openais_client_talks_to_the_machine(sandbox: GpuNetSandbox) -> None:
    async with AsyncOpenAI(
        base_url=sandbox.base_url, api_key=sandbox.api_key, max_retries=0
    ) as client:
        hello = [{"role": "user", "content": "Hello"}]
        answer = await client.chat.completions.create(model=MODEL, messages=hello)
        assert answer.choices[0].message.content


async def test_nothing_is_sent_to_a_machine_whose_rent_is_over(
    sandbox: GpuNetSandbox, tmp_path: Path
) -> None:
    hello = Completion(model=Model(MODEL), messages=(Message("user", "Hello"),), max_tokens=4)
    backend = GpuNetBackend(config(sandbox, tmp_path, machine=sandbox.rented))
    backend.read_by(ContractCalls)
    async with backend:
        with pytest.raises(Retry, match="not read"):
            await backend.complete(hello, timeout=5)
        await backend.look()
        assert (await backend.complete(hello, timeout=5)).text
        await sandbox.complete(sandbox.rented)
        await backend.look()
        asked = len(sandbox.calls)
        with pytest.raises(Barred, match="not rented"):
            await backend.complete(hello, timeout=5)
        assert len(sandbox.calls) == asked


class TestMachine(BackendConformance):
    """A machine of no market is an OpenAI-compatible server like any other."""

    @pytest.fixture
    async def backend(self, sandbox: GpuNetSandbox, tmp_path: Path) -> AsyncIterator[GpuNetBackend]:
        sandbox.chat.models[MODEL] = ScriptedModel(MODEL, first=0.05)
        async with GpuNetBackend(config(sandbox, tmp_path, models=())) as backend:
            yield backend


async def test_without_anyone_who_reads_chains_a_market_is_not_ignored(
    sandbox: GpuNetSandbox, tmp_path: Path
) -> None:
    with pytest.raises(Refuse, match="nobody here reads chains"):
        async with GpuNetBackend(config(sandbox, tmp_path, machine=sandbox.rented)):
            pass


def config(sandbox: GpuNetSandbox, folder: Path, **more: Any) -> GpuNetConfig:
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_text(sandbox.api_key)
    table = {
        "name": "gpu",
        "base_url": sandbox.base_url,
        "api_key_file": key,
        "models": ({"name": MODEL},),
        "contract": sandbox.contract,
        "rpc": (sandbox.chain.rpc,),
    }
    return GpuNetConfig.model_validate({**table, **more})
