"""Subscriptions over a websocket: logs, signatures, slots and accounts."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from vagus.adapters.solana.litesvm.encoding import RpcError, account_json
from vagus.adapters.solana.litesvm.ledger import Ledger, Slot
from vagus.adapters.solana.litesvm.params import Params, to_key

__all__ = ["Subscriber"]

_MAX_WAITING = 10_000
_MAX_SUBSCRIPTIONS = 1_000

# Returns what is to be told of a slot at the subscription's commitment.
_News = Callable[[Slot], list[Any]]


@dataclass
class _Subscription:
    method: str
    commitment: str
    news: _News
    once: bool = False


class Subscriber:
    """One websocket."""

    def __init__(self, ledger: Ledger, answer: Callable[[Any], Any]) -> None:
        self._ledger = ledger
        self._answer = answer
        self._numbers = itertools.count(1)
        self._subscriptions: dict[int, _Subscription] = {}
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(_MAX_WAITING)
        self._socket = web.WebSocketResponse(heartbeat=20.0)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve until the client leaves, or does not read what it is told."""
        await self._socket.prepare(request)
        self._ledger.watchers.append(self._told)
        sending = asyncio.create_task(self._send(), name="litesvm websocket")
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._put(self._take(message.data))
        finally:
            self._ledger.watchers.remove(self._told)
            sending.cancel()
        return self._socket

    async def _send(self) -> None:
        try:
            while True:
                await self._socket.send_str((await self._waiting.get()).decode())
        except ConnectionError:
            return

    def _put(self, message: Any) -> None:
        try:
            self._waiting.put_nowait(msgspec.json.encode(message))
        except asyncio.QueueFull:
            self._subscriptions.clear()

    def _take(self, text: str) -> Any:
        try:
            request = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            return {
                "jsonrpc": "2.0",
                "id": None,
                "error": {"code": -32700, "message": "Parse error"},
            }
        method, number = str(request.get("method")), request.get("id")
        try:
            if method.endswith("Unsubscribe"):
                result: Any = self._end(Params(request.get("params", [])))
            elif method.endswith("Subscribe"):
                result = self._begin(method, Params(request.get("params", [])))
            else:
                return self._answer(request)
        except RpcError as error:
            return {"jsonrpc": "2.0", "id": number, "error": error.json()}
        return {"jsonrpc": "2.0", "id": number, "result": result}

    def _begin(self, method: str, params: Params) -> int:
        if len(self._subscriptions) >= _MAX_SUBSCRIPTIONS:
            raise RpcError(-32602, "too many subscriptions")
        commitment, once = params.commitment(), False
        news: _News
        match method:
            case "slotSubscribe":
                news, commitment = self._slots, "processed"
            case "logsSubscribe":
                news = self._logs(params)
            case "signatureSubscribe":
                news, once = self._signature(params, commitment), True
            case "accountSubscribe":
                news = self._account(params)
            case _:
                raise RpcError(-32601, f"Method not found: {method}")
        number = next(self._numbers)
        self._subscriptions[number] = _Subscription(method, commitment, news, once)
        return number

    def _end(self, params: Params) -> bool:
        if self._subscriptions.pop(params.number(0), None) is None:
            raise RpcError(-32602, "Invalid subscription id.")
        return True

    def _told(self, newest: Slot) -> None:
        """Tell of the slot that ended, and of the one that became final by that."""
        for number, each in list(self._subscriptions.items()):
            slot = newest if each.commitment != "finalized" else self._ledger.final
            for result in each.news(slot):
                name = each.method.removesuffix("Subscribe") + "Notification"
                params = {"result": result, "subscription": number}
                self._put({"jsonrpc": "2.0", "method": name, "params": params})
                if each.once:
                    self._subscriptions.pop(number, None)

    def _slots(self, slot: Slot) -> list[Any]:
        root = self._ledger.final.number
        return [{"parent": slot.number, "root": root, "slot": self._ledger.open}]

    def _logs(self, params: Params) -> _News:
        wanted = params.at(0)
        mentioned = None
        if isinstance(wanted, dict):
            keys = wanted.get("mentions")
            if not isinstance(keys, list) or len(keys) != 1:
                raise RpcError(-32602, "Invalid Request: Only 1 address supported")
            mentioned = to_key(keys[0])

        def news(slot: Slot) -> list[Any]:
            found = []
            for signature in slot.signatures:
                outcome = self._ledger.included[signature].outcome
                if mentioned is None or mentioned in outcome.keys:
                    value = {
                        "signature": str(signature),
                        "err": outcome.err,
                        "logs": outcome.logs,
                    }
                    found.append(_with_context(slot, value))
            return found

        return news

    def _signature(self, params: Params, commitment: str) -> _News:
        signature = params.signature(params.at(0))

        def news(_: Slot) -> list[Any]:
            included = self._ledger.included.get(signature)
            if included is None or included.slot > self._ledger.at(commitment).number:
                return []
            slot = self._ledger.slots[included.slot]
            return [_with_context(slot, {"err": included.outcome.err})]

        return news

    def _account(self, params: Params) -> _News:
        key, encoding = params.key(0), params.option("encoding", str, "binary")
        bank = self._ledger.bank

        def news(slot: Slot) -> list[Any]:
            if not bank.changed(key, slot.number):
                return []
            return [_with_context(slot, account_json(bank.at(key, slot.number), encoding))]

        return news


def _with_context(slot: Slot, value: Any) -> dict[str, Any]:
    return {"context": {"apiVersion": "3.0.0", "slot": slot.number}, "value": value}
