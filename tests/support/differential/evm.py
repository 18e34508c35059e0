"""The EVM side: the hub's bytecode on anvil, many calls at once in blocks that anvil only simulates."""

import http.client
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from eth_abi.abi import encode
from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector

from support.anvil import GENESIS, Anvil, running_anvil
from support.contracts import committed
from support.differential.messages import (
    KINDS,
    NOTHING,
    Bounds,
    Delivering,
    Message,
    Signable,
    members,
    values,
)
from support.differential.side import Asked, Recorded
from support.hub import DAY, HubClient, new_hub, word
from support.hub import members as keys_of
from vagus.adapters.base import Question
from vagus.adapters.evm import blocks, hub
from vagus.protocol import Attestation, Intent, Receipt, Rotation

__all__ = ["EvmSide", "running_evm_side"]

NOW = GENESIS + 30 * DAY
TTL = 366 * DAY
GAS = 10_000_000
RICH = 2**255
FEE_BITS = 240  # those of a batch together are less than a balance can be


class _Call(msgspec.Struct, rename="camel"):
    status: str
    return_data: str
    logs: list[blocks._Log]
    error: dict[str, Any] | None = None


class _Block(msgspec.Struct):
    calls: list[_Call]


class _Answer(msgspec.Struct):
    result: list[_Block] | None = None
    error: dict[str, Any] | None = None


_answers = msgspec.json.Decoder(_Answer)


class EvmSide:
    """One hub on anvil. Whatever is asked of it leaves no trace: each batch finds it as it was deployed."""

    name = "evm on anvil"
    batch = 100

    def __init__(self, anvil: Anvil, client: HubClient) -> None:
        self._client = client
        self._address = client.contract.address.lower()
        self._http = http.client.HTTPConnection("127.0.0.1", int(anvil.url.rpartition(":")[2]))
        self._deliverer = client.node
        views = ("intentId", "attestationDigest", "receiptDigest", "rotationDigest")
        self._views = {kind: selector(view) for kind, view in zip(KINDS, views, strict=True)}

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    # Messages

    def packed(self, message: Message) -> bytes:
        match message:
            case Intent():
                return hub.encode_retry(message, b"")[4 : 4 + 14 * 32]
            case Attestation():
                call = hub.encode_deliver(NOTHING, message, b"", [])
                return call[4 + 14 * 32 : 4 + (14 + 9) * 32]
            case Receipt():
                return hub.encode_settle(message, [], [])[4 : 4 + 7 * 32]
            case Rotation():
                return hub.encode_rotate(message, [], [])[4 : 4 + 5 * 32]

    def oracle(self, message: Message) -> bytes:
        found = members(type(message))
        return encode([f"({','.join(of for of, _ in found)})"], [values(message)])

    def hashes(self, messages: Sequence[tuple[bytes, Signable]]) -> list[bytes]:
        calls = []
        for packed, each in messages:
            hub_id = b"" if isinstance(each.message, Intent) else each.hub
            calls.append(self._call(self._views[type(each.message)] + hub_id + packed))
        return [bytes.fromhex(done.return_data[2:]) for done in self._simulate(calls, {})]

    # Calls

    def call(self, what: Question | Delivering) -> bytes:
        if isinstance(what, Question):
            return hub.encode_request(what)
        return hub.encode_deliver(what.intent, what.attestation, what.output, what.signatures)

    def call_oracle(self, what: Question | Delivering) -> bytes:
        name = "request" if isinstance(what, Question) else "deliver"
        # A fee is no argument, and nor is who signed.
        return bytes.fromhex(self._client.contract.encode_abi(name, values(what)[:-1])[2:])

    def bounds(self) -> Bounds:
        return Bounds.of(self._client, NOW, TTL, FEE_BITS)

    def request(self, questions: Sequence[tuple[bytes, Question]]) -> list[Asked]:
        calls = [
            self._call(self.call(question), requester, question.fee)
            for requester, question in questions
        ]
        rich = {"0x" + requester.hex(): {"balance": hex(RICH)} for requester, _ in questions}
        first = self._client.config["nextSeq"]
        found = []
        for place, done in enumerate(self._simulate(calls, rich)):
            (log,) = done.logs
            asked = hub.decode_requested(blocks._event(log), self._client.id)
            found.append(
                Asked(
                    questions[place][0].rjust(32, b"\0"),
                    first + place,
                    bytes.fromhex(done.return_data[2:]),
                    asked.intent,
                    asked.payload,
                    asked.terms,
                )
            )
        return found

    def deliver(self, deliveries: Sequence[Delivering]) -> list[Recorded]:
        deliverer = bytes.fromhex(self._deliverer[2:])
        calls = [self._call(self.call(each), deliverer) for each in deliveries]
        calls += [self._call(hub.encode_delivery_of(each.intent.id)) for each in deliveries]
        done = self._simulate(calls, {})[len(deliveries) :]
        return [
            Recorded(
                hub.decode_delivery(bytes.fromhex(each.return_data[2:])), word(self._deliverer), NOW
            )
            for each in done
        ]

    def _call(self, data: bytes, sender: bytes = bytes(20), value: int = 0) -> dict[str, str]:
        return {
            "from": "0x" + sender.hex(),
            "to": self._address,
            "data": "0x" + data.hex(),
            "value": hex(value),
            "gas": hex(GAS),
        }

    def _simulate(self, calls: list[dict[str, str]], balances: dict[str, Any]) -> list[_Call]:
        block = {"blockOverrides": {"time": hex(NOW)}, "stateOverrides": balances, "calls": calls}
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "eth_simulateV1",
            "params": [{"blockStateCalls": [block]}, "latest"],
        }
        headers = {"Content-Type": "application/json"}
        self._http.request("POST", "/", msgspec.json.encode(body), headers)
        answer = _answers.decode(self._http.getresponse().read())
        if answer.result is None:
            raise RuntimeError(f"eth_simulateV1: {answer.error}")
        done = answer.result[0].calls
        for call, each in zip(calls, done, strict=True):
            if each.status != "0x1":
                raise AssertionError(f"the hub rejects {call}: {each.error} {each.return_data}")
        return done


def selector(name: str) -> bytes:
    """The 4 bytes of a call of the committed abi."""
    entry = next(each for each in committed("hub")["abi"] if each.get("name") == name)
    return function_signature_to_4byte_selector(abi_to_signature(entry))


@contextmanager
def running_evm_side() -> Iterator[EvmSide]:
    """A hub with three signers of whom two suffice, on a chain of its own."""
    with running_anvil(31337, "--disable-block-gas-limit") as anvil:
        client = new_hub(anvil, keys_of(3), 2, anvil.accounts[1], minFee=0, minTtl=0, maxTtl=TTL)
        side = EvmSide(anvil, client)
        try:
            yield side
        finally:
            side.close()
