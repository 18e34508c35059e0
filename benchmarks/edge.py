"""Round trips to an edge worker through Mosquitto, beside a bare aiomqtt echo of the same sizes.

    python benchmarks/edge.py [--seconds 3] [--rounds 3] [--in-flight 1 4 16] [--json]

The node's backend, the worker, its model server and the broker are processes of their own. The server
answers the same few words at once, so that what is measured is the edge: a request signed and sent, checked,
asked of the server over HTTP, answered, signed, sent back and checked. The echo is two aiomqtt clients
with QoS 1 that send as many bytes there and back, and look at none. Rounds take turns, so that a busy
machine slows both alike; the figures are the rounds' medians. What a busy machine changes least is the
processor time of a round trip, in all processes together: two cores give 2 s of it in a second.
"""

import argparse
import asyncio
import itertools
import json
import logging
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import aiomqtt
import structlog
import uvloop
from coincurve import PrivateKey
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from support.mosquitto import Mosquitto
from vagus.compute import Completion, Message
from vagus.compute.backends.openai import OpenAIBackend, OpenAIConfig
from vagus.compute.edge.backend import EdgeBackend
from vagus.compute.edge.bodies import Offered
from vagus.compute.edge.config import EdgeConfig
from vagus.compute.edge.worker import Worker
from vagus.compute.mqtt import MqttConfig
from vagus.protocol import address_of

