"""What a node's router tells of its calls: to who rents machines, and to the canaries."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from support.backends import Ready
from vagus.compute import (
    Answer,
    Backend,
    BackendConfig,
    Completion,
    Message,
    Model,
    Price,
    Times,
    Usage,
)
from vagus.compute.routing import Router
from vagus.compute.routing.canary import CanaryConfig
from vagus.daemon.metrics.measured import Measured
from vagus.daemon.metrics.registry import Metrics
from vagus.daemon.node import _observe
from vagus.protocol import Refuse, Retry

MODEL = Model("sold")
USAGE = Usage(10, 20)


class Selling(Ready):
    """Answers at once."""

    def __init__(self, name: str) -> None:
        super().__init__(BackendConfig(kind="selling", name=name))
        self.asked = 0

    async def models(self) -> tuple[Model, ...]:
        return (MODEL,)

    def price(self, model: Model) -> Price:
        return Price()

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        self.asked += 1
        return Answer("yes", (), USAGE, "stop", "sold", Times(0, None, 0.1))


class Renting(Selling):
    """Has no machine yet, and notes what it is told."""

    rents = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.told: list[tuple[Model, Usage, Price | None]] = []

    def used(self, model: Model, usage: Usage, elsewhere: Price | None) -> None:
        self.told.append((model, usage, elsewhere))

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        raise Retry("no machine serves")


def observed(
    canaries: CanaryConfig | None, *inner: Backend
) -> tuple[Any, Router, Sequence[Backend]]:
    """As a node sets it up: each backend counted, the router observed."""
    router, metrics = Router(), Metrics()
    backends = [Measured(each, metrics) for each in inner]
    settings: Any = SimpleNamespace(canaries=canaries)
    return _observe(settings, router, backends), router, backends


async def ask(router: Router, backends: Sequence[Backend]) -> None:
    request = Completion(model=MODEL, messages=(Message("user", "Hello"),), max_tokens=20)
    await router.complete(request, backends, timeout=5)


async def test_who_rents_is_told_of_each_call_through_the_counting() -> None:
    renting = Renting("gpu")
    canaries, router, backends = observed(None, Selling("tokens"), renting)
    await ask(router, backends)
    assert renting.told == [(MODEL, USAGE, Price())]
    assert canaries is None


async def test_the_canaries_ask_who_has_not_seen_a_request_once_it_was_used() -> None:
    trusted, other = Selling("trusted"), Selling("other")
    canaries, router, backends = observed(CanaryConfig(trusted="trusted"), trusted, other)
    assert canaries.judged("other", MODEL.digest) is None
    await ask(router, backends[1:])
    judged = canaries.judged("other", MODEL.digest)
    assert judged.backend is backends[1]
    assert await canaries.ask(judged) is True
    assert other.asked == 2


def test_a_node_that_trusts_none_of_its_backends_does_not_start() -> None:
    with pytest.raises(Refuse, match="canaries trust 'gone', which is no backend here"):
        observed(CanaryConfig(trusted="gone"), Selling("here"))
