"""What a lying EVM node says: faults for the harness of any EVM chain.

A lie here is consistent: hashes are those of the forged bytes, so that nothing but another endpoint
can give it away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vagus.adapters.base import IntentState
from vagus.adapters.conformance.exchange import Request
from vagus.adapters.conformance.faults import Both, Fault, Lie, Only
from vagus.adapters.evm.codec import WORD, selector, word
from vagus.protocol import Account, Intent

__all__ = ["forgeries", "result", "view"]

_INTENT_SIZE = 14 * WORD
_MAX_FEE = 12  # the fee's place among an intent's words
_NEXT_SEQ = 10  # its place among the words of config()
_SIGNERS = (
    10  # the first signer's among those of committee(), behind offset, eight words and a length
)


def result(method: str, bend: Callable[[Any], Any]) -> Fault:
    """Return the fault that bends the result of a method; errors and null stay."""

    def lie(_: Request, answer: dict[str, Any]) -> dict[str, Any]:
        if answer.get("result") is not None:
            answer["result"] = bend(answer["result"])
        return answer

    return Only((method,), Lie(lie))


def view(hub: str, signature: str, bend: Callable[[bytes], bytes]) -> Fault:
    """Return the fault that bends what a view of a hub (CAIP-10) answers to eth_call."""
    called, address = selector(signature).hex(), Account.parse(hub).address.lower()

    def lie(request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        call = request["params"][0]
        data = str(call.get("data", call.get("input", "")))
        if str(call.get("to")).lower() == address and data.startswith("0x" + called):
            answer["result"] = "0x" + bend(_bytes(answer["result"])).hex()
        return answer

    return Only(("eth_call",), Lie(lie))


def forgeries(hub: str) -> Mapping[str, Fault]:
    """Return the lies of which each would lead to a wrong signature or a lost transaction."""
    return {
        "another block under a height": result("eth_getBlockByNumber", _other_hash),
        "a later head": result("eth_getBlockByNumber", _later),
        "another fee in an intent": result("eth_getLogs", lambda logs: [*map(_dearer, logs)]),
        "an intent that was never asked": Both(
            result("eth_getLogs", _one_more), view(hub, "config()", _counted(1))
        ),
        "an intent that is hidden": Both(
            result("eth_getLogs", lambda logs: logs[:-1]), view(hub, "config()", _counted(-1))
        ),
        "an open intent where none is": view(hub, "intentState(bytes32)", _opened),
        "a delivery that never was": view(hub, "delivery(bytes32)", _delivered),
        "another signer": view(hub, "committee()", _replaced(_SIGNERS, word(0x77))),
        "a credit": view(hub, "credit(address)", lambda data: word(int.from_bytes(data) + 10**18)),
        "used nonces": result("eth_getTransactionCount", lambda count: hex(int(count, 16) + 9)),
        "a reverted transaction": result(
            "eth_getTransactionReceipt", lambda receipt: receipt | {"status": "0x0"}
        ),
    }


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _other_hash(block: dict[str, Any]) -> dict[str, Any]:
    return block | {"hash": "0x" + _bytes(block["hash"])[::-1].hex()}


def _later(block: dict[str, Any]) -> dict[str, Any]:
    return block | {"number": hex(int(block["number"], 16) + 1_000)}


def _dearer(log: dict[str, Any], by: int = 1, seq: int = 0) -> dict[str, Any]:
    data = bytearray(_bytes(log["data"]))
    fee, at = slice(_MAX_FEE * WORD, (_MAX_FEE + 1) * WORD), slice(WORD, 2 * WORD)
    data[fee] = word(int.from_bytes(data[fee]) + by)
    data[at] = word(int.from_bytes(data[at]) + seq)
    intent = Intent.decode(bytes(data[:_INTENT_SIZE]))
    topics = [log["topics"][0], "0x" + intent.id.hex(), "0x" + word(intent.seq).hex()]
    return log | {"data": "0x" + bytes(data).hex(), "topics": topics}


def _one_more(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Behind the last one, in the same block, as the log after it."""
    if not logs:
        return logs
    index = hex(int(logs[-1]["logIndex"], 16) + 1)
    return [*logs, _dearer(logs[-1], seq=1) | {"logIndex": index}]


def _counted(by: int) -> Callable[[bytes], bytes]:
    def bend(config: bytes) -> bytes:
        at = slice(_NEXT_SEQ * WORD, (_NEXT_SEQ + 1) * WORD)
        return _replaced(_NEXT_SEQ, word(int.from_bytes(config[at]) + by))(config)

    return bend


def _opened(state: bytes) -> bytes:
    return _replaced(0, word(IntentState.OPEN))(state)


def _delivered(_: bytes) -> bytes:
    """A success, just now, with another output."""
    return b"".join(
        (word(1), word(0), b"\x66" * WORD, b"\x67" * WORD, word(1), word(1), word(1), word(0))
    )


def _replaced(index: int, other: bytes) -> Callable[[bytes], bytes]:
    def bend(data: bytes) -> bytes:
        return data[: index * WORD] + other + data[(index + 1) * WORD :]

    return bend
