"""A chain as somebody else sees it: raw JSON-RPC, eth_abi and the hub's ABI, nothing of vagus."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from eth_abi.abi import decode, encode
from eth_account.signers.local import LocalAccount
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
)
from eth_utils.crypto import keccak

__all__ = ["Chain", "Event", "RpcError"]

HUB = Path(__file__).parents[2] / "adapters/vagus/adapters/evm/abi/hub.json"
MAX_FEE = 100 * 10**9
TIP = 10**9


class RpcError(Exception):
    """What a node said instead of a result."""


@dataclass(frozen=True)
class Event:
    """One event of a contract: its arguments by name, when it was logged, in chain time, and by what."""

    name: str
    args: dict[str, Any]
    time: int
    tx: str


class Chain:
    """One node and the hub on it."""

    def __init__(self, number: int, chain_id: int, rpc: str, http: aiohttp.ClientSession) -> None:
        self.number, self.chain_id, self._rpc, self._http = number, chain_id, rpc, http
        self._ids = itertools.count(1)
        self._events: dict[str, _EventAbi] = {}
        self._calls: dict[str, Any] = {}
        self.addresses: dict[str, str] = {}
        self.now = 0
        """The newest block's time, as of the last `heads`."""

    @property
    def hub_id(self) -> bytes:
        return keccak(text=f"eip155:{self.chain_id}:{self.addresses['hub']}")

    def know(self, name: str, address: str, abi: list[dict[str, Any]]) -> None:
        """Read and call a contract from now on."""
        self.addresses[name] = address.lower()
        for each in abi:
            if each["type"] == "event":
                self._events[event_abi_to_log_topic(each).hex()] = _EventAbi(each)  # type: ignore[arg-type]
            elif each["type"] == "function":
                self._calls[f"{name}.{each['name']}"] = each

    def know_hub(self, address: str) -> None:
        self.know("hub", address, json.loads(HUB.read_bytes())["abi"])

    async def call(self, method: str, *params: Any) -> Any:
        """The result of one call; RpcError."""
        (result,) = await self.batch([(method, list(params))])
        if isinstance(result, RpcError):
            raise result
        return result

    async def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """The result of each call in one request, or the RpcError in its place."""
        if not calls:
            return []
        requests = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
            for method, params in calls
        ]
        headers = {"Content-Type": "application/json"}
        async with self._http.post(
            self._rpc, data=orjson.dumps(requests), headers=headers
        ) as response:
            answers = {each["id"]: each for each in orjson.loads(await response.read())}
        return [_result(answers[request["id"]]) for request in requests]

    async def tagged(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Several answers about blocks named by tags, none of them null or an error.

        While anvil replaces blocks it has none under a tag, for a moment.
        """
        for _ in range(100):
            found = await self.batch(calls)
            if not any(each is None or isinstance(each, RpcError) for each in found):
                return found
            await asyncio.sleep(0.1)
        raise RuntimeError(f"anvil {self.number} has had no block under a tag for ten seconds")

    async def heads(self) -> tuple[int, int]:
        """The heights of the newest and of the newest final block."""
        latest, final = await self.tagged(
            [("eth_getBlockByNumber", [tag, False]) for tag in ("latest", "finalized")]
        )
        self.now = int(latest["timestamp"], 16)
        return int(latest["number"], 16), int(final["number"], 16)

    async def events(self, first: int, last: int) -> list[Event]:
        """All events of the known contracts in these blocks, in their order."""
        wanted = {
            "address": list(self.addresses.values()),
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        logs = await self.call("eth_getLogs", wanted)
        return [self._events[log["topics"][0][2:]].event(log) for log in logs]

    def encode(self, call: str, *arguments: Any) -> bytes:
        """Calldata of "contract.function"."""
        abi = self._calls[call]
        types = [collapse_if_tuple(each) for each in abi["inputs"]]
        return function_abi_to_4byte_selector(abi) + encode(types, arguments)

    def decode(self, call: str, data: bytes) -> tuple[Any, ...]:
        """The arguments of "contract.function" in calldata; ValueError for another function's."""
        abi = self._calls[call]
        if data[:4] != function_abi_to_4byte_selector(abi):
            raise ValueError(f"0x{data[:4].hex()} is not {call}")
        return decode([collapse_if_tuple(each) for each in abi["inputs"]], data[4:])

    async def view(self, call: str, *arguments: Any) -> Any:
        """What a view answers at the newest block."""
        to = self.addresses[call.partition(".")[0]]
        data = self.encode(call, *arguments).hex()
        found = await self.call("eth_call", {"to": to, "data": f"0x{data}"}, "latest")
        types = [collapse_if_tuple(each) for each in self._calls[call]["outputs"]]
        return decode(types, bytes.fromhex(found[2:]))[0]

    def sign(
        self, account: LocalAccount, nonce: int, data: bytes, *, to: str, value: int, gas: int
    ) -> str:
        """A signed transaction in hex; `to` is a known contract, or "" for a deployment."""
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": nonce,
            "maxFeePerGas": MAX_FEE,
            "maxPriorityFeePerGas": TIP,
            "gas": gas,
            "value": value,
            "data": data,
            "to": bytes.fromhex(self.addresses[to][2:]) if to else b"",
        }
        return "0x" + account.sign_transaction(fields).raw_transaction.hex()

    async def deploy(self, account: LocalAccount, build: dict[str, Any], *hubs: str) -> str:
        """Deploy a build whose constructor takes these addresses; its own address."""
        data = bytes.fromhex(build["bytecode"].removeprefix("0x"))
        data += encode(["address"] * len(hubs), hubs)
        nonce = int(await self.call("eth_getTransactionCount", account.address, "latest"), 16)
        raw = self.sign(account, nonce, data, to="", value=0, gas=5_000_000)
        sent = await self.call("eth_sendRawTransaction", raw)
        while (receipt := await self.call("eth_getTransactionReceipt", sent)) is None:
            await asyncio.sleep(0.1)
        if receipt["status"] != "0x1":
            raise RpcError(f"a deployment reverted: {receipt}")
        return receipt["contractAddress"]

    async def nonce(self, address: str) -> int:
        """How many transactions of an account are in blocks."""
        return int(await self.call("eth_getTransactionCount", address, "latest"), 16)

    async def balance(self, address: str) -> int:
        """What an account has, in wei."""
        return int(await self.call("eth_getBalance", address, "latest"), 16)


class _EventAbi:
    """One event's layout, looked at once."""

    def __init__(self, abi: dict[str, Any]) -> None:
        self._name = abi["name"]
        self._plain = [each["name"] for each in abi["inputs"] if not each["indexed"]]
        self._indexed = [each["name"] for each in abi["inputs"] if each["indexed"]]
        self._types = [collapse_if_tuple(each) for each in abi["inputs"] if not each["indexed"]]

    def event(self, log: dict[str, Any]) -> Event:
        """Decode a log; indexed arguments stay words."""
        words = [bytes.fromhex(topic[2:]) for topic in log["topics"][1:]]
        values = decode(self._types, bytes.fromhex(log["data"][2:]))
        args = dict(zip(self._indexed, words, strict=True))
        args |= zip(self._plain, values, strict=True)
        return Event(self._name, args, int(log["blockTimestamp"], 16), log["transactionHash"])


def _result(answer: dict[str, Any]) -> Any:
    return RpcError(answer["error"]["message"]) if "error" in answer else answer["result"]
