"""What a lying Solana node says: faults for the harness of any Solana chain with a hub.

A lie here is consistent: ids and hashes are those of the forged bytes, so that nothing but another
endpoint can give it away. Offsets are those of docs/hub-solana.md.
"""

from __future__ import annotations

import dataclasses
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from vagus.adapters.base import IntentState
from vagus.adapters.conformance.exchange import Request
from vagus.adapters.conformance.faults import Both, Fault, Lie, Only
from vagus.adapters.solana.codec import INTENT_SIZE, intent, read_intent
from vagus.protocol import Account, base58

__all__ = ["another_chain", "forgeries", "result"]

_CONFIG, _SIGNERS, _INTENT, _DELIVERY, _CREDIT = range(1, 6)
_NEXT_SEQ = 224  # its place in the config account
_SIGNER = 48  # the first signer's in a set's
_STATE, _ID, _ASKED = 2, 48, 96  # an intent's state, its id, and what was asked
_REQUEST = b"\x01"
_REQUESTS_INTENT = 4  # the place of the intent's account among those of a request
_NOWHERE = Pubkey(b"\x77" * 32)

Bend = Callable[[bytes], bytes]


def result(method: str, bend: Callable[[Any], Any]) -> Fault:
    """Return the fault that bends the result of a method; errors and null stay."""

    def lie(_: Request, answer: dict[str, Any]) -> dict[str, Any]:
        if answer.get("result") is not None:
            answer["result"] = bend(answer["result"])
        return answer

    return Only((method,), Lie(lie))


def another_chain() -> Fault:
    """Return the fault that makes a node serve another chain."""
    return result("getGenesisHash", lambda _: "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d")


def forgeries(hub: str, nobody: bytes, asked: Iterable[bytes]) -> Mapping[str, Fault]:
    """Return the lies of which each would lead to a wrong signature or a lost transaction.

    `nobody` is an account without credit, `asked` the ids of the intents that will be looked for.
    """
    program = Pubkey.from_string(Account.parse(hub).address)
    return {
        "another block under a slot": result("getBlock", _other_hash),
        "a later head": Both(result("getSlot", lambda slot: slot + 1_000), _blocks_to_come()),
        "another fee in an intent": _accounts(_INTENT, _dearer),
        "an intent that was never asked": Both(
            _accounts(_CONFIG, _counted(1)), Both(_one_more(program), _invented())
        ),
        "an intent that is hidden": Both(
            _accounts(_CONFIG, _counted(-1)),
            result("getSignaturesForAddress", lambda found: found[1:]),
        ),
        "a settled intent that is open": _accounts(
            _INTENT, _replaced(_STATE, bytes((IntentState.SETTLED,)))
        ),
        "a delivery that never was": _absent(program, _deliveries(program, asked)),
        "another signer": _accounts(_SIGNERS, _replaced(_SIGNER, b"\x00" * 19 + b"\x77")),
        "a credit": _absent(program, _credits(program, nobody)),
        "a failed transaction": result("getSignatureStatuses", _failed),
        "a transaction that expired unseen": Both(
            result("getSignatureStatuses", _unseen),
            result("getBlockHeight", lambda height: height + 1_000),
        ),
    }


# Blocks and transactions


def _other_hash(block: dict[str, Any]) -> dict[str, Any]:
    return block | {"blockhash": base58.encode(base58.decode(block["blockhash"])[::-1])}


