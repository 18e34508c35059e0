"""Contracts for tests: the committed builds, and sources compiled on the spot."""

import functools
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from vyper.cli.vyper_compile import compile_files
from web3.contract import Contract

from support.anvil import Anvil

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts" / "evm"


@functools.cache
def committed(name: str) -> dict[str, Any]:
    """A committed build: abi, bytecode and what they were made from."""
    text = files("vagus.adapters.evm").joinpath("abi", f"{name}.json").read_text()
    return json.loads(text)


@functools.cache
def compiled(path: Path) -> dict[str, Any]:
    """The abi and bytecode of a Vyper source."""
    output = compile_files([str(path)], ["abi", "bytecode"], paths=[str(CONTRACTS)])
    return next(value for key, value in output.items() if Path(str(key)).name == path.name)


def deploy(
    anvil: Anvil, build: dict[str, Any], *arguments: Any, sender: str | None = None
) -> Contract:
    """Deploy a build from an unlocked account and wait for its receipt."""
    factory = anvil.web3.eth.contract(abi=build["abi"], bytecode=build["bytecode"])
    transaction = factory.constructor(*arguments).build_transaction(
        {"from": sender or anvil.accounts[0], "gas": 25_000_000, "gasPrice": 10**10}
    )
    receipt = mined(anvil, anvil.web3.eth.send_transaction(transaction))
    if receipt["status"] != 1:
        raise RevertError(reason_of(anvil, receipt["transactionHash"].hex()))
    return anvil.web3.eth.contract(address=receipt["contractAddress"], abi=build["abi"])


class RevertError(Exception):
    """A transaction that was included and failed; `reason` is what the contract said."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def reason_of(anvil: Anvil, transaction: str) -> str:
    """The Error(string) with which a transaction failed; empty if there was none."""
    trace = anvil.rpc("debug_traceTransaction", "0x" + transaction, {"tracer": "callTracer"})
    output = bytes.fromhex(trace.get("output", "0x")[2:])
    if output[:4] != bytes.fromhex("08c379a0"):
        return ""
    (reason,) = anvil.web3.codec.decode(["string"], output[4:])
    return reason


def mined(anvil: Anvil, transaction: Any) -> Any:
    """A transaction's receipt: anvil answers a send a little before it has mined the block."""
    return anvil.web3.eth.wait_for_transaction_receipt(transaction, 30, poll_latency=0.005)


def send(anvil: Anvil, call: Any, sender: str, value: int = 0, gas: int = 5_000_000) -> Any:
    """Send a contract call; its receipt, or `RevertError`."""
    hash_ = call.transact({"from": sender, "value": value, "gas": gas})
    receipt = mined(anvil, hash_)
    if receipt["status"] != 1:
        raise RevertError(reason_of(anvil, hash_.hex()))
    return receipt
