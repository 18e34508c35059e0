"""Three members over a broker beside one alone: what agreeing costs, in one run."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import uvloop

from vagus.compute.mqtt.broker import Broker
from vagus.daemon.bench.member import Order, Result
from vagus.daemon.bench.stub_model import running_model
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["CommitteeBench", "measure_committee"]


class CommitteeBench(msgspec.Struct):
    """One number of intents in flight: one node alone, and each of three that agree."""

    in_flight: int
    intents: int
    alone: Result
    members: list[Result]


def measure_committee(
    in_flight: int, intents: int, broker: str | None, folder: Path, say: Callable[[str], None]
) -> CommitteeBench:
    """Carry as many intents alone and by three of which two sign; `broker` None starts one.

    Raises VagusError where a member ends without a result.
    """
    return uvloop.run(_measure(in_flight, intents, broker, folder, say))


async def _measure(
    in_flight: int, intents: int, broker: str | None, folder: Path, say: Callable[[str], None]
) -> CommitteeBench:
    async with contextlib.AsyncExitStack() as stack:
        if broker is None:
            broker = (await stack.enter_async_context(Broker())).url
        model = stack.enter_context(running_model())
        say(f"{intents} intents, {in_flight} in flight: one node alone")

        def orders(size: int) -> list[Order]:
            return [
                Order(
                    at=at,
                    size=size,
                    threshold=size // 2 + 1,
                    broker=broker,
                    model=model,
                    in_flight=in_flight,
                    intents=intents,
                    now=int(time.time()),
                    journal=str(folder / f"{size}-{in_flight}-{at}.sqlite"),
                )
                for at in range(size)
            ]

        (alone,) = _run(orders(1))
        say(f"{intents} intents, {in_flight} in flight: three nodes, two sign")
        return CommitteeBench(in_flight, intents, alone, _run(orders(3)))


def _run(orders: list[Order]) -> list[Result]:
    """Run a process for each order at once; return what they came to."""
    command = [sys.executable, "-m", "vagus.daemon.bench.member"]
    with contextlib.ExitStack() as stack:
        members = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own module
            )
            for _ in orders
        ]
        try:
            for order, member in zip(orders, members, strict=True):
                assert member.stdin is not None  # noqa: S101 - both are pipes
                member.stdin.write(msgspec.json.encode(order) + b"\n")
                member.stdin.flush()
            return [_result(member) for member in members]
        finally:
            for member in members:
                with contextlib.suppress(BrokenPipeError, ValueError):
                    if member.stdin is not None:
                        member.stdin.write(b"\n")
                        member.stdin.close()
                try:
                    member.wait(10)
                except subprocess.TimeoutExpired:
                    member.kill()


def _result(member: subprocess.Popen[bytes]) -> Result:
    assert member.stdout is not None  # noqa: S101 - it is a pipe
    for line in member.stdout:
        if line.startswith(b"{") and b"intents_per_s" in line:
            return msgspec.json.decode(line, type=Result)
    raise VagusError(f"a member ended without a result, with exit code {member.wait()}")
