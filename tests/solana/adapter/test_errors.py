"""A transaction's error is one of Solana's names: what is none is no answer, and ends nothing."""

import json
from typing import Any

import pytest
from solders.transaction_status import (
    InstructionErrorCustom,
    InstructionErrorFieldless,
    TransactionErrorDuplicateInstruction,
    TransactionErrorFieldless,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
    TransactionStatus,
)

from support.solana_harness import LitesvmHarness
from vagus.adapters.base import TxStage
from vagus.adapters.conformance.driving import driven, made, proxied, question, ready
from vagus.adapters.conformance.solana import result
from vagus.adapters.errors import BadAnswer
from vagus.adapters.solana.errors import failed, failure
from vagus.protocol import Retry

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("solana_reading"),
]

NO_ERRORS = ["", "zz", "0x" + "f" * 2_000, "9" * 400, "\x00", "two words", True, 1.5, -1, [], [[]]]
NO_ERRORS += [{}, {"": {}}, {"A": 1, "B": 2}, {"InstructionError": None}]
NO_ERRORS += [{"InstructionError": [0, each]} for each in (None, 3, "", [], {}, {"Custom": "7"})]
NO_ERRORS += [{"InstructionError": [0]}, {"InstructionError": [0, {"Custom": True}]}]


def named(kind: Any) -> list[Any]:
    """Every value of one of solders' enums without fields."""
    return [each for each in vars(kind).values() if isinstance(each, kind)]


@pytest.mark.parametrize("err", NO_ERRORS, ids=lambda err: repr(err)[:30])
async def test_what_is_no_error_is_no_answer(err: Any) -> None:
    for read in (failure, failed):
        with pytest.raises(BadAnswer, match="a transaction's error that is none"):
            read(err)


def written(error: Any) -> Any:
    """An error as solders writes it into a status."""
    status = TransactionStatus(1, None, None, error, None)
    return json.loads(status.to_json())["err"]


async def test_every_error_that_solders_knows_is_one() -> None:
    for each in named(TransactionErrorFieldless):
        assert failure(written(each)) == (written(each), None)
    inner = [TransactionErrorInstructionError(1, each) for each in named(InstructionErrorFieldless)]
    assert len(inner) > 40
    for each in inner:
        err = written(each)
        assert failure(err) == (f"an instruction failed: {err['InstructionError'][1]}", None)
    custom = TransactionErrorInstructionError(0, InstructionErrorCustom(6012))
    assert failure(written(custom)) == ("error 6012 of a program", 6012)
    for each in (
        TransactionErrorDuplicateInstruction(3),
        TransactionErrorInsufficientFundsForRent(1),
    ):
        assert failure(written(each)) == (next(iter(written(each))), None)
    assert failed(None) is False


@pytest.mark.parametrize("err", ["", [], -1, {"": {}}, "zz"], ids=repr)
async def test_a_transaction_does_not_end_by_an_error_that_is_none(
    harness: LitesvmHarness, err: Any
) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        await ready(adapter, harness)
        call = adapter.request_call(question(adapter))
        lane = await adapter.open_lane(None)
        built = await adapter.build(call, await adapter.estimate(call), lane)
        assert (await driven(adapter, harness, built.state)).stage is TxStage.FINAL

        def bent(found: dict[str, Any]) -> dict[str, Any]:
            return found | {"value": [each and each | {"err": err} for each in found["value"]]}

        proxy.faults = (result("getSignatureStatuses", bent),)
        with pytest.raises(Retry, match="a transaction's error that is none"):
            await adapter.advance(built.state)


async def test_a_simulation_refuses_nothing_by_an_error_that_is_none(
    harness: LitesvmHarness,
) -> None:
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        await ready(adapter, harness)
        call = adapter.request_call(question(adapter))

        def bent(found: dict[str, Any]) -> dict[str, Any]:
            return found | {"value": found["value"] | {"err": "0x" + "f" * 2_000}}

        proxy.faults = (result("simulateTransaction", bent),)
        with pytest.raises(Retry, match="a transaction's error that is none"):
            await adapter.estimate(call)
