"""The EVM chain, for requesters and the judge: raw JSON-RPC, eth_abi and eth_account."""

from collections.abc import Iterator, Sequence

import aiohttp
from eth_account import Account
from eth_utils.crypto import keccak

from byzantine.books import Delivered, News, Requested, Settled, signers_of
from byzantine.questions import TTL, Question
from soak.chain import Chain, Event, RpcError
from support.hub import types

__all__ = ["Evm"]

FEE = 2 * 10**16
GAS = 900_000
_INTENT = [each["name"] for each in types()["Intent"]]
_ATTESTATION = [each["name"] for each in types()["Attestation"]]


class Evm:
    """One anvil and its hub, as `vagus devnet up --json` prints them."""

    def __init__(self, number: int, shown: dict[str, str], http: aiohttp.ClientSession) -> None:
        chain_id, hub = shown["caip2"].partition(":")[2], shown["hub"].rpartition(":")[2]
        self.number = number
        self.caip2 = shown["caip2"]
        self.hub_id = keccak(text=shown["hub"])
        self._chain = Chain(number, int(chain_id), shown["rpc"], http)
        self._chain.know_hub(hub)
        self._account = Account.from_key(shown["private_key"])
        self._nonce: int | None = None
        self._read = 0

    async def ask(self, questions: Sequence[Question], hubs: Sequence[bytes]) -> None:
        """Send a request for each; `hubs` are all chains' hub ids by their numbers."""
        if not questions:
            return
        chain = self._chain
        await chain.heads()
        if self._nonce is None:
            self._nonce = await chain.nonce(self._account.address)
        calls = []
        for at, each in enumerate(questions):
            data = chain.encode(
                *("hub.request", keccak(text="chat@1"), each.payload, bytes(32), b"", 0),
                *(hubs[each.dest], bytes(32), 0, chain.now + TTL),
            )
            raw = chain.sign(self._account, self._nonce + at, data, to="hub", value=FEE, gas=GAS)
            calls.append(("eth_sendRawTransaction", [raw]))
        self._nonce += len(calls)
        for result in await chain.batch(calls):
            if isinstance(result, RpcError):
                raise result

    async def news(self) -> list[News]:
        """What became final since the last time."""
        _, final = await self._chain.heads()
        if final <= self._read:
            return []
        events = await self._chain.events(self._read + 1, final)
        self._read = final
        wanted = {each.tx for each in events if each.name == "Delivered"}
        found = await self._chain.batch([("eth_getTransactionByHash", [tx]) for tx in wanted])
        inputs = {each["hash"]: bytes.fromhex(each["input"][2:]) for each in found}
        return [news for event in events for news in self._news(event, inputs)]

    def _news(self, event: Event, inputs: dict[str, bytes]) -> Iterator[News]:
        args = event.args
        if event.name == "IntentRequested":
            intent = dict(zip(_INTENT, args["intent"], strict=True))
            yield Requested(args["intentId"], intent["payloadHash"], intent["deadline"], event.time)
        elif event.name == "Delivered":
            _, fields, output, signatures = self._chain.decode("hub.deliver", inputs[event.tx])
            attestation = dict(zip(_ATTESTATION, fields, strict=True))
            signers = signers_of(attestation, self.hub_id, signatures)
            assert attestation["intentId"] == args["intentId"]
            assert output == args["output"]
            yield Delivered(args["intentId"], args["status"], output, signers, event.time)
        elif event.name in {"Settled", "Refunded"}:
            yield Settled(args["intentId"], args.get("status"), event.time)
