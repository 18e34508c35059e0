"""Dollars in the unit of account: the operator's rate, or sources that agree."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from support.scripted import Request, response, scripted
from vagus.compute import Usage
from vagus.compute.money import Money, Rate
from vagus.compute.rates import MoneyConfig, Rates, agreed, at_pointer
from vagus.protocol import Retry


def test_a_price_in_dollars_is_one_in_parts_of_the_unit_rounded_up() -> None:
    money = Money(Rate(Decimal(2500), "config"))
    # 0.5 dollars are 0.0002 of the unit, which has 10^18 parts.
    price = money.price(Decimal("0.5"), Decimal("1.0000000000000000001"), "a listing")
    assert price.input == 200_000_000_000_000
    assert price.output == 400_000_000_000_001
    assert price.source == "a listing; USD by config"
    assert price.cost(Usage(1_000_000, 0)) == 200_000_000_000_000
    assert money.parts(Decimal(1)) == 400_000_000_000_000
    assert money.parts(Decimal(0)) == 0
    assert money.parts(Decimal("1e-18")) == 1


def test_a_rate_counts_for_so_long() -> None:
    now = [0.0]
    money = Money(max_age=60, clock=lambda: now[0])
    with pytest.raises(Retry, match="not known"):
        money.rate()
    now[0] = 1000
    money.set(Rate(Decimal(3), "a"))
    now[0] = 1060
    assert money.rate().usd == 3
    now[0] = 1061
    with pytest.raises(Retry, match="61 s ago"):
        money.parts(Decimal(1))


def said(*usd: str) -> list[Rate]:
    return [Rate(Decimal(each), f"s{at}") for at, each in enumerate(usd)]


@pytest.mark.parametrize(
    ("told", "of", "usd", "source"),
    [
        (["3000"], 1, "3000", "s0"),
        (["3000", "3010"], 2, "3000", "s0, s1"),
        (["3000", "3010", "3020"], 3, "3010", "s0, s1, s2"),
        # One that lies, high or low, changes nothing.
        (["1", "3010", "3020"], 3, "3010", "s1, s2"),
        (["3010", "3020", "999999"], 3, "3010", "s0, s1"),
        # One that fails is one less.
        (["3010", "3020"], 3, "3010", "s0, s1"),
        (["3000", "3060"], 2, "3000", "s0, s1"),
    ],
)
def test_the_middle_of_sources_that_agree_is_the_rate(
    told: list[str], of: int, usd: str, source: str
) -> None:
    assert agreed(said(*told), Decimal(2), of=of) == Rate(Decimal(usd), source)


@pytest.mark.parametrize(
    ("told", "of"),
    [
        ([], 1),
        ([], 3),
        (["3000"], 2),
        (["3000"], 3),
        (["3000", "3061"], 2),
        (["1", "10", "100"], 3),
    ],
)
def test_sources_that_do_not_agree_give_no_rate(told: list[str], of: int) -> None:
    with pytest.raises(Retry, match="do not agree"):
        agreed(said(*told), Decimal(2), of=of)


@pytest.mark.parametrize(
    ("body", "pointer", "usd"),
    [
        (b'{"ethereum":{"usd":3012.5}}', "/ethereum/usd", "3012.5"),
        (b'{"data":{"amount":"3012.50","currency":"USD"}}', "/data/amount", "3012.50"),
        (b'{"result":{"XETHZUSD":{"c":["3012.1","0.4"]}}}', "/result/XETHZUSD/c/0", "3012.1"),
        # The escapes of RFC 6901.
        (b'{"a/b":{"m~n":7}}', "/a~1b/m~0n", "7"),
        (b'{"":5}', "/", "5"),
    ],
)
def test_a_rate_stands_where_the_pointer_says(body: bytes, pointer: str, usd: str) -> None:
    assert at_pointer(body, pointer) == Decimal(usd)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"<html>",
        b"[" * 1_000_000,
        b'{"usd":' + b'{"a":' * 100_000,
        b"{}",
        b'{"usd":null}',
        b'{"usd":true}',
        b'{"usd":{}}',
        b'{"usd":"NaN"}',
        b'{"usd":"many"}',
        b'{"usd":0}',
        b'{"usd":-3}',
        b'{"usd":1e300}',
        b'{"usd":"1e-99999999"}',
        b'{"usd":' + b"9" * 5000 + b"}",
        b'"usd"',
        b"[1]",
    ],
)
def test_anything_else_there_is_no_rate(body: bytes) -> None:
    with pytest.raises(Retry):
        at_pointer(body, "/usd")


def config(*ports: int, **more: Any) -> MoneyConfig:
    sources = [
        {"name": f"s{at}", "url": f"http://127.0.0.1:{port}/v2/prices?of=eth", "pointer": "/usd"}
        for at, port in enumerate(ports)
    ]
    return MoneyConfig.model_validate({"sources": sources, **more})


async def test_sources_are_asked_and_their_rate_is_taken() -> None:
    async def answer(request: Request) -> None:
        await request.send(response({"usd": 3000}))

    before = asyncio.all_tasks()
    async with (
        scripted(answer) as one,
        scripted(answer) as other,
        Rates(config(one.port, other.port)) as rates,
    ):
        await rates.refresh()
        assert rates.money.rate() == Rate(Decimal(3000), "s0, s1")
        assert one.requests[0].line == "GET /v2/prices?of=eth HTTP/1.1"
    assert asyncio.all_tasks() <= before


async def test_sources_that_fail_are_named_and_leave_the_last_rate() -> None:
    good = True

    async def answer(request: Request) -> None:
        body = response({"usd": 3000}) if good else response({}, status="503 Down")
        await request.send(body)

    async with (
        scripted(answer) as one,
        scripted(answer) as other,
        Rates(config(one.port, other.port)) as rates,
    ):
        await rates.refresh()
        good = False
        with pytest.raises(Retry, match=r"s0: HTTP 503.*s1: HTTP 503"):
            await rates.refresh()
        assert rates.money.rate().usd == 3000


async def test_a_source_that_asks_to_wait_without_end_is_only_one_that_fails() -> None:
    async def good(request: Request) -> None:
        await request.send(response({"usd": 3000}))

    async def bad(request: Request) -> None:
        headers = f"Retry-After: {'9' * 400}\r\n"
        await request.send(response({}, status="503 Down", headers=headers))

    async with (
        scripted(good) as one,
        scripted(good) as other,
        scripted(bad) as third,
        Rates(config(one.port, other.port, third.port)) as rates,
    ):
        await rates.refresh()
        assert rates.money.rate() == Rate(Decimal(3000), "s0, s1")


async def test_a_defect_ends_no_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    told, read = asyncio.Event(), [at_pointer]

    def broken(data: bytes, pointer: str) -> Decimal:
        if len(read) == 1:
            read.append(at_pointer)
            raise ZeroDivisionError
        told.set()
        return at_pointer(data, pointer)

    async def answer(request: Request) -> None:
        await request.send(response({"usd": 3000}))

    monkeypatch.setattr("vagus.compute.rates.at_pointer", broken)
    async with scripted(answer) as one:
        hasty = config(one.port).model_copy(update={"refresh": 0.0})
        async with Rates(hasty) as rates, asyncio.timeout(20):
            await told.wait()
            await rates.refresh()
            assert rates.money.rate().usd == 3000


async def test_the_operators_rate_and_none_need_nobody() -> None:
    async with Rates(MoneyConfig(usd=Decimal("3000.5"))) as rates:
        assert rates.money.rate() == Rate(Decimal("3000.5"), "config")
    async with Rates(MoneyConfig()) as rates:
        with pytest.raises(Retry):
            rates.money.rate()


@pytest.mark.parametrize(
    "table",
    [
        {"usd": 3000.5},
        {"usd": "0"},
        {"usd": "-1"},
        {"usd": "NaN"},
        {"usd": "1", "sources": [{"name": "a", "url": "https://x.example/", "pointer": "/a"}]},
        {"sources": [{"name": "a", "url": "https://x.example/", "pointer": "/a"}] * 2},
        {"sources": [{"name": "a", "url": "ftp://x.example/", "pointer": "/a"}]},
        {"sources": [{"name": "a", "url": "https://u:p@x.example/", "pointer": "/a"}]},
        {"sources": [{"name": "a", "url": "http://169.254.169.254/", "pointer": "/a"}]},
        {"sources": [{"name": "a", "url": "https://x.example/", "pointer": "a"}]},
        {"refresh": 1},
    ],
)
def test_a_wrong_table_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MoneyConfig.model_validate(table)
