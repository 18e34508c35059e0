"""vagus' own router on the trace: `vagus.compute.routing.Router`, around simulated backends."""

import asyncio
from decimal import Decimal
from types import TracebackType
from typing import Self

from overhead import microseconds
from policies import Policy
from world import DEADLINE, Call, Failed, Machine, World

from vagus.compute import Answer, Backend, BackendConfig, Completion, Message, Model, Price, Usage
from vagus.compute.base import Times
from vagus.compute.routing import Router, Tuning
from vagus.protocol import Refuse, Retry

__all__ = ["overhead", "policy"]

MODEL = Model("simulated")


class Simulated(Backend):
    """A machine of the market as a backend; a call's number is the request's seed."""

    Config = BackendConfig

    def __init__(self, machine: Machine, world: World) -> None:
        config = BackendConfig(
            kind="simulated", name=f"m{machine.number}", max_in_flight=machine.limit
        )
        super().__init__(config)
        self._machine = machine
        self._world = world
        self._step = -1
        self._price = Price()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    async def models(self) -> tuple[Model, ...]:
        return (MODEL,)

    def price(self, model: Model) -> Price:
        step = int(asyncio.get_running_loop().time() / 10)
        if step != self._step:
            self._step = step
            read, written = self._machine.prices(step * 10)
            self._price = Price(Decimal(round(read)), Decimal(round(written)))
        return self._price

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        loop = asyncio.get_running_loop()
        began = loop.time()
        call = self._world.by_number[request.seed]
        try:
            await self._machine.complete(call, timeout)
        except Failed as error:
            if error.status == 429:
                raise Retry("HTTP 429", error.after) from None
            raise Retry(f"HTTP {error.status}") from None
        times = Times(0.0, None, loop.time() - began)
        return Answer("", (), Usage(call.prompt, call.completion), "stop", "simulated", times)


def request(call: Call) -> Completion:
    """The call as the router sees it: a prompt of about as many tokens, and no word of the answer's length."""
    prompt = (Message("user", "word" * call.prompt),)
    return Completion(model=MODEL, messages=prompt, max_tokens=call.max_tokens, seed=call.number)


def policy(world: World, tuning: Tuning | None = None) -> Policy:
    router = Router(tuning)
    backends = tuple(Simulated(machine, world) for machine in world.machines)

    async def serve(call: Call) -> None:
        try:
            await router.complete(request(call), backends, timeout=DEADLINE)
        except (Retry, Refuse):
            raise Failed(504) from None

    return serve


class _Instant(Simulated):
    """Answers at once."""

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        return Answer("", (), Usage(20, 4), "stop", "simulated", Times(0.0, None, 0.0))


async def overhead(backends: int, calls: int = 1000) -> float:
    """The router's µs for a call."""
    world = World(1, backends, calls, 1.0)
    router = Router()
    every = tuple(_Instant(machine, world) for machine in world.machines)
    asked = [request(call) for call in world.calls]

    async def routed(index: int) -> None:
        await router.complete(asked[index], every, timeout=DEADLINE)

    async def bare(index: int) -> None:
        await every[0].complete(asked[index], timeout=DEADLINE)

    return await microseconds(routed, bare, calls)
