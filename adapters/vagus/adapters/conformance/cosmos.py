"""What a lying Cosmos node says: faults for the harness of any chain with CometBFT and CosmWasm."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from vagus.adapters.conformance.exchange import Request
from vagus.adapters.conformance.faults import Both, Fault, Lie, Only
from vagus.adapters.cosmos.protobuf import fields, message, varint

__all__ = ["another_chain", "forgeries", "query", "result", "smart"]

_SMART = "/cosmwasm.wasm.v1.Query/SmartContractState"
_ACCOUNT = "/cosmos.auth.v1beta1.Query/Account"
_SEQUENCE = 4  # its field in a BaseAccount
_EVENT = "wasm-intent_requested"


def result(method: str, bend: Callable[[Any], Any]) -> Fault:
    """Return the fault that bends the result of a method; errors stay."""

    def lie(_: Request, answer: dict[str, Any]) -> dict[str, Any]:
        if answer.get("result") is not None:
            answer["result"] = bend(answer["result"])
        return answer

    return Only((method,), Lie(lie))


def query(path: str, bend: Callable[[bytes, bytes], bytes]) -> Fault:
    """Return the fault that bends what a query answers: `bend(question, answer)`, both protobuf."""

    def lie(request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        response = answer.get("result", {}).get("response", {})
        if request["params"]["path"] == path and response.get("value"):
            question = bytes.fromhex(request["params"]["data"])
            response["value"] = b64encode(bend(question, b64decode(response["value"]))).decode()
        return answer

    return Only(("abci_query",), Lie(lie))


def smart(name: str, bend: Callable[[Any], Any]) -> Fault:
    """Return the fault that bends the JSON which contracts answer to a query of this name."""

    def lie(question: bytes, answer: bytes) -> bytes:
        asked = msgspec.json.decode(_bytes(dict(fields(question))[2]))
        if name not in asked:
            return answer
        data = msgspec.json.decode(_bytes(dict(fields(answer))[1]))
        return message(1, msgspec.json.encode(bend(data)))

    return query(_SMART, lie)


def another_chain() -> Fault:
    """Return the fault that makes a node serve another chain."""
    return result("blockchain", lambda found: _headers(found, chain_id="another-1"))


def forgeries(chain_id: str) -> Mapping[str, Fault]:
    """Return the lies of which each would lead to a wrong signature or a lost transaction."""
    return {
        "another block under a height": result("blockchain", _other_hash),
        "a later head": Both(
            result("abci_info", _later), Only(("blockchain",), Lie(_made_up(chain_id)))
        ),
        "another fee in an intent": result("block_results", _dearer),
        "an intent that was never asked": Both(smart("requests", _one_more), _counted(1)),
        "an intent that is hidden": Both(smart("requests", lambda found: found[:-1]), _counted(-1)),
        "an open intent where none is": smart("intent_state", _opened),
        "a delivery that never was": smart("delivery", _delivered),
        "another signer": smart("committee", lambda found: found | {"signers": ["77" * 20]}),
        "a credit": smart("credit", lambda found: str(int(found) + 10**18)),
        "used sequences": query(_ACCOUNT, _used),
        "a failed transaction": result(
            "tx", lambda found: found | {"tx_result": found["tx_result"] | {"code": 5}}
        ),
    }


def _headers(found: dict[str, Any], **changes: str) -> dict[str, Any]:
    for meta in found["block_metas"]:
        meta["header"] |= changes
    return found


def _other_hash(found: dict[str, Any]) -> dict[str, Any]:
    for meta in found["block_metas"]:
        meta["block_id"]["hash"] = meta["block_id"]["hash"][::-1]
    return found


def _later(found: dict[str, Any]) -> dict[str, Any]:
    response = found["response"]
    response["last_block_height"] = str(int(response["last_block_height"]) + 1_000)
    return found


def _made_up(chain_id: str) -> Callable[[Request, dict[str, Any]], dict[str, Any]]:
    """A header for every height, those too that the chain has not reached."""

    def lie(request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        if answer.get("error") is None:
            return answer
        header = {
            "chain_id": chain_id,
            "height": request["params"]["minHeight"],
            "time": "2100-01-01T00:00:00Z",
        }
        meta = {"block_id": {"hash": "AB" * 32}, "header": header}
        return {"jsonrpc": "2.0", "id": answer["id"], "result": {"block_metas": [meta]}}

    return lie


def _dearer(found: dict[str, Any]) -> dict[str, Any]:
    events = [event for each in found["txs_results"] or () for event in each["events"]]
    for event in events:
        for attribute in event["attributes"] if event["type"] == _EVENT else ():
            if attribute["key"] == "max_fee":
                attribute["value"] = str(int(attribute["value"]) + 1)
    return found


def _one_more(found: list[dict[str, str]]) -> list[dict[str, str]]:
    """Behind the last one, in the same block."""
    if not found:
        return found
    last = found[-1]
    return [*found, last | {"seq": str(int(last["seq"]) + 1), "intent_id": "99" * 32}]


def _counted(by: int) -> Fault:
    return smart("config", lambda found: found | {"next_seq": str(int(found["next_seq"]) + by)})


def _opened(_: object) -> dict[str, str]:
    words = {"requester": "11" * 32, "dest_hub": "22" * 32}
    return {"state": "open", "deadline": "4000000000", "escrow": "1", **words}


def _delivered(_: object) -> dict[str, str]:
    """A success, just now, with another output."""
    return {
        "delivered_at": "1",
        "status": "0",
        "output_hash": "66" * 32,
        "evidence_hash": "67" * 32,
        "epoch": "1",
        "signers": "1",
        "deliverer": "68" * 32,
        "callback": "none",
    }


def _used(_: bytes, answer: bytes) -> bytes:
    """An account's answer is a packed one: its type's name, then its bytes."""
    packed = dict(fields(_bytes(dict(fields(answer))[1])))
    account = dict(fields(_bytes(packed[2])))
    sequence = int(account.pop(_SEQUENCE, 0)) + 9
    body = b"".join(
        message(field, value) if isinstance(value, bytes) else varint(field << 3) + varint(value)
        for field, value in account.items()
    )
    body += varint(_SEQUENCE << 3) + varint(sequence)
    return message(1, message(1, _bytes(packed[1])) + message(2, body))


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("a number where bytes are")
    return value
