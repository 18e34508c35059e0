"""GPU.net in small: its market's contract on a development chain, and a machine that was rented there.

GPU.net has no API for renting: machines are had in its console, and its market is a contract. So the
sandbox is an OpenAI-compatible server, the rented machine, and the contract on a chain with GPU.net's
id, which whoever starts the sandbox hands in: this package runs no chain.
"""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol, Self

from aiohttp import web

from vagus.compute.sandbox.base import ApiError, Sandbox, json_response
from vagus.compute.sandbox.chat import LISTED, Chat, ScriptedModel
from vagus.protocol import keccak256

__all__ = ["CHAIN_ID", "DevChain", "GpuNetSandbox"]

CHAIN_ID = 4048
MODEL = "Qwen/Qwen3-8B"
FIRST = 10_001
# As the market has them: processor, GPU, its GB, the machine's GB, disk, cores, place, USD an hour.
MACHINES = (
    ("EPYC 7543", "NVIDIA RTX 4090", 24, 128, 1000, 32, "eu-de", 1),
    ("EPYC 9654", "NVIDIA H100 PCIe", 80, 256, 2000, 48, "us-east", 3),
    ("Xeon 8480", "NVIDIA A100 80GB", 80, 256, 2000, 48, "ap-south", 2),
)


class DevChain(Protocol):
    """A development chain of anvil's, whose accounts are unlocked. rpc: its JSON-RPC endpoint."""

    @property
    def rpc(self) -> str:
        """The URL to read it at."""
        ...

    async def call(self, method: str, *params: object) -> Any:
        """Return the result of a JSON-RPC call."""
        ...


class GpuNetSandbox(Sandbox):
    """The rented machine, at base_url; `contract` is the market, `rented` the machine's number there.

    chain: it has id 4048. bytecode: the market's, as package data has it.
    """

    root = "/v1"

    def __init__(
        self, chain: DevChain, bytecode: str, *, port: int = 0, upstream: str | None = None
    ) -> None:
        super().__init__(port=port, upstream=upstream)
        self.chat = Chat(ScriptedModel(MODEL), upstream=upstream)
        self.chain = chain
        self.contract = ""
        self.rented = FIRST
        self._bytecode = bytecode
        self._server = ""

    async def __aenter__(self) -> Self:
        accounts = await self.chain.call("eth_accounts")
        self._server = accounts[0]
        self.contract = (await self._send(None, self._bytecode))["contractAddress"]
        for machine in MACHINES:
            await self._send(self.contract, _register(*machine))
        await self.rent(self.rented)
        return await super().__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await super().__aexit__(kind, error, trace)

    def show(self) -> dict[str, str]:
        """Return what a client needs: the machine, and where the market is read."""
        market = {"rpc": self.chain.rpc, "contract": self.contract, "machine": str(self.rented)}
        return {**super().show(), **market}

    async def rent(self, machine: int) -> None:
        """Rent a machine, as GPU.net's server does for who pays in its console."""
        await self._send(self.contract, _call("rentMachine(uint256)", machine))

    async def complete(self, machine: int) -> None:
        """End a machine's rent."""
        await self._send(self.contract, _call("completeOrder(uint256)", machine))

    async def price(self, machine: int, usd: int) -> None:
        """Change what a machine costs an hour."""
        await self._send(self.contract, _call("setBidPrice(uint256,uint256)", machine, usd))

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the machine's calls."""
        return [
            web.get(f"{self.root}/models", self._models),
            web.post(f"{self.root}/chat/completions", self.chat.complete),
        ]

    def error(self, status: int, message: str, code: str) -> object:
        """Return OpenAI's error."""
        return {"error": {"message": message, "code": code or None}}

    async def _models(self, request: web.Request) -> web.StreamResponse:
        listed = [{"id": name, "object": "model", "created": LISTED} for name in self.chat.models]
        return json_response({"object": "list", "data": listed})

    async def _send(self, to: str | None, data: str) -> dict[str, Any]:
        """Send a transaction of the market's server, and return its receipt."""
        sent = {"from": self._server, "data": data, "gas": hex(5_000_000)}
        sent |= {} if to is None else {"to": to}
        tx = await self.chain.call("eth_sendTransaction", sent)
        await self.chain.call("anvil_mine", "0x1")
        receipt = await self.chain.call("eth_getTransactionReceipt", tx)
        if receipt is None or receipt["status"] != "0x1":
            raise ApiError(500, "the market refused a transaction of its server")
        found: dict[str, Any] = receipt
        return found


def _call(signature: str, *numbers: int) -> str:
    """Return the data of a call that takes numbers."""
    words = b"".join(each.to_bytes(32, "big") for each in numbers)
    return "0x" + (keccak256(signature.encode())[:4] + words).hex()


def _register(
    cpu: str, gpu: str, vram: int, memory: int, disk: int, cores: int, region: str, usd: int
) -> str:
    """Return the data that lists a machine: nine arguments, of which four are texts behind them."""
    head, tail = b"", b""
    for value in (cpu, gpu, vram, memory, disk, cores, "127.0.0.1", region, usd):
        if isinstance(value, str):
            head += (32 * 9 + len(tail)).to_bytes(32, "big")
            text = value.encode()
            tail += len(text).to_bytes(32, "big") + text.ljust(-(-len(text) // 32) * 32, b"\0")
        else:
            head += value.to_bytes(32, "big")
    signature = (
        b"registerMachines(string,string,uint256,uint256,uint256,uint256,string,string,uint256)"
    )
    return "0x" + (keccak256(signature)[:4] + head + tail).hex()
