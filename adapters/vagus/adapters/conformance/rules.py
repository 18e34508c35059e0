"""What a run may leave out, and how it has to say so: never without a written reason."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, cast

import pytest

__all__ = ["CAPABILITIES", "ConformanceTests", "needs", "overriding"]

CAPABILITIES: Mapping[str, str] = MappingProxyType(
    {
        "finality": "a block is included before it is final",
        "reorg": "the development chain can replace blocks that are not final",
        "mempool": "the node can be made to forget a transaction that is not included",
        "nonces": "the chain numbers an account's transactions, and includes them in that order",
        "time": "chain time can be moved on",
        "websocket": "the node tells of new blocks over a websocket",
        "deliveries": "a delivery's transaction shows what was signed",
        "quorum": "the adapter reads from several endpoints, of which some must agree",
    }
)
"""What not every chain can, and what it means."""

_REASON = "__vagus_reason__"
_SHORTEST = 20
_KIT = __name__.rpartition(".")[0] + "."

F = TypeVar("F", bound=Callable[..., Any])


def overriding(*, reason: str) -> Callable[[F], F]:
    """Mark a test that stands in for one of the kit's, with the reason why the kit's doesn't fit.

    The reason is a sentence for those who rely on the adapter; ValueError where it is none.
    """
    _check_reason(reason, "overriding a test")

    def mark(test: F) -> F:
        setattr(test, _REASON, reason)
        return test

    return mark


def needs(capability: str) -> Callable[[F], F]:
    """Mark a test of the kit that a chain without this capability skips, in words."""

    def mark(test: F) -> F:
        @functools.wraps(test)
        async def run(self: ConformanceTests, *args: object, **kwargs: object) -> None:
            if reason := self.lacks.get(capability):
                pytest.skip(f"NOT TRIED, this chain lacks {capability!r}: {reason}")
            await test(self, *args, **kwargs)

        return cast("F", run)

    if capability not in CAPABILITIES:
        raise ValueError(f"no capability is called {capability!r}")
    return mark


class ConformanceTests:
    """The base of the kit's tests: holds subclasses to the rule of the written reason.

    `lacks` names the capabilities that the chain does not have, each with the reason.
    """

    lacks: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        """Refuse, while tests are collected, what is left out without a word."""
        super().__init_subclass__()
        for capability, reason in cls.lacks.items():
            if capability not in CAPABILITIES:
                known = ", ".join(CAPABILITIES)
                raise TypeError(f"{cls.__name__} lacks {capability!r}, which is none of: {known}")
            _check_reason(reason, f"{cls.__name__} lacks {capability!r}:")
        for name, test in _tests_of_the_kit(cls).items():
            found = inspect.getattr_static(cls, name)
            if found is not test and not getattr(found, _REASON, ""):
                raise TypeError(
                    f"{cls.__name__}.{name} overrides a test of the conformance kit: mark it with "
                    "@overriding(reason=…) and say why"
                )


def _tests_of_the_kit(cls: type) -> dict[str, Any]:
    """Return the tests that the kit itself defines, each as the class that defines it has it."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith(_KIT):
            found |= {name: value for name, value in vars(base).items() if name.startswith("test")}
    return found


def _check_reason(reason: object, what: str) -> None:
    if not isinstance(reason, str) or len(reason.strip()) < _SHORTEST or not reason.isprintable():
        raise ValueError(f"{what} needs a written reason: a sentence, for those who rely on it")
