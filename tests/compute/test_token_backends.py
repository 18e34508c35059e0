"""AkashML and io.net Intelligence as backends: the kit, their prices, and what their errors come to."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vagus.compute import Backend, Barred, Completion, Message, Model, backend_config, make_backend
from vagus.compute.backends.openai import OpenAIBackend
from vagus.compute.conformance import BackendConformance
from vagus.compute.money import Money, Rate
from vagus.compute.sandbox.chat import ScriptedModel
from vagus.compute.sandbox.openai import AkashMLSandbox, IonetIntelligenceSandbox, TokenSandbox
from vagus.protocol import Refuse, Retry

KINDS = {"akashml": AkashMLSandbox, "ionet": IonetIntelligenceSandbox}
LLAMA = Model("meta-llama/Llama-3.3-70B-Instruct")
HELLO = Completion(model=LLAMA, messages=(Message("user", "Hello"),), max_tokens=4)
# A unit of account that is worth 3,000 dollars.
MONEY = Money(Rate(Decimal(3000), "test"))


def key_in(folder: Path, key: str) -> Path:
    path = folder / "key"
    path.write_text(key)
    path.chmod(0o600)
    return path


def backend_of(kind: str, sandbox: TokenSandbox, folder: Path, **more: Any) -> OpenAIBackend:
    made = make_backend(
        backend_config(
            {
                "kind": kind,
                "name": kind,
                "base_url": sandbox.base_url,
                "api_key_file": str(key_in(folder, sandbox.api_key)),
                **more,
            }
        )
    )
    assert isinstance(made, OpenAIBackend)
    made.price_by(MONEY)
    return made


class Kit(BackendConformance):
    kind: str

    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[Backend]:
        slow = ScriptedModel(LLAMA.name, first=0.05)
        async with (
            KINDS[self.kind](models=(slow,)) as sandbox,
            backend_of(self.kind, sandbox, tmp_path) as backend,
        ):
            yield backend


class TestAkashML(Kit):
    kind = "akashml"


class TestIonet(Kit):
    kind = "ionet"


# USD per 1,000,000 tokens in the listings: 0.13 and 0.4, 0.12 and 0.3; a dollar is 10^18/3000 parts.
PARTS = {
    "akashml": (Decimal(43333333333334), Decimal(133333333333334), 131_072),
    "ionet": (Decimal(40000000000000), Decimal(100000000000000), 128_000),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_prices_and_contexts_are_the_listings(kind: str, tmp_path: Path) -> None:
    async with KINDS[kind]() as sandbox, backend_of(kind, sandbox, tmp_path) as backend:
        assert LLAMA in await backend.models()
        price = backend.price(LLAMA)
        assert (price.input, price.output, backend.context(LLAMA)) == PARTS[kind]
        assert price.source == f"{kind}'s listing; USD by test"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_listed_price_without_a_rate_of_the_dollar_is_not_known(
    kind: str, tmp_path: Path
) -> None:
    async with KINDS[kind]() as sandbox, backend_of(kind, sandbox, tmp_path) as backend:
        await backend.models()
        backend.price_by(Money())
        with pytest.raises(Retry, match=r"\[money\]"):
            backend.price(LLAMA)
        assert (await backend.complete(HELLO, timeout=10)).text


async def test_a_price_read_by_the_wrong_unit_is_no_price(tmp_path: Path) -> None:
    async with (
        AkashMLSandbox() as sandbox,
        backend_of("akashml", sandbox, tmp_path, price_unit="million") as backend,
    ):
        await backend.models()
        with pytest.raises(Retry, match="price_unit"):
            backend.price(LLAMA)


async def test_prices_follow_the_listing_and_age(tmp_path: Path) -> None:
    async with AkashMLSandbox() as sandbox, backend_of("akashml", sandbox, tmp_path) as backend:
        now = [0.0]
        backend._listing._clock = lambda: now[0]
        await backend._listing.refresh()
        before = backend.price(LLAMA)
        dear = {"id": LLAMA.name, "pricing": {"input": "0.00000026", "output": "0.0000008"}}
        sandbox.listed = lambda model: {**dear, "id": model.name}  # type: ignore[method-assign]
        await backend._listing.refresh()
        after = backend.price(LLAMA)
        assert (after.input, after.output) == (before.input * 2 - 1, before.output * 2 - 1)

        sandbox.faults.disappear()
        with pytest.raises(Retry):
            await backend._listing.refresh()
        now[0] = 3599
        assert backend.price(LLAMA) == after
        now[0] = 3601
        with pytest.raises(Retry, match="3601 s ago"):
            backend.price(LLAMA)
        assert LLAMA in await backend.models()


async def test_the_listing_is_read_again_and_again_and_no_task_outlives_the_backend(
    tmp_path: Path,
) -> None:
    before = asyncio.all_tasks()
    async with AkashMLSandbox() as sandbox:
        async with backend_of("akashml", sandbox, tmp_path) as backend:
            names = {task.get_name() for task in asyncio.all_tasks()}
            assert "prices of akashml" in names
            await backend.models()
        assert backend._client is None
    assert asyncio.all_tasks() <= before
    with pytest.raises(Retry, match="closed"):
        await backend.complete(HELLO, timeout=1)


async def test_a_backend_without_its_sandbox_starts_and_says_what_is_wrong(tmp_path: Path) -> None:
    async with AkashMLSandbox() as sandbox:
        sandbox.faults.disappear()
        async with backend_of("akashml", sandbox, tmp_path) as backend:
            with pytest.raises(Retry):
                await backend.models()
            sandbox.faults.clear()
            assert LLAMA in await backend.models()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_the_errors_of_the_networks_come_to(kind: str, tmp_path: Path) -> None:
    async with KINDS[kind]() as sandbox, backend_of(kind, sandbox, tmp_path) as backend:
        await backend.models()

        async def error(status: int, **more: Any) -> Exception:
            sandbox.faults.add(path="chat/completions", status=status, times=1, **more)
            with pytest.raises((Retry, Refuse)) as caught:
                await backend.complete(HELLO, timeout=10)
            return caught.value

        for status in (401, 402, 403, 404):
            assert type(await error(status)) is Barred
        for status in (400, 413, 422):
            assert type(await error(status)) is Refuse
        limited = await error(429, headers={"Retry-After": "7"})
        assert isinstance(limited, Retry)
        assert limited.after == 7
        for status in (500, 504, 529):
            assert isinstance(await error(status), Retry)
        sandbox.credit = False
        with pytest.raises(Barred, match="credit"):
            await backend.complete(HELLO, timeout=10)


@pytest.mark.parametrize("kind", KINDS)
async def test_only_models_that_are_listed_or_configured_are_served(
    kind: str, tmp_path: Path
) -> None:
    own = {"name": "llama", "served_as": LLAMA.name, "quantization": "fp8", "context": 4096}
    async with (
        KINDS[kind]() as sandbox,
        backend_of(kind, sandbox, tmp_path, models=[own]) as backend,
    ):
        (model,) = await backend.models()
        assert (model.name, model.quantization) == ("llama", "fp8")
        assert backend.context(model) == 4096
        await backend._listing.refresh()
        assert backend.price(model).input == PARTS[kind][0]
        asked = Completion(model=model, messages=HELLO.messages, max_tokens=1)
        assert (await backend.complete(asked, timeout=10)).model == LLAMA.name
        for wrong in (LLAMA, Model("llama")):
            with pytest.raises(Barred):
                backend.price(wrong)


def test_a_config_without_a_key_and_one_with_two_prices_are_refused() -> None:
    table = {"kind": "akashml", "name": "x"}
    with pytest.raises(ValidationError, match="api_key_file is missing"):
        backend_config(table)
    with pytest.raises(ValidationError, match='prices = "config"'):
        backend_config({**table, "api_key_file": "key", "price": {"input": "1"}})
    fixed = backend_config(
        {**table, "api_key_file": "key", "price": {"input": "1"}, "prices": "config"}
    )
    assert fixed.price.input == 1


async def test_any_openai_like_server_may_give_its_prices(tmp_path: Path) -> None:
    """As OpenRouter lists them: pricing.prompt and .completion, USD a token as strings."""
    async with AkashMLSandbox() as sandbox:
        listed = {
            "id": LLAMA.name,
            "context_length": 65_536,
            "pricing": {"prompt": "0.0000001", "completion": "0.00000032", "request": "0"},
        }
        sandbox.listed = lambda model: {**listed, "id": model.name}  # type: ignore[method-assign]
        async with backend_of("openai", sandbox, tmp_path, prices="listed") as backend:
            await backend.models()
            price = backend.price(LLAMA)
            assert backend.context(LLAMA) == 65_536
    assert (price.input, price.output) == (Decimal(33333333333334), Decimal(106666666666667))
