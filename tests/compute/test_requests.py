"""Requests, prices and configs: what is refused before anything is sent."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

import vagus.compute
from vagus.compute import (
    Completion,
    Message,
    Model,
    Price,
    PriceConfig,
    Usage,
    backend_class,
    backend_config,
    backend_kinds,
    make_backend,
)
from vagus.compute.backends.local import LocalBackend, LocalConfig
from vagus.compute.backends.openai import OpenAIBackend
from vagus.protocol import Refuse

OPENAI = {"kind": "openai", "name": "x", "base_url": "http://127.0.0.1:1/v1"}


def nested(levels: int) -> dict[str, object]:
    schema: dict[str, object] = {}
    for _ in range(levels - 1):
        schema = {"a": schema}
    return schema


def completion(**changes: object) -> Completion:
    base: dict[str, object] = {
        "model": Model("m"),
        "messages": (Message("user", "Hello"),),
        "max_tokens": 8,
    }
    return Completion(**{**base, **changes})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": ()},
        {"messages": (Message("user", "a"),) * 257},
        {"messages": (Message("user", "a" * ((1 << 20) + 1)),)},
        {"messages": (Message("user", "\ud800"),)},
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"max_tokens": 1 << 40},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"seed": -1},
        {"seed": 1 << 31},
        {"logprobs": 21},
        {"logprobs": -1},
        {"stop": ("a",) * 5},
        {"stop": ("\udfff",)},
        {"schema": True},
        {"schema": []},
        {"schema": nested(33)},
        {"schema": nested(8000)},
        {"schema": {"enum": ["x" * (16 << 10)]}},
        {"schema": {"const": float("nan")}},
        {"schema": {"const": "\ud800"}},
    ],
)
def test_a_request_out_of_bounds_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Refuse):
        completion(**changes)


def test_a_request_at_its_bounds_is_made() -> None:
    completion(schema=nested(32), seed=(1 << 31) - 1, temperature=2, logprobs=20, stop=("a",) * 4)


@pytest.mark.parametrize(
    ("price", "usage", "cost"),
    [
        (("0", "0"), (10**6, 10**6), 0),
        (("1000000", "2000000"), (3, 4), 11),
        (("0.5", "0"), (1, 0), 1),
        (("0.5", "0"), (2_000_000, 0), 1),
        (("0", "0.000000000000000001"), (0, 1), 1),
        (("123456789012345678", "0"), (2**31, 0), 265121435638598413629),
    ],
)
def test_a_price_is_exact_and_rounded_up(
    price: tuple[str, str], usage: tuple[int, int], cost: int
) -> None:
    assert Price(Decimal(price[0]), Decimal(price[1])).cost(Usage(*usage)) == cost


@pytest.mark.parametrize("amount", [0.15, -1, "-1", "NaN", "Infinity", "1e99", "abc"])
def test_a_price_that_is_no_exact_amount_is_refused(amount: object) -> None:
    with pytest.raises(ValidationError):
        PriceConfig.model_validate({"input": amount})


def test_backends_are_found_by_their_kind() -> None:
    assert {plugin.name for plugin in backend_kinds()} >= {"local", "openai"}
    assert all(plugin.error is None for plugin in backend_kinds())
    assert backend_class("openai") is OpenAIBackend
    assert isinstance(make_backend(backend_config({"kind": "local"})), LocalBackend)
    assert backend_config({"kind": "local"}) == LocalConfig()


@pytest.mark.parametrize("table", [{}, {"kind": 7}, {"kind": "none"}, {"kind": "../local"}])
def test_an_unknown_kind_is_refused_by_name(table: dict[str, object]) -> None:
    with pytest.raises(Refuse):
        backend_config(table)


@pytest.mark.parametrize(
    "change",
    [
        {"api_key": "sk-1"},
        {"name": "has space"},
        {"base_url": "ftp://x"},
        {"base_url": "http://user:pw@x/v1"},
        {"base_url": "http://x/v1?key=1"},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"max_in_flight": 0},
        {"models": [{"name": "m"}, {"name": "m", "served_as": "n"}]},
        {"models": [{"name": "m", "weights": "AB" * 32}]},
    ],
)
def test_a_wrong_config_is_an_error(change: dict[str, object]) -> None:
    backend_config(OPENAI)
    with pytest.raises(ValidationError):
        backend_config({**OPENAI, **change})


def test_what_the_package_exports_is_there() -> None:
    assert all(hasattr(vagus.compute, name) for name in vagus.compute.__all__)
