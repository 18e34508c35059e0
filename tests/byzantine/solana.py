"""The Solana chain, for requesters and the judge: JSON-RPC, solders and the hub's IDL alone."""

import base64
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
import orjson
from eth_utils.crypto import keccak
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from byzantine.books import Delivered, News, Requested, Settled, intent_id_of, signers_of
from byzantine.questions import TTL, Question
from support import borsh
from support.hub_solana import camel
from support.solana_idl import Program

__all__ = ["Solana"]

FEE = 2 * 10**7
UNITS = 200_000
PAGE = 1_000
AT_ONCE = 100
_FINAL = {"commitment": "finalized"}
_SENT = {"encoding": "base64", "preflightCommitment": "confirmed"}
_WHOLE = _FINAL | {"encoding": "base64", "maxSupportedTransactionVersion": 0}


class Solana:
    """One LiteSVM and its hub, as `vagus devnet up --json` prints them."""

    def __init__(self, number: int, shown: dict[str, str], http: aiohttp.ClientSession) -> None:
        self.number = number
        self.caip2 = shown["caip2"]
        self.hub_id = keccak(text=shown["hub"])
        self._rpc, self._http = shown["rpc"], http
        self._program = Program(Pubkey.from_string(shown["hub"].rpartition(":")[2]))
        self._pair = Keypair.from_seed(bytes.fromhex(shown["private_key"][2:]))
        self._nonces = itertools.count()
        self._newest: str | None = None
        # What was written to each staging account: a call that names one has its arguments there.
        self._staged: dict[Pubkey, bytearray] = {}

    async def ask(self, questions: Sequence[Question], hubs: Sequence[bytes]) -> None:
        """Send a request for each; `hubs` are all chains' hub ids by their numbers."""
        if not questions:
            return
        slot, latest = await self._call(
            ("getSlot", []), ("getLatestBlockhash", [{"commitment": "confirmed"}])
        )
        (now,) = await self._call(("getBlockTime", [slot]))
        blockhash = Hash.from_string(latest["value"]["blockhash"])
        calls = []
        for each in questions:
            raw = bytes(self._request(each, hubs[each.dest], now + TTL, blockhash))
            calls.append(("sendTransaction", [base64.b64encode(raw).decode(), _SENT]))
        await self._call(*calls)

    async def news(self) -> list[News]:
        """What became final since the last time."""
        options: dict[str, Any] = _FINAL | {"limit": PAGE}
        if self._newest is not None:
            options["until"] = self._newest
        names: list[str] = []
        while True:
            (page,) = await self._call(
                ("getSignaturesForAddress", [str(self._program.id), options])
            )
            names += [each["signature"] for each in page if each["err"] is None]
            if len(page) < PAGE:
                break
            options["before"] = page[-1]["signature"]
        if not names:
            return []
        self._newest, found = names[0], []
        names.reverse()
        for at in range(0, len(names), AT_ONCE):
            part = [("getTransaction", [name, _WHOLE]) for name in names[at : at + AT_ONCE]]
            for tx in await self._call(*part):
                found += list(self._news(tx))
        return found

    def _request(
        self, asked: Question, dest: bytes, deadline: int, blockhash: Hash
    ) -> VersionedTransaction:
        program, who, nonce = self._program, self._pair.pubkey(), next(self._nonces)
        accounts = {
            "config": program.address(b"config"),
            "payer": who,
            "requester": who,
            "intent": program.address(b"intent", bytes(who), nonce.to_bytes(8, "little")),
            "credit": program.address(b"credit", bytes(who)),
        }
        arguments = {
            "nonce": nonce,
            "agent_id": keccak(text="chat@1"),
            "model_digest": bytes(32),
            "min_signers": 0,
            "dest_hub": dest,
            "callback": bytes(32),
            "callback_gas": 0,
            "deadline": deadline,
            "fee": FEE,
            "payload": asked.payload,
            "terms": b"",
        }
        call = program.call("request", accounts, program.arguments("request", arguments))
        message = MessageV0.try_compile(who, [set_compute_unit_limit(UNITS), call], [], blockhash)
        return VersionedTransaction(message, [self._pair])

    def _news(self, tx: dict[str, Any]) -> Iterator[News]:
        time = tx["blockTime"]
        arguments = self._deliveries(tx)
        for name, fields in self._program.events(tx["meta"]["logMessages"]):
            if name == "IntentRequested":
                intent = camel(fields["intent"])
                yield Requested(
                    intent_id_of(intent), intent["payloadHash"], intent["deadline"], time
                )
            elif name == "Delivered":
                found = arguments[fields["intent_id"]]
                raw = found["signatures"]
                signatures = [raw[at : at + 65] for at in range(0, len(raw), 65)]
                signers = signers_of(camel(found["attestation"]), self.hub_id, signatures)
                assert keccak(found["output"]) == fields["output_hash"]
                yield Delivered(
                    fields["intent_id"], fields["status"], found["output"], signers, time
                )
            elif name in {"Settled", "Refunded"}:
                yield Settled(fields["intent_id"], fields.get("status"), time)

    def _deliveries(self, tx: dict[str, Any]) -> dict[bytes, dict[str, Any]]:
        """What `deliver` was handed in a transaction, by intent; staged parts are kept until then."""
        parsed = VersionedTransaction.from_bytes(base64.b64decode(tx["transaction"][0]))
        keys, program = parsed.message.account_keys, self._program
        names = {bytes(each["discriminator"]): name for name, each in program.instructions.items()}
        found = {}
        for each in parsed.message.instructions:
            if keys[each.program_id_index] != program.id:
                continue
            name, data = names[bytes(each.data[:1])], bytes(each.data[1:])
            accounts = [keys[index] for index in each.accounts]
            if name == "stage_write":
                part = self._arguments(name, data)
                kept = self._staged.setdefault(accounts[1], bytearray())
                end = part["offset"] + len(part["bytes"])
                kept.extend(bytes(max(0, end - len(kept))))
                kept[part["offset"] : end] = part["bytes"]
            elif name == "deliver":
                staging = accounts[1]
                whole = data if staging == program.id else bytes(self._staged[staging])
                handed = self._arguments(name, whole)
                found[handed["attestation"]["intent_id"]] = handed
        return found

    def _arguments(self, name: str, data: bytes) -> dict[str, Any]:
        values, at = {}, 0
        for each in self._program.instructions[name]["args"]:
            values[each["name"]], at = borsh.decode(each["type"], data, at, self._program.types)
        assert at == len(data)
        return values

    async def _call(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        """The results of several calls in one request; RuntimeError for the first error."""
        requests = [
            {"jsonrpc": "2.0", "id": at, "method": method, "params": params}
            for at, (method, params) in enumerate(calls)
        ]
        headers = {"Content-Type": "application/json"}
        async with self._http.post(
            self._rpc, data=orjson.dumps(requests), headers=headers
        ) as response:
            answers = {each["id"]: each for each in orjson.loads(await response.read())}
        for answer in answers.values():
            if "error" in answer:
                raise RuntimeError(f"{self.caip2}: {answer['error']}")
        return [answers[at]["result"] for at in range(len(calls))]