def _blocks_to_come() -> Fault:
    """Return the fault that has a block in every slot."""

    def lie(request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        slot = request["params"][0]
        if answer.get("result") is not None:
            return answer
        blockhash = base58.encode(slot.to_bytes(32, "big"))
        made = {"blockhash": blockhash, "blockTime": 2_000_000_000 + slot, "blockHeight": slot}
        return {"jsonrpc": "2.0", "id": answer["id"], "result": made}

    return Only(("getBlock",), Lie(lie))


def _failed(statuses: dict[str, Any]) -> dict[str, Any]:
    err = {"InstructionError": [2, {"Custom": 6036}]}
    return statuses | {"value": [each and each | {"err": err} for each in statuses["value"]]}


def _unseen(statuses: dict[str, Any]) -> dict[str, Any]:
    return statuses | {"value": [None for _ in statuses["value"]]}


def _one_more(program: Pubkey) -> Fault:
    """A transaction that asked an intent asked another one too, at an account that is not there."""

    def bend(found: dict[str, Any]) -> dict[str, Any]:
        message = VersionedTransaction.from_bytes(b64decode(found["transaction"][0])).message
        keys, meta = message.account_keys, found["meta"]
        loaded = meta.get("loadedAddresses") or {"writable": [], "readonly": []}
        for at, each in enumerate(message.instructions):
            if keys[each.program_id_index] == program and each.data[:1] == _REQUEST:
                accounts = list(each.accounts)
                accounts[_REQUESTS_INTENT] = len(keys) + sum(map(len, loaded.values()))
                meta["loadedAddresses"] = loaded | {
                    "readonly": [*loaded["readonly"], str(_NOWHERE)]
                }
                called = {
                    "programIdIndex": each.program_id_index,
                    "accounts": accounts,
                    "data": base58.encode(each.data),
                    "stackHeight": 2,
                }
                inner = meta["innerInstructions"] or []
                meta["innerInstructions"] = [*inner, {"index": at, "instructions": [called]}]
                break
        return found

    return result("getTransaction", bend)


# Accounts


def _accounts(kind: int, bend: Bend) -> Fault:
    """Return the fault that bends the accounts of one kind."""

    def each(account: dict[str, Any] | None) -> dict[str, Any] | None:
        if account is None:
            return None
        data = b64decode(account["data"][0])
        return _with_data(account, bend(data)) if data[:1] == bytes((kind,)) else account

    def lie(_: Request, answer: dict[str, Any]) -> dict[str, Any]:
        found = answer.get("result")
        if isinstance(found, dict):
            found["value"] = [each(account) for account in found["value"]]
        elif isinstance(found, list):
            answer["result"] = [one | {"account": each(one["account"])} for one in found]
        return answer

    return Only(("getMultipleAccounts", "getProgramAccounts"), Lie(lie))


def _absent(program: Pubkey, data: Mapping[str, bytes]) -> Fault:
    """Return the fault that invents accounts of the hub's, by their addresses, where there are none."""

    def lie(request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        found = answer.get("result")
        if found is not None:
            found["value"] = [
                _account(program, data[key]) if account is None and key in data else account
                for key, account in zip(request["params"][0], found["value"], strict=True)
            ]
        return answer

    return Only(("getMultipleAccounts",), Lie(lie))


def _invented() -> Fault:
    """Return the fault that has an intent at the account that is nowhere: the one after its neighbour."""

    def lie(request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        found, keys = answer.get("result"), request["params"][0]
        if found is None or str(_NOWHERE) not in keys:
            return answer
        values, at = found["value"], keys.index(str(_NOWHERE))
        if at and values[at - 1] is not None:
            values[at] = _with_data(values[at - 1], _next(b64decode(values[at - 1]["data"][0])))
        return answer

    return Only(("getMultipleAccounts",), Lie(lie))


def _account(program: Pubkey, data: bytes) -> dict[str, Any]:
    return {
        "lamports": 10**7,
        "owner": str(program),
        "data": [b64encode(data).decode(), "base64"],
        "executable": False,
        "rentEpoch": 0,
        "space": len(data),
    }


def _with_data(account: dict[str, Any], data: bytes) -> dict[str, Any]:
    return account | {"data": [b64encode(data).decode(), "base64"]}


def _replaced(at: int, other: bytes) -> Bend:
    def bend(data: bytes) -> bytes:
        return data[:at] + other + data[at + len(other) :]

    return bend


def _counted(by: int) -> Bend:
    def bend(data: bytes) -> bytes:
        next_seq = int.from_bytes(data[_NEXT_SEQ : _NEXT_SEQ + 8], "little") + by
        return _replaced(_NEXT_SEQ, next_seq.to_bytes(8, "little"))(data)

    return bend


def _dearer(data: bytes) -> bytes:
    return _asked(data, fee=1)


def _next(data: bytes) -> bytes:
    return _asked(data, seq=1)


def _asked(data: bytes, fee: int = 0, seq: int = 0) -> bytes:
    known = read_intent(data[_ASKED : _ASKED + INTENT_SIZE])
    other = dataclasses.replace(known, max_fee=known.max_fee + fee, seq=known.seq + seq)
    return _replaced(_ASKED, intent(other))(_replaced(_ID, other.id)(data))


def _deliveries(program: Pubkey, asked: Iterable[bytes]) -> dict[str, bytes]:
    """Successes, just now, with another output, by their addresses."""
    found = {}
    for each in asked:
        key = Pubkey.find_program_address([b"delivery", each], program)[0]
        head = bytes((_DELIVERY, 255, 0, 0)) + (1).to_bytes(4, "little")
        words = each + b"\x66" * 32 + b"\x67" * 32 + b"\x01" * 32
        found[str(key)] = head + words + b"".join((1).to_bytes(8, "little") for _ in range(4))
    return found


def _credits(program: Pubkey, owner: bytes) -> dict[str, bytes]:
    key = Pubkey.find_program_address([b"credit", owner], program)[0]
    data = bytes((_CREDIT, 255)) + bytes(6) + owner + (10**18).to_bytes(8, "little")
    return {str(key): data}
