"""Requesters: they ask at a steady rate, whatever the node does, and again what a reorg dropped."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from soak.chain import Chain
from soak.questions import REFUNDED, Question

__all__ = ["Asker", "Requester"]

TICK = 0.1
REQUEST_GAS = 900_000
CALLBACK_GAS = 120_000
# After so long, a request that is in no final block is sent again: a reorg has dropped it.
AGAIN = 8.0
NO_HUB = keccak(text="eip155:1:no hub of this network")


@dataclass
class Requester:
    """One account on one chain, and what it sent that is in no final block yet."""

    account: LocalAccount
    chain: Chain
    nonce: int = 0
    sent: deque[tuple[int, str, float]] = field(default_factory=deque)


class Asker:
    """Asks question after question of a seed; `asked` is how many were sent."""

    def __init__(self, chains: Sequence[Chain], keys: Sequence[str]) -> None:
        self._chains = chains
        self._requesters = [
            [Requester(Account.from_key(key), chain) for key in keys] for chain in chains
        ]
        self.asked = 0
        self.resent = 0

    async def start(self) -> None:
        for requester in self._all():
            requester.nonce = await requester.chain.nonce(requester.account.address)

    async def ask(self, questions: Sequence[Question], rate: float) -> None:
        """Ask these, `rate` a second."""
        began, done = time.monotonic(), 0
        while done < len(questions):
            due = min(len(questions), int((time.monotonic() - began) * rate))
            await self._send(questions[done:due])
            self.asked += due - done
            done = due
            await asyncio.sleep(TICK)

    async def insist(self) -> None:
        """Send again, for ever, what no final block has after a while."""
        while True:
            await asyncio.sleep(AGAIN / 4)
            for requester in self._all():
                await self._insist(requester)

    async def refund(self, ids: Sequence[tuple[Chain, bytes]]) -> None:
        """Take the fees of intents back; a hub that refuses is an error."""
        for chain, intent in ids:
            requester = self._requesters[chain.number][0]
            data = chain.encode("hub.refund", intent)
            raw = self._sign(requester, data, 0)
            await chain.call("eth_sendRawTransaction", raw)

    async def _send(self, questions: Sequence[Question]) -> None:
        for chain in self._chains:
            calls = []
            for each in questions:
                if each.origin != chain.number:
                    continue
                requester = self._requesters[chain.number][each.number % len(self._requesters[0])]
                raw = self._sign(requester, self._request(each), each.kind.fee)
                calls.append(("eth_sendRawTransaction", [raw]))
            for result in await chain.batch(calls) if calls else []:
                if isinstance(result, Exception):
                    raise result

    def _sign(self, requester: Requester, data: bytes, value: int) -> str:
        raw = requester.chain.sign(
            *(requester.account, requester.nonce, data),
            to="hub",
            value=value,
            gas=REQUEST_GAS,
        )
        requester.sent.append((requester.nonce, raw, time.monotonic()))
        requester.nonce += 1
        return raw

    def _request(self, question: Question) -> bytes:
        origin, dest = self._chains[question.origin], self._chains[question.dest]
        kind = question.kind
        contract = "counter" if kind.callback == 1 else "reverter"
        callback = bytes.fromhex(dest.addresses[contract][2:]).rjust(32, b"\0")
        return origin.encode(
            "hub.request",
            keccak(text=kind.agent),
            question.payload,
            bytes(32),
            b"",
            0,
            NO_HUB if kind.state == REFUNDED else dest.hub_id,
            callback,
            CALLBACK_GAS,
            origin.now + kind.ttl,
        )

    async def _insist(self, requester: Requester) -> None:
        if not requester.sent:
            return
        chain, address = requester.chain, requester.account.address
        final, latest = [
            int(found, 16)
            for found in await chain.tagged(
                [("eth_getTransactionCount", [address, tag]) for tag in ("finalized", "latest")]
            )
        ]
        while requester.sent and requester.sent[0][0] < final:
            requester.sent.popleft()
        now = time.monotonic()
        again = [raw for nonce, raw, at in requester.sent if nonce >= latest and now - at > AGAIN]
        if again:
            # A node that still has some of them says so: that is why nobody looks at the answers.
            await chain.batch([("eth_sendRawTransaction", [raw]) for raw in again])
            self.resent += len(again)

    def _all(self) -> list[Requester]:
        return [each for chain in self._requesters for each in chain]
