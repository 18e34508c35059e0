"""Malformed answers to everything that the adapter asks: nothing but the errors of its contract leaves.

Answers of a real node are recorded, then bent: their JSON, their hex, their bytes. One endpoint that
answers so alone may make a read fail, in words. One of three changes no result at all.

VAGUS_MALFORMED says how many bent answers there are, 20,000 if it says nothing.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from support.evm import Chain, chain, height, question, until_height
from vagus.adapters.base import EventFilter
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.pace import Pace
from vagus.adapters.evm.upgrades import _proxy_slot
from vagus.protocol import ZERO32, Halt, Refuse, Retry

ANSWERS = int(os.environ.get("VAGUS_MALFORMED", "20000"))
SEED = 7
NOTHING = b'{"jsonrpc":"2.0","result":null}'

Operation = Callable[[EvmAdapter], Awaitable[object]]


@dataclass
class Recorded:
    """What a node answers to each request, by its method and parameters, and what is asked of it."""

    node: Chain
    answers: dict[bytes, bytes]
    operations: dict[str, tuple[Operation, tuple[type[Exception], ...]]]


def key(request: dict[str, Any]) -> bytes:
    return orjson.dumps([request["method"], request["params"]])


def replay(recorded: Recorded, adapter: EvmAdapter, at: int, bend: Any = None) -> None:
    """Let an endpoint answer from the record, bent or not."""

    async def post(method: str, request: bytes) -> bytes:
        asked = orjson.loads(request)
        # What a bent answer alone leads to was not recorded: a node has no such thing.
        answer = orjson.loads(recorded.answers.get(key(asked), NOTHING)) | {"id": asked["id"]}
        await asyncio.sleep(0)
        return orjson.dumps(answer) if bend is None else bend(answer)

    adapter._quorum.endpoints[at]._post = post  # type: ignore[method-assign]  # what a socket does


async def record(node: Chain) -> Recorded:
    """Run every operation once over a real node, and keep what it answered."""
    async with node.adapter(finality=2) as adapter:
        await until_height(adapter, await height(node.anvil))
        call = adapter.request_call(question(adapter, terms=b"{}"))
        sent = await adapter.build(
            call, await adapter.estimate(call), await adapter.open_lane(None)
        )
        (raw,) = (await adapter.advance(sent.state)).send
        await adapter.broadcast(raw)
        await node.anvil.mine(4)
        heads = await until_height(adapter, await height(node.anvil))
        waiting = await adapter.build(
            call, await adapter.estimate(call), await adapter.open_lane(None)
        )
        (pending,) = (await adapter.advance(waiting.state)).send
        refund = adapter.refund_call(ZERO32)
        wanted = EventFilter(
            node.config().account.address, "Rotated(uint64,uint64,address[],bytes32,uint64)"
        )

        async def intents(adapter: EvmAdapter) -> object:
            return await adapter.intents(await adapter.start(), heads.final)

        async def look(adapter: EvmAdapter) -> object:
            adapter._tracker._checked.clear()
            await adapter._tracker._look()
            return adapter.heads

        operations: dict[str, tuple[Operation, tuple[type[Exception], ...]]] = {
            "heads": (look, (Retry, Halt)),
            "endpoints": (lambda adapter: adapter.endpoints(), ()),
            "hub state": (lambda adapter: adapter.hub_state(), (Retry, Halt)),
            "intents": (intents, (Retry, Halt)),
            "requested": (lambda adapter: adapter.requested(sent.tx_id), (Retry,)),
            "events": (lambda adapter: adapter.events(wanted, 0, heads.final.height), (Retry,)),
            "state": (lambda adapter: adapter.intent_state(ZERO32), (Retry,)),
            "delivery": (lambda adapter: adapter.delivery(ZERO32), (Retry,)),
            "credit": (lambda adapter: adapter.credit(adapter.account), (Retry,)),
            "upgradeable": (lambda adapter: adapter.upgradeable(), (Retry,)),
            "balance": (lambda adapter: adapter.balance(), (Retry,)),
            "lane": (lambda adapter: adapter.open_lane(None), (Retry,)),
            "lane again": (lambda adapter: adapter.open_lane(bytes(8)), (Retry,)),
            "estimate": (lambda adapter: adapter.estimate(call), (Retry, Refuse)),
            "revert": (lambda adapter: adapter.estimate(refund), (Retry, Refuse)),
            "broadcast": (lambda adapter: adapter.broadcast(pending), (Retry,)),
            "included": (lambda adapter: adapter.advance(sent.state), (Retry,)),
            "waiting": (lambda adapter: adapter.advance(waiting.state), (Retry,)),
        }
    answers: dict[bytes, bytes] = {}
    async with node.adapter(finality=2, poll_interval=600) as adapter:
        (rpc,) = adapter._quorum.endpoints
        real = rpc._post

        async def post(method: str, request: bytes) -> bytes:
            body = await real(method, request)
            answers[key(orjson.loads(request))] = body
            return body

        rpc._post = post  # type: ignore[method-assign]  # as it is, written down
        await adapter.next_heads(None)
        for operation, expected in operations.values():
            forget(adapter)
            await outcome(operation, adapter, expected)
        for name in ("implementation", "beacon", "admin"):
            # Asked for only where the code is another one, as bent code is.
            await _proxy_slot(adapter._quorum, adapter._address, name, heads.final)
    return Recorded(node, answers, operations)


def forget(adapter: EvmAdapter) -> None:
    """Let nothing that was read before stand in for a new answer."""
    adapter._views._kept.clear()
    adapter._reader._newest = adapter._reader._search = None
    adapter._reader._pace = Pace(adapter._config.max_log_range)
    adapter._reader._known.clear()
    adapter._sender._tip = (-1, 0)
    adapter._tracker._begun.clear()
    adapter._tracker._claims = []
    adapter._quorum.halted = None
    for rpc in adapter._quorum.endpoints:
        rpc.barred, rpc.resting_until = "", 0.0


WEIRD: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.5, 2**53, 2**63, -(2**63), "", " ", "0", "0x"),
    *("0x0", "0x00", "0x1", "-0x1", "0x-1", "0X1", "0x1_0", "0x 1", "0xzz", "0x\u0663", "\u0663"),
    *("0x" + "f" * size for size in (2, 15, 16, 17, 40, 63, 64, 65, 128, 1000)),
    *("0x" + "0" * size for size in (40, 63, 64, 128, 1000)),
    *([], {}, [None], [[]], [{}], {"": ""}, ["0x1"], {"a": {"b": {"c": []}}}, "\x00", "\ud7ff", "\U0010ffff"),
    *({"code": 3, "message": "execution reverted", "data": "0x08c379a0" + "f" * 128},),
    *({"code": -32000, "message": "nonce too low"}, {"code": 2**63, "message": 7}),
]  # fmt: skip
RAW = [
    b"", b"null", b"{}", b"[]", b"[" * 3000, b'{"a":' * 3000, b'"\xff"', b"\x00", b"\xef\xbb\xbf{}",
    b'{"id":1,"result":1e999}', b'{"id":1,"result":%d}' % 2**300, b'{"id":%d}' % 2**64, b'{"id":1,"result":NaN}', b'{"id":1,"id":2,"result":"0x1"}',
]  # fmt: skip


class Bending:
    """Bends answers, each in another way, and counts them."""

    def __init__(self, answers: list[bytes]) -> None:
        self.random = random.Random(SEED)
        self.others = [orjson.loads(answer) for answer in answers]
        self.count = 0

    def __call__(self, answer: dict[str, Any]) -> bytes:
        self.count += 1
        choose = self.random
        way = choose.randrange(12)
        if way == 0:
            return choose.choice(RAW)
        if way == 1:
            return self._bytes(orjson.dumps(answer))
        if way == 2:
            return orjson.dumps(choose.choice(self.others) | {"id": answer["id"]})
        if way == 3:
            members = {"id": answer["id"], choose.choice(("result", "error")): choose.choice(WEIRD)}
            return orjson.dumps(members)
        return orjson.dumps(self._member(answer))

    def _bytes(self, body: bytes) -> bytes:
        at = self.random.randrange(len(body))
        cut = self.random.choice((b"", body[at + 1 :], body[at:], body[: at + 1]))
        return body[:at] + bytes((self.random.randrange(256),)) + cut

    def _member(self, value: Any, depth: int = 0) -> Any:
        """Change one member, deep within more often than not."""
        choose = self.random
        if isinstance(value, dict) and value:
            name = choose.choice(list(value)) if depth else "result"
            if name not in value or (depth and choose.randrange(12) == 0):
                return {each: value[each] for each in value if each != name}
            return value | {name: self._member(value[name], depth + 1)}
        if isinstance(value, list) and value and choose.randrange(6):
            at = choose.randrange(len(value))
            change = choose.choice(("change", "twice", "drop"))
            new = [self._member(value[at], depth + 1)] if change == "change" else []
            return value[:at] + (new if change != "twice" else [value[at]] * 2) + value[at + 1 :]
        if isinstance(value, str) and len(value) > 2 and choose.randrange(3):
            at = choose.randrange(len(value))
            return value[:at] + choose.choice("0123456789abcdefgxX-_ \u0663") + value[at + 1 :]
        return choose.choice(WEIRD)


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "one of three"])
async def test_a_malformed_answer_is_an_error_in_words_or_outvoted(
    alone: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async with chain() as node:
        recorded = await record(node)
        bend = Bending([*recorded.answers.values()])
        rpc = [f"{node.anvil.rpc}/{at}" for at in range(1 if alone else 3)]
        adapter = node.adapter(rpc=rpc, finality=2)
        async with adapter._quorum:
            honest = {}
            for at in range(len(rpc)):
                replay(recorded, adapter, at)
            await adapter._tracker._look()
            for name, (operation, expected) in recorded.operations.items():
                forget(adapter)
                honest[name] = await outcome(operation, adapter, expected)
            heads = adapter.heads
            replay(recorded, adapter, 0, bend)
            while bend.count < ANSWERS:
                for name, (operation, expected) in recorded.operations.items():
                    forget(adapter)
                    adapter._tracker.heads = heads
                    found = await outcome(operation, adapter, expected if alone else (Refuse,))
                    if not alone and name not in {"estimate", "endpoints"}:
                        assert found == honest[name], name
        if not alone:
            # A defect in what comes too late to be needed is logged, since nobody waits for it.
            assert "defect" not in capsys.readouterr().out
            liar, *others = adapter.tallies().values()
            assert liar.disagreements > ANSWERS // 200
            assert [(each.failures, each.disagreements) for each in others] == [(0, 0)] * 2


async def outcome(
    operation: Operation, adapter: EvmAdapter, expected: tuple[type[Exception], ...]
) -> object:
    """What an operation returns, or an error that it may end in; any other leaves as it is."""
    try:
        return await operation(adapter)
    except expected as error:
        said = str(error)
        assert said.isprintable()
        assert len(said) < 2_000
        return type(error), said
