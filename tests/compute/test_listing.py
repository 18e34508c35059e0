"""Listings of models: contexts and prices as networks write them, and as nobody should."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from vagus.compute.listing import Listed, Listing, read_listing, usd_per_million
from vagus.protocol import Refuse, Retry


def listed(**entry: Any) -> Listed:
    (found,) = read_listing(msgspec.json.encode({"data": [{"id": "m", **entry}]}))
    return found


def dollars(unit: Any = "token", **entry: Any) -> tuple[Decimal, Decimal]:
    return usd_per_million(listed(**entry), unit)


# Entries by hand from the networks' documentation.
OPENROUTER = {
    "context_length": 131072,
    "pricing": {"prompt": "0.00000013", "completion": "0.0000004", "request": "0", "image": "0"},
    "top_provider": {"context_length": 131072, "max_completion_tokens": 16384},
}
AKASHML = {"pricing": {"input": "0.13", "output": "0.4", "request": "0"}}
VLLM = {"object": "model", "owned_by": "vllm", "max_model_len": 40960, "permission": []}
LLAMA_CPP = {"object": "model", "owned_by": "llamacpp", "meta": {"n_ctx_train": 8192}}


def test_prices_are_dollars_per_million_tokens_whoever_lists_them() -> None:
    assert dollars(**OPENROUTER) == (Decimal("0.13"), Decimal("0.4"))
    assert dollars("million", **AKASHML) == (Decimal("0.13"), Decimal("0.4"))
    # Numbers are read as they are written: 1.2e-07 is 0.12 dollars exactly.
    ionet = b'{"data":[{"id":"m","context_window":128000,"input_token_price":1.2e-07,'
    (entry,) = read_listing(ionet + b'"output_token_price":3e-07}]}')
    assert usd_per_million(entry, "token") == (Decimal("0.12"), Decimal("0.3"))
    assert dollars(pricing={"prompt": "0", "completion": "0"}) == (0, 0)


def test_contexts_are_told_by_several_names_and_the_least_counts() -> None:
    assert listed(**OPENROUTER).context == 131_072
    assert listed(**VLLM).context == 40_960
    assert listed(**LLAMA_CPP).context == 8_192
    assert listed(context_window=128_000, max_model_len=None).context == 128_000
    assert listed(context_length=8192, max_model_len=4096).context == 4096


@pytest.mark.parametrize("context", [0, -1, 1 << 40, "many", 1.5, True, [], None])
def test_a_context_that_is_none_is_not_known(context: object) -> None:
    assert listed(context_length=context).context is None


@pytest.mark.parametrize(
    "price",
    ["-1", -1, "NaN", "Infinity", "1e999999999", "9" * 5000, "free", True, [], {}, "1e-400", 1e300],
)
def test_a_price_that_is_none_is_never_a_price(price: object) -> None:
    for field in ("prompt", "completion", "request", "input"):
        pricing = {"prompt": "0.0000001", "completion": "0.0000001", field: price}
        with pytest.raises(Refuse, match="price"):
            dollars(pricing=pricing)


@pytest.mark.parametrize("pricing", [None, [], "0.1", {"prompt": "0.0000001"}, {"output": "1"}])
def test_half_a_price_is_none(pricing: object) -> None:
    with pytest.raises(Refuse, match="without a price"):
        dollars(pricing=pricing)


def test_a_price_by_the_request_is_not_one_by_tokens() -> None:
    with pytest.raises(Refuse, match="by the request"):
        dollars(pricing={**OPENROUTER["pricing"], "request": "0.001"})  # type: ignore[dict-item]


@pytest.mark.parametrize(("unit", "price"), [("token", "0.13"), ("million", "0.00000013")])
def test_a_price_in_the_other_unit_is_noticed(unit: str, price: str) -> None:
    with pytest.raises(Refuse, match="price_unit"):
        dollars(unit, pricing={"input": price, "output": price})


def test_the_dearer_of_two_prices_counts() -> None:
    both = {"prompt": "0.0000001", "input": "0.0000003", "completion": "0.0000001"}
    assert dollars(pricing=both) == (Decimal("0.3"), Decimal("0.1"))


def test_one_broken_entry_leaves_the_others() -> None:
    data = {"data": [{"id": "a", "pricing": 7}, {"id": "b", **OPENROUTER}]}
    found = {each.name: each for each in read_listing(msgspec.json.encode(data))}
    assert usd_per_million(found["b"], "token")[0] == Decimal("0.13")
    assert found["a"].input is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"data":[]}',
        b'{"data":{}}',
        b'{"data":[{"id":""}]}',
        b'{"data":[{"id":"' + b"m" * 300 + b'"}]}',
        b'{"data":[{"id":"\xff"}]}',
        b'{"data":[' + b"[" * 100_000,
        b'{"data":[{"id":"m","pricing":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
        msgspec.json.encode({"data": [{"id": f"m{at}"} for at in range(1025)]}),
    ],
    ids=range(10),
)
def test_what_is_no_listing_is_a_retry(body: bytes) -> None:
    with pytest.raises(Retry, match="no list of models"):
        read_listing(body)


async def test_a_listing_counts_for_so_long_and_a_failure_leaves_the_last_one() -> None:
    now, answers = [0.0], [[Listed("m", 8)], Retry("down"), [Listed("n", 9)]]

    async def fetch() -> tuple[Listed, ...]:
        answer = answers.pop(0)
        if isinstance(answer, Retry):
            raise answer
        return tuple(answer)

    listing = Listing(fetch, max_age=60, clock=lambda: now[0])
    with pytest.raises(Retry, match="not asked yet"):
        listing.fresh("m")
    await listing.refresh()
    now[0] = 60
    assert listing.fresh("m").context == 8
    with pytest.raises(Retry, match="down"):
        await listing.refresh()
    assert listing.fresh("m").context == 8
    now[0] = 61
    with pytest.raises(Retry, match="61 s ago: down"):
        listing.fresh("m")
    assert "m" in listing.known
    await listing.refresh()
    assert listing.fresh("n").context == 9
    with pytest.raises(Retry, match="lists no m now"):
        listing.fresh("m")


async def test_a_defect_ends_no_listing() -> None:
    told, failing = asyncio.Event(), True

    async def fetch() -> tuple[Listed, ...]:
        nonlocal failing
        if failing:
            failing = False
            raise OverflowError
        told.set()
        return (Listed("m", 8),)

    listing = Listing(fetch)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(listing.run(0), name="listing")
        async with asyncio.timeout(20):
            await told.wait()
        task.cancel()
    assert listing.fresh("m").context == 8
