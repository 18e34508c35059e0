"""`when = "cheaper"`: a machine is rented where tokens would cost more elsewhere, and not for one call."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from support.client import until
from support.leases import CONTAINER, MODEL, Network
from vagus.compute import Answer, Completion, Message, Model, Price, Times, Usage
from vagus.compute.backends.akash import AkashBackend, AkashConfig
from vagus.compute.backends.openai import ModelConfig
from vagus.compute.money import Money, Rate
from vagus.compute.routing.capacity import tell
from vagus.compute.routing.served import Served
from vagus.protocol import Retry

# A dollar a unit: a million tokens cost a dollar elsewhere, the machine 0.60 dollars an hour at most.
MONEY = Money(Rate(Decimal(1), "the test"))
ELSEWHERE = Price(output=Decimal(MONEY.parts(Decimal(1))))
SOLD = Model(MODEL)


@pytest.fixture
async def backend(akash: Network, tmp_path: Path) -> AsyncIterator[AkashBackend]:
    config = AkashConfig(
        name="gpu",
        models=(ModelConfig(name=MODEL),),
        image=CONTAINER.image,
        args=CONTAINER.args,
        gpus=akash.want.gpus,
        max_hourly=Decimal("0.60"),
        spend_hour=Decimal("0.70"),
        spend_day=Decimal(8),
        when="cheaper",
        base_url=akash.sandbox.base_url,
        api_key_file=tmp_path / "network.key",
    )
    found = AkashBackend(config)
    found.keep_in(tmp_path / "ledger")
    (tmp_path / "ledger").mkdir()
    found.price_by(MONEY)
    async with found:
        yield found


async def test_a_machine_is_rented_once_its_tokens_are_worth_more_than_it_costs(
    backend: AkashBackend, akash: Network
) -> None:
    asked = Completion(model=SOLD, messages=(Message("user", "Hello"),), max_tokens=1)
    # Half of it fades in half an hour: 416,000 an hour cost 0.42, and 1.3 times 0.60 is 0.78.
    backend.used(SOLD, Usage(0, 300_000), ELSEWHERE)
    with pytest.raises(Retry, match=r"less than 1.3 times the lease's"):
        await backend.complete(asked, timeout=1)
    assert not akash.labels()
    backend.used(SOLD, Usage(0, 600_000), ELSEWHERE)

    async def rented() -> int:
        return len(akash.labels())

    await until(rented, (1).__eq__, within=20)


async def test_a_call_alone_rents_nothing_and_neither_do_others_models_nor_dollars_without_a_rate(
    backend: AkashBackend, akash: Network
) -> None:
    asked = Completion(model=SOLD, messages=(Message("user", "Hello"),), max_tokens=1)
    with pytest.raises(Retry, match="has no machine that serves"):
        await backend.complete(asked, timeout=1)
    backend.used(Model("another"), Usage(0, 10_000_000), ELSEWHERE)
    backend.price_by(Money())
    backend.used(SOLD, Usage(0, 10_000_000), ELSEWHERE)
    with pytest.raises(Retry, match="what a US dollar is worth here is not known"):
        await backend.complete(asked, timeout=1)
    assert not akash.labels()


async def test_where_nobody_has_served_a_call_for_a_minute_one_alone_rents(
    backend: AkashBackend, akash: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Completion(model=SOLD, messages=(Message("user", "Hello"),), max_tokens=1)
    began = time.monotonic()
    for seconds, served in [(0, False), (59, True), (61, False), (120, False)]:
        monkeypatch.setattr(time, "monotonic", lambda now=began + seconds: now)
        with pytest.raises(Retry):
            await backend.complete(asked, timeout=1)
        if served:
            backend.used(SOLD, Usage(0, 1), ELSEWHERE)
    assert not akash.labels()
    monkeypatch.setattr(time, "monotonic", lambda: began + 122)
    with pytest.raises(Retry):
        await backend.complete(asked, timeout=1)
    monkeypatch.undo()

    async def rented() -> int:
        return len(akash.labels())

    await until(rented, (1).__eq__, within=20)


class Renting(AkashBackend):
    """Notes what it is told."""

    def __init__(self) -> None:  # pyright: ignore[reportMissingSuperCall]
        self.told: list[Price | None] = []

    def used(self, model: Model, usage: Usage, elsewhere: Price | None) -> None:
        self.told.append(elsewhere)


class Selling(Renting):
    """Sells tokens at a price, and rents nothing."""

    rents = False

    def __init__(self, output: int) -> None:  # pyright: ignore[reportMissingSuperCall]
        self._output = output

    def price(self, model: Model) -> Price:
        return Price(output=Decimal(self._output))


def test_who_rents_is_told_what_tokens_cost_at_the_cheapest_who_does_not() -> None:
    renting, dear, cheap = Renting(), Selling(9), Selling(5)
    answer = Answer("x", (), Usage(1, 1_000_000), "stop", MODEL, Times(0, None, 1))
    request = Completion(model=SOLD, messages=(Message("user", "Hello"),), max_tokens=1)
    saw = tell([renting])
    saw(request, Served(answer, dear, Price(), ()), (renting, dear, cheap))
    saw(request, Served(answer, renting, Price(), ()), (renting,))
    assert renting.told == [Price(output=Decimal(5)), None]
