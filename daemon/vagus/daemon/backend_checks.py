"""What is wrong, or hardly meant, with `[[backends]]` as a whole: for `vagus run`, check and doctor alike."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vagus.compute.backends.http import read_key
from vagus.compute.leases.leased import LeasedBackend
from vagus.compute.money import UNIT
from vagus.daemon.credentials import located

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vagus.compute import Backend
    from vagus.compute.rates import MoneyConfig

__all__ = ["doubts", "name_faults", "read_keys"]

# Million tokens that a rented machine is taken to write in an hour, 200 a second, where a price is proposed.
_HOUR = Decimal("0.72")
_KEYS = ("api_key_file", "secret_key_file")


def name_faults(names: Sequence[str], trusted: str | None, where: str) -> Iterator[str]:
    """Yield what is wrong with the backends' names; trusted: the one that canaries go by.

    where: what a place in the config begins with, as "vagus.toml: ".
    """
    if twice := sorted({each for each in names if names.count(each) > 1}):
        fault = f"{where}backends: {', '.join(twice)} is there more than once"
        yield f"{fault}: give each a name of its own"
    if trusted is not None and trusted not in names:
        known = ", ".join(names)
        yield f"{where}canaries.trusted: no backend is named {trusted}; there are: {known}"


def read_keys(table: dict[str, Any]) -> None:
    """Read the keys of one table of `[[backends]]`, as its backend will. Raises Refuse, CredentialError."""
    for each in _KEYS:
        if table.get(each) is not None:
            read_key(located(Path(table[each])))


def doubts(backend: Backend, money: MoneyConfig) -> Iterator[tuple[str, str]]:
    """Yield what is hardly meant of a backend, and what to do: it runs all the same."""
    if backend.in_dollars and not money.told:
        yield (
            "it charges in US dollars, and nobody says what those are worth: it has no price",
            "give usd or sources under [money]",
        )
    if not isinstance(backend, LeasedBackend):
        return
    config = backend.settings
    if not (config.price.input or config.price.output):
        yield (
            "it rents machines and has no price: what they cost is given away",
            f"write {_price(config.max_hourly, money)} in its table (docs/compute.md#what-its-tokens-cost)",
        )
    if config.spend_hour < config.max_hourly:
        yield (
            f"spend_hour {config.spend_hour} is under max_hourly {config.max_hourly}: a machine at "
            "that price is never rented",
            "give spend_hour as much as max_hourly at least",
        )
    if config.spend_day < config.spend_hour:
        yield (
            f"spend_day {config.spend_day} is under spend_hour {config.spend_hour}, which is never reached",
            "give spend_day as much as spend_hour at least",
        )


def _price(hourly: Decimal, money: MoneyConfig) -> str:
    if money.usd is None:
        return 'price = { input = "…", output = "…" }'
    parts = (hourly / _HOUR / money.usd * UNIT).to_integral_value(ROUND_CEILING)
    return f'price = {{ output = "{parts:f}" }} or more, for 200 tokens a second at max_hourly,'
