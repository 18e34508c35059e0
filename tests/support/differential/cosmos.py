"""The Cosmos side: the hub's contract on wasmd, queries ten at once and calls a hundred a block."""

import base64
import http.client
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
from cosmpy.protos.cosmos.base.v1beta1.coin_pb2 import Coin
from cosmpy.protos.cosmwasm.wasm.v1.query_pb2 import (
    QuerySmartContractStateRequest,
    QuerySmartContractStateResponse,
)
from cosmpy.protos.cosmwasm.wasm.v1.tx_pb2 import MsgExecuteContract

from support.differential.messages import NOTHING, Bounds, Delivering, Message, Signable, values
from support.differential.side import Asked, Recorded
from support.hub import DAY, members, word
from support.hub_cosmos import CosmosHub, json_of, new_hub
from support.wasmd import Chain, running_wasmd
from vagus.adapters.base import Question
from vagus.adapters.cosmos import hub
from vagus.adapters.cosmos.devnet import DENOM
from vagus.protocol import Attestation, Intent, Receipt, Rotation

__all__ = ["CosmosSide", "running_cosmos_side"]

QUERY = "/cosmwasm.wasm.v1.Query/SmartContractState"
TTL = 366 * DAY
FEE_BITS = 80  # of the 2**99 coins that each account has
AHEAD = 3600  # the chain's time moves while a batch is asked
GAS = 900_000  # of one call, on the average
QUERIES = 10  # in one request, CometBFT's own bound


class CosmosSide:
    """One hub on wasmd."""

    name = "cosmos on wasmd"
    batch = 100

    def __init__(self, chain: Chain, client: CosmosHub) -> None:
        self._chain, self._client = chain, client
        self._http = http.client.HTTPConnection("127.0.0.1", int(chain.node.rpc.rpartition(":")[2]))
        self._turn = 0

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    # Messages

    def packed(self, message: Message) -> bytes:
        match message:
            case Intent():
                call = hub.encode_retry(message, b"")
            case Attestation():
                call = hub.encode_deliver(NOTHING, message, b"", [])
            case Receipt():
                call = hub.encode_settle(message, [], [])
            case Rotation():
                call = hub.encode_rotate(message, [], [])
        (arguments,) = _calls.decode(call).values()
        return bytes(arguments[type(message).__name__.lower()])

    def oracle(self, message: Message) -> bytes:
        fields = {name: json_of(getattr(message, name)) for name in message.__slots__}
        return json.dumps(fields, separators=(",", ":")).encode()

    def hashes(self, messages: Sequence[tuple[bytes, Signable]]) -> list[bytes]:
        answers = self._query([question(packed, each) for packed, each in messages])
        return [bytes.fromhex(json.loads(answer)) for answer in answers]

    # Calls

    def call(self, what: Question | Delivering) -> bytes:
        if isinstance(what, Question):
            return hub.encode_request(what)
        return hub.encode_deliver(what.intent, what.attestation, what.output, what.signatures)

    def call_oracle(self, what: Question | Delivering) -> bytes:
        name = "request" if isinstance(what, Question) else "deliver"
        # A fee is no argument, and nor is who signed.
        message = self._client.message(name, *values(what)[:-1])
        return json.dumps(message, separators=(",", ":")).encode()

    def bounds(self) -> Bounds:
        return Bounds.of(self._client, self._chain.now + AHEAD, TTL - AHEAD, FEE_BITS)

    def request(self, questions: Sequence[tuple[bytes, Question]]) -> list[Asked]:
        """Ask; one of the chain's funded accounts asks them all, another one each time."""
        requester, first = self._next_account(), self._client.view("config")["nextSeq"]
        calls = [(self.call(asked), asked.fee) for _, asked in questions]
        result = self._execute(requester, calls)
        found = []
        for place, attributes in enumerate(self._events(result, hub.REQUESTED)):
            asked = hub.decode_requested(attributes, self._client.id)
            answer = bytes.fromhex(dict(attributes)["intent_id"])
            found.append(Asked(word(requester), first + place, answer, *asked))
        return found

    def deliver(self, deliveries: Sequence[Delivering]) -> list[Recorded]:
        deliverer = self._next_account()
        calls = [(self.call(each), 0) for each in deliveries]
        result = self._execute(deliverer, calls)
        header = self._chain.rpc("block", height=str(result["height"]))["block"]["header"]
        time = int(datetime.fromisoformat(header["time"][:19] + "+00:00").timestamp())
        answers = self._query([hub.encode_delivery_of(each.intent.id) for each in deliveries])
        return [Recorded(hub.decode_delivery(each), word(deliverer), time) for each in answers]

    def _next_account(self) -> str:
        self._turn += 1
        return self._chain.accounts[self._turn % len(self._chain.accounts)]

    def _execute(self, sender: str, calls: Sequence[tuple[bytes, int]]) -> dict[str, Any]:
        messages = [
            MsgExecuteContract(
                sender=self._chain.bech32(sender),
                contract=self._client.address,
                msg=call,
                funds=[Coin(denom=DENOM, amount=str(fee))] if fee else [],
            )
            for call, fee in calls
        ]
        return self._chain.send(messages, sender, GAS * len(calls))

    def _events(self, result: dict[str, Any], kind: str) -> list[list[tuple[str, str]]]:
        return [
            [(each["key"], each["value"]) for each in event["attributes"]]
            for event in result["events"]
            if event["type"] == kind
        ]

    def _query(self, questions: Sequence[bytes]) -> list[bytes]:
        """A contract's answers, over one connection."""
        found = []
        for at in range(0, len(questions), QUERIES):
            asked = [
                QuerySmartContractStateRequest(address=self._client.address, query_data=each)
                for each in questions[at : at + QUERIES]
            ]
            body = [
                {
                    "jsonrpc": "2.0",
                    "id": place,
                    "method": "abci_query",
                    "params": {"path": QUERY, "data": each.SerializeToString().hex()},
                }
                for place, each in enumerate(asked)
            ]
            headers = {"Content-Type": "application/json"}
            self._http.request("POST", "/", msgspec.json.encode(body), headers)
            answers = json.loads(self._http.getresponse().read())
            # One alone is answered as no list.
            found += [
                _answer(each) for each in (answers if isinstance(answers, list) else [answers])
            ]
        return found


_calls = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]])


def question(packed: bytes, each: Signable) -> bytes:
    """The query that hashes a message."""
    kind = type(each.message).__name__.lower().encode()
    if isinstance(each.message, Intent):
        return b'{"intent_id":{"intent":%b}}' % packed
    return b'{"%b_digest":{"hub":"%b","%b":%b}}' % (kind, each.hub.hex().encode(), kind, packed)


def _answer(answer: dict[str, Any]) -> bytes:
    response = answer["result"]["response"]
    if response["code"]:
        raise AssertionError(f"the hub does not answer: {response['log']}")
    value = base64.b64decode(response["value"])
    return bytes(QuerySmartContractStateResponse.FromString(value).data)


@contextmanager
def running_cosmos_side() -> Iterator[CosmosSide]:
    """A hub with three signers of whom two suffice, on a chain of its own."""
    with running_wasmd() as chain:
        client = new_hub(chain, members(3), 2, chain.accounts[1], minFee=0, minTtl=0, maxTtl=TTL)
        side = CosmosSide(chain, client)
        try:
            yield side
        finally:
            side.close()
