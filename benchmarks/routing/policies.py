"""The simple policies, which try once, and what a run of any policy came to."""

import asyncio
import itertools
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from world import DEADLINE, Call, Failed, Machine, World

__all__ = ["SIMPLE", "Policy", "Result", "fixed", "foreseeing", "play"]

# Serves one call, or raises Failed.
Policy = Callable[[Call], Awaitable[None]]


@dataclass(frozen=True)
class Result:
    """What a run came to: seconds of the calls that were answered, micro-dollars of all tries."""

    calls: int
    seconds: tuple[float, ...]
    spent: float
    tries: int
    cancelled: int

    @staticmethod
    def pooled(results: Sequence["Result"]) -> "Result":
        return Result(
            sum(each.calls for each in results),
            tuple(itertools.chain.from_iterable(each.seconds for each in results)),
            sum(each.spent for each in results),
            sum(each.tries for each in results),
            sum(each.cancelled for each in results),
        )

    @property
    def success(self) -> float:
        return len(self.seconds) / self.calls

    @property
    def cost(self) -> float:
        return self.spent / len(self.seconds) if self.seconds else math.nan

    def quantile(self, share: float) -> float:
        if not self.seconds:
            return math.nan
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


async def play(world: World, policy: Policy) -> Result:
    """Run the trace through a policy, each call when it comes."""
    loop = asyncio.get_running_loop()
    seconds: list[float] = []

    async def serve(call: Call) -> None:
        began = loop.time()
        try:
            await policy(call)
        except Failed:
            return
        seconds.append(loop.time() - began)

    async with asyncio.TaskGroup() as group:
        for call in world.calls:
            await asyncio.sleep(max(0.0, call.at - loop.time()))
            group.create_task(serve(call), name=f"call {call.number}")
    return Result(
        len(world.calls),
        tuple(seconds),
        sum(each.spent for each in world.machines),
        sum(each.tried for each in world.machines),
        sum(each.cancelled for each in world.machines),
    )


def _random(world: World) -> Policy:
    source = random.Random(1)

    async def serve(call: Call) -> None:
        await source.choice(world.machines).complete(call, DEADLINE)

    return serve


def _round_robin(world: World) -> Policy:
    turns = itertools.cycle(world.machines)

    async def serve(call: Call) -> None:
        await next(turns).complete(call, DEADLINE)

    return serve


def _cheapest(world: World) -> Policy:
    async def serve(call: Call) -> None:
        now = asyncio.get_running_loop().time()

        def cost(machine: Machine) -> float:
            return machine.cost(machine.prices(now), call.prompt, call.completion)

        await min(world.machines, key=cost).complete(call, DEADLINE)

    return serve


def fixed(number: int) -> Callable[[World], Policy]:
    """Always the same backend."""

    def make(world: World) -> Policy:
        async def serve(call: Call) -> None:
            await world.machines[number].complete(call, DEADLINE)

        return serve

    return make


def foreseeing(seconds: float) -> Callable[[World], Policy]:
    """Knows what would befall each try: the cheapest that answers in time, else the fastest."""

    def make(world: World) -> Policy:
        async def serve(call: Call) -> None:
            now = asyncio.get_running_loop().time()

            def cost(machine: Machine) -> float:
                return machine.cost(machine.prices(now), call.prompt, call.completion)

            fastest = (math.inf, world.machines[0])
            for machine in sorted(world.machines, key=cost):
                took = machine.foresee(call, now)
                if took < fastest[0]:
                    fastest = took, machine
                if took <= seconds:
                    break
            await fastest[1].complete(call, DEADLINE)

        return serve

    return make


SIMPLE: dict[str, Callable[[World], Policy]] = {
    "random": _random,
    "round robin": _round_robin,
    "cheapest first": _cheapest,
}