NODE, WORKER = PrivateKey(b"\1" * 32), PrivateKey(b"\2" * 32)
NODELAY = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
SLOTS = 64
# aiomqtt warns of more than ten messages that are not confirmed.
SILENT = logging.getLogger("silent")
SILENT.setLevel(logging.ERROR)
BODY = json.dumps(
    {
        "model": "echo",
        "choices": [{"index": 0, "message": {"content": "Well."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1},
    }
).encode()
LISTING = json.dumps({"data": [{"id": "echo"}]}).encode()


class Served(asyncio.Protocol):
    """The least of an HTTP server: each request whole, keep-alive, the same answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._data = cast("asyncio.Transport", transport), b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            _, _, rest = head.partition(b"content-length: ")
            length = int(rest.split(b"\r\n", 1)[0]) if rest else 0
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            body = LISTING if head.startswith(b"get") else BODY
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            self._transport.write(answer + body)


async def serve_model(ready: Callable[[object], None]) -> None:
    server = await asyncio.get_running_loop().create_server(Served, "127.0.0.1", 0)
    ready(server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


async def serve_worker(ready: Callable[[object], None], url: str, port: int) -> None:
    config = OpenAIConfig(name="local", base_url=f"http://127.0.0.1:{port}/v1")
    async with OpenAIBackend(config) as backend:
        (model,) = await backend.models()
        broker = MqttConfig.model_validate({"url": url})
        worker = Worker(
            WORKER, broker, backend, [Offered(model.name)], {address_of(NODE)}, slots=SLOTS
        )
        ready(None)
        await worker.serve(asyncio.Event())


def bare(url: str) -> aiomqtt.Client:
    config = MqttConfig.model_validate({"url": url})
    return aiomqtt.Client(
        config.host,
        config.port,
        protocol=aiomqtt.ProtocolVersion.V5,
        socket_options=NODELAY,
        max_queued_outgoing_messages=0,
        max_inflight_messages=SLOTS,
        logger=SILENT,
    )


async def serve_echo(ready: Callable[[object], None], url: str, size: int) -> None:
    payload = bytes(size)
    async with bare(url) as client, asyncio.TaskGroup() as group:
        await client.subscribe("echo/ask", qos=1)
        ready(None)
        async for message in client.messages:
            found = message.properties
            assert found is not None
            about = Properties(PacketTypes.PUBLISH)
            about.CorrelationData = found.CorrelationData
            sending = client.publish(found.ResponseTopic, payload, 1, properties=about)
            group.create_task(sending)


def process(target: Callable[..., Awaitable[None]], pipe: object, *arguments: object) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    uvloop.run(target(pipe.send, *arguments))  # type: ignore[attr-defined, arg-type]


@asynccontextmanager
async def running(
    target: Callable[..., Awaitable[None]], *arguments: object
) -> AsyncIterator[tuple[object, int | None]]:
    """Run a coroutine in a process of its own; what it reports once it is ready, and its pid."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    made = multiprocessing.get_context("spawn").Process(
        target=process, args=(target, there, *arguments), daemon=True
    )
    made.start()
    try:
        yield await asyncio.to_thread(here.recv), made.pid
    finally:
        made.kill()
        await asyncio.to_thread(made.join)


def busy(pids: Sequence[int | None]) -> float:
    """Return the seconds of processor that processes have had."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


async def timed(
    trip: Callable[[], Awaitable[object]],
    in_flight: int,
    seconds: float,
    pids: Sequence[int | None] = (),
) -> tuple[float, float, float]:
    """Return round trips a second, the median of their milliseconds, and their microseconds of CPU."""
    times: list[float] = []
    begin, before = time.perf_counter(), busy(pids)

    async def ask() -> None:
        while (asked := time.perf_counter()) - begin < seconds:
            await trip()
            times.append(time.perf_counter() - asked)

    await asyncio.gather(*(ask() for _ in range(in_flight)))
    spent, taken = time.perf_counter() - begin, busy(pids) - before
    return len(times) / spent, 1000 * statistics.median(times), 1e6 * taken / len(times)


@asynccontextmanager
async def edge(url: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    worker = f"0x{address_of(WORKER).hex()}"
    backend = EdgeBackend(EdgeConfig(name="edge", url=url, workers=(worker,)))
    backend.sign_with(NODE)
    async with backend:
        (model,) = await backend.models()
        asked = (Message("user", "How is it going today?"),)
        request = Completion(model=model, messages=asked, max_tokens=8)
        yield lambda: backend.complete(request, timeout=60)


@asynccontextmanager
async def echo(url: str, size: int) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    waiting: dict[bytes, asyncio.Future[None]] = {}
    numbers, payload = itertools.count(), bytes(size)
    async with bare(url) as client:
        await client.subscribe("echo/reply", qos=1)

        async def listen() -> None:
            async for message in client.messages:
                waiting.pop(message.properties.CorrelationData).set_result(None)  # type: ignore[union-attr]

        async def trip() -> None:
            about = b"%032d" % next(numbers)
            waiting[about] = asyncio.get_running_loop().create_future()
            future, properties = waiting[about], Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic, properties.CorrelationData = "echo/reply", about
            await client.publish("echo/ask", payload, 1, properties=properties)
            await future

        listening = asyncio.create_task(listen())
        yield trip
        listening.cancel()


async def measure(
    seconds: float, rounds: int, in_flight: Sequence[int]
) -> list[dict[str, float | int]]:
    found: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    async with AsyncExitStack() as life:
        folder = Path(life.enter_context(tempfile.TemporaryDirectory()))
        broker = await life.enter_async_context(Mosquitto(folder, quiet=True))
        port, server = await life.enter_async_context(running(serve_model))
        _, worker = await life.enter_async_context(running(serve_worker, broker.url, port))
        # What the edge sends for this request and this answer, in bytes.
        _, echoing = await life.enter_async_context(running(serve_echo, broker.url, 246))
        trips = {
            "edge": await life.enter_async_context(edge(broker.url)),
            "echo": await life.enter_async_context(echo(broker.url, 474)),
        }
        both = [os.getpid(), broker.pid]
        pids = {"edge": [*both, server, worker], "echo": [*both, echoing]}
        for trip in trips.values():
            await timed(trip, 4, 0.5)
        for _ in range(rounds):
            for count in in_flight:
                for name, trip in trips.items():
                    row = await timed(trip, count, seconds, pids[name])
                    found.setdefault((name, count), []).append(row)
    rows: list[dict[str, float | int]] = []
    for count in in_flight:
        rates = {name: [row[0] for row in found[name, count]] for name in ("edge", "echo")}
        p50 = {name: statistics.median(row[1] for row in found[name, count]) for name in rates}
        cpu = {name: statistics.median(row[2] for row in found[name, count]) for name in rates}
        per_s = {name: statistics.median(rates[name]) for name in rates}
        pairs = [mine / bare for mine, bare in zip(rates["edge"], rates["echo"], strict=True)]
        rows.append(
            {
                "in_flight": count,
                "edge_per_s": per_s["edge"],
                "edge_p50_ms": p50["edge"],
                "edge_cpu_us": cpu["edge"],
                "echo_per_s": per_s["echo"],
                "echo_p50_ms": p50["echo"],
                "echo_cpu_us": cpu["echo"],
                "ratio": statistics.median(pairs),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    before = os.getloadavg()[0]
    rows = uvloop.run(measure(arguments.seconds, arguments.rounds, arguments.in_flight))
    load = {"load_before": before, "load_after": os.getloadavg()[0], "cores": os.cpu_count()}
    if arguments.json:
        print(json.dumps({"round_trips": rows, **load}))
        return
    head = f"{'p50 ms':>8} {'CPU µs':>7}"
    print(f"{'in flight':>9} {'edge/s':>8} {head} {'echo/s':>8} {head} {'ratio':>6}")
    for row in rows:
        cells = " ".join(
            f"{row[f'{name}_per_s']:>8,.0f} {row[f'{name}_p50_ms']:>8.2f}"
            f" {row[f'{name}_cpu_us']:>7,.0f}"
            for name in ("edge", "echo")
        )
        print(f"{row['in_flight']:>9} {cells} {row['ratio']:>6.2f}")
    print(
        f"{load['cores']} cores; load {load['load_before']:.1f} before, {load['load_after']:.1f} after"
    )


if __name__ == "__main__":
    main()
