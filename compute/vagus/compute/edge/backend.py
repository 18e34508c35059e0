"""The backend `edge`: workers of GPU owners behind any NAT, asked over a broker.

Only the workers that the config names are listened to, and each answer is taken from the worker that was
asked alone, for the request that was sent alone. What else arrives is dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Self

import structlog
from typing_extensions import override

from vagus.compute.base import Answer, Backend, Barred, Times
from vagus.compute.edge import bodies, topics
from vagus.compute.edge.calls import Call
from vagus.compute.edge.config import EdgeConfig
from vagus.compute.edge.frames import MAX_FRAME, Frame, FrameError, Kind, open_frame
from vagus.compute.edge.refusals import Refusals
from vagus.compute.edge.standing import Standing, Workers
from vagus.compute.mqtt import MqttClient
from vagus.compute.price import Price
from vagus.protocol import Refuse, Retry, address_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType

    from coincurve import PrivateKey

    from vagus.compute.base import Completion, Delta, Model
    from vagus.compute.money import Money
    from vagus.compute.mqtt import Message

__all__ = ["EdgeBackend"]

log = structlog.get_logger("vagus.edge")

# US dollars per 1,000,000 tokens read and written.
Usd = tuple[Decimal, Decimal]
# Seconds after which workers that are not there are called again, and for which they are waited for once
# the backend has begun: whoever asks for its models may ask once.
_CALL_EVERY = 5.0
_BEGINNING = 5.0
# Seconds for which a call waits for a broker that is away.
_BROKER = 2.0
# Seconds after which a backend without workers is worth another try.
_NOBODY = 5.0


class EdgeBackend(Backend):
    """The workers behind one broker. dropped: messages that were not listened to, by reason."""

    Config = EdgeConfig
    signs = True
    cancels = True

    def __init__(self, config: EdgeConfig) -> None:
        super().__init__(config)
        self.in_dollars = bool(config.max_price.input or config.max_price.output)
        self.dropped: Counter[str] = Counter()
        self._config = config
        self._key: PrivateKey | None = None
        self._money: Money | None = None
        self._workers = Workers(config.addresses, (config.max_price.input, config.max_price.output))
        # The no of one among several is not that of all; one alone is the backend.
        self._refusals = Refusals(min(2, len(config.addresses)))
        self._calls: dict[bytes, Call] = {}
        self._changed = asyncio.Event()
        self._life = contextlib.AsyncExitStack()
        self._client: MqttClient | None = None
        self._log = log.bind(backend=config.name)

    @override
    def sign_with(self, key: PrivateKey) -> None:
        self._key = key

    @override
    def price_by(self, money: Money) -> None:
        self._money = money

    @override
    async def __aenter__(self) -> Self:
        if self._key is None:
            raise Refuse(
                f"backend {self.name}: workers answer to a node's transport key, and this node has none:"
                " name a keystore under [transport_key]; `vagus keys new` makes one"
            )
        self._me, self._session = address_of(self._key), secrets.token_hex(8)
        wanted = [topics.offer(each) for each in self._workers.by_address]
        client = MqttClient(
            self._config, [*wanted, topics.replies(self._me, self._session)], topics.worker_of
        )
        async with contextlib.AsyncExitStack() as life:
            await life.enter_async_context(client)
            group = await life.enter_async_context(asyncio.TaskGroup())
            tasks = [
                group.create_task(self._listen(client), name=f"edge {self.name}"),
                group.create_task(self._greet(client, self._key), name=f"edge {self.name} greets"),
            ]
            for task in tasks:
                life.callback(task.cancel)
            self._life = life.pop_all()
        self._client, self._begun = client, asyncio.get_running_loop().time()
        return self

    @override
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client = None
        for call in self._calls.values():
            call.fail("is not waited for: the backend is closed")
        # Closed without the body's error, which a TaskGroup would wrap in a group.
        await self._life.aclose()

    @override
    async def models(self) -> tuple[Model, ...]:
        """Return what the workers that are there serve; at the beginning, wait for all of them."""
        until = self._begun + _BEGINNING if self._client is not None else 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while self._workers.absent():
                    await self._until_changed()
        found = self._workers.models()
        if not found:
            raise Retry(f"no worker of backend {self.name} is there", _NOBODY)
        return found

    @override
    def price(self, model: Model) -> Price:
        """Return the price of the worker that a call would go to now; where none has room, the highest."""
        serving = self._serving(model)
        return self._in_units(self._asked(model, serving), f"offers of {len(serving)} workers")

    @property
    @override
    def slots(self) -> int:
        """How many calls its workers take of this node at once, as they said last."""
        return min(self._config.max_in_flight, self._workers.room())

    @override
    def context(self, model: Model) -> int | None:
        """Return the least context of the workers that are there and serve a model."""
        if not self._workers.knows(model):
            return None
        told = [each.models[model].context for each in self._workers.serving(model)]
        return min((each for each in told if each is not None), default=None)

    @override
    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Run one completion, as the contract says."""
        clock = _Clock()
        async with self._asking(request, clock, timeout, stream=False) as call:
            await call.ended()
        return call.answer(clock.times())

    @override
    async def stream(
        self, request: Completion, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Stream one completion, as the contract says."""
        clock = _Clock()
        async with (
            self._asking(request, clock, timeout, stream=True) as call,
            contextlib.aclosing(call.deltas()) as deltas,
        ):
            async for delta in deltas:
                clock.mark_first()
                yield delta
        yield call.answer(clock.times())

    @contextlib.asynccontextmanager
    async def _asking(
        self, request: Completion, clock: _Clock, timeout: float, *, stream: bool
    ) -> AsyncGenerator[Call, None]:
        """Ask a worker for the block's length; what is left before its end is called off."""
        deadline = clock.asked + min(timeout, self._config.timeout)
        client, key = self._client, self._key
        if client is None or key is None:
            raise Retry(f"backend {self.name} is closed")
        # What `price` has said as the call began; that nobody serves the model is said at once.
        most = self._asked(request.model, self._serving(request.model))
        try:
            async with asyncio.timeout_at(min(deadline, clock.asked + _BROKER)):
                await client.until_connected()
        except TimeoutError:
            raise Retry(f"the broker of backend {self.name} is away") from None
        # Nothing waits between this and its count: it has room until then.
        worker = await self._worker_for(request, most, deadline)
        if worker.offer is None:
            raise Retry(f"worker {worker.name} has left")
        usd = worker.models[request.model].usd
        price = self._in_units(usd, f"offer of worker {worker.name}")
        clock.start()
        left = max(deadline - clock.started, 0.001)
        body = bodies.encode(bodies.Ask(worker.offer.window, left, stream, request))
        data, digest = Frame(
            Kind.ASK, self._me, worker.address, secrets.token_bytes(32), body=body
        ).seal(key)
        if len(data) > MAX_FRAME:
            raise Refuse(f"the request is over the {MAX_FRAME} bytes that a worker is sent")
        topic = topics.ask(worker.address, self._me)
        reply_to = topics.reply(worker.address, self._me, self._session)

        def send() -> None:
            expiry = deadline - asyncio.get_running_loop().time()
            client.publish(topic, data, reply_to=reply_to, about=digest, expiry=expiry)

        call = Call(worker, request, price, deadline, self._refusals, send)
        self._calls[digest] = call
        worker.asked += 1
        worker.used = clock.started
        try:
            send()
            yield call
        finally:
            del self._calls[digest]
            worker.asked -= 1
            self._changed.set()
            if not call.done:
                off = Frame(Kind.CANCEL, self._me, worker.address, digest)
                client.publish(topic, off.seal(key)[0])

    async def _worker_for(self, request: Completion, most: Usd, deadline: float) -> Standing:
        """Return the worker whose turn it is, once one has room that asks no more than `most`.

        Who said no is asked last.
        """
        model = request.model
        while True:
            said_no = self._refusals.of(request)
            there = [each for each in self._serving(model) if _within(each.models[model].usd, most)]
            if not there:
                raise Retry(f"the cheap workers of backend {self.name} have left", 0.0)
            serving = [each for each in there if each.address not in said_no] or there
            if all(each.busy for each in serving):
                now = asyncio.get_running_loop().time()
                after = min(each.busy_until for each in serving) - now
                raise Retry(f"all workers of backend {self.name} are busy", max(after, 0.0))
            if found := self._next(serving):
                return found
            try:
                async with asyncio.timeout_at(deadline):
                    await self._until_changed()
            except TimeoutError:
                raise Retry(f"no worker of backend {self.name} had room in time") from None

    def _serving(self, model: Model) -> list[Standing]:
        """Return who serves a model now, whose turn it is first; Barred for one that nobody ever did."""
        found = self._workers.serving(model)
        if found:
            return found
        if self._workers.knows(model):
            raise Retry(f"no worker with {model.name} is there, of backend {self.name}", _NOBODY)
        raise Barred(f"backend {self.name} does not serve {model.name}")

    def _next(self, serving: list[Standing]) -> Standing | None:
        """Return the first that can be asked at once; None where a call has to wait."""
        if len(self._calls) >= self._config.max_in_flight:
            return None
        return next((each for each in serving if not each.busy and not each.full), None)

    def _asked(self, model: Model, serving: list[Standing]) -> Usd:
        """Return what the worker asks that a call would go to now; where none has room, the most of any."""
        found = self._next(serving)
        asked = [each.models[model].usd for each in (serving if found is None else [found])]
        return max(each[0] for each in asked), max(each[1] for each in asked)

    def _in_units(self, usd: Usd, source: str) -> Price:
        """Return US dollars per 1,000,000 tokens in the unit of account. Raises Retry."""
        if not any(usd):
            return Price(source=source)
        if self._money is None:
            raise Retry("what a US dollar is worth here is not known: give [money] in the config")
        return self._money.price(*usd, source)

    async def _until_changed(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _listen(self, client: MqttClient) -> None:
        while True:
            message = await client.receive()
            try:
                self._hear(message)
            except FrameError as error:
                self._drop(error.reason)
            except (bodies.BodyError, Refuse):
                self._drop("malformed")

    def _hear(self, message: Message) -> None:
        if message.about:
            call = self._calls.get(message.about)
            if call is None:
                raise FrameError("not asked for")
            frame, _ = open_frame(message.payload, (call.worker.address,))
            if (frame.receiver, frame.about) != (self._me, message.about):
                raise FrameError("for another request")
            if frame.kind not in {Kind.PIECE, Kind.ANSWER, Kind.SORRY}:
                raise FrameError("of a kind that is no answer")
            call.hear(frame)
            return
        frame, _ = open_frame(message.payload, self._workers.by_address)
        if frame.kind is not Kind.OFFER:
            raise FrameError("not asked for")
        worker = self._workers.by_address[frame.sender]
        was = worker.present
        if self._workers.take(worker, frame.number, bodies.decode(frame.body, bodies.Offer)):
            for call in self._calls.values():
                if call.worker is worker:
                    call.fail("was started anew")
        if worker.present is not was:
            words = "worker is there" if worker.present else "worker has left"
            self._log.info(words, worker=worker.name, models=len(worker.models))
        self._changed.set()

    def _drop(self, reason: str) -> None:
        self.dropped[reason] += 1
        if self.dropped[reason] == 1:
            self._log.warning("messages are dropped", reason=reason)

    async def _greet(self, client: MqttClient, key: PrivateKey) -> None:
        """Call those who are not there, which has them say what they have."""
        while True:
            await client.until_connected()
            for worker in self._workers.absent():
                hello = Frame(Kind.HELLO, self._me, worker.address, secrets.token_bytes(32))
                topic = topics.ask(worker.address, self._me)
                client.publish(topic, hello.seal(key)[0], expiry=_CALL_EVERY)
            await asyncio.sleep(_CALL_EVERY)


def _within(usd: Usd, most: Usd) -> bool:
    return usd[0] <= most[0] and usd[1] <= most[1]


class _Clock:
    """When a call was asked for, begun, and first answered."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self.asked = self.started = self._now()
        self._first: float | None = None

    def start(self) -> None:
        self.started = self._now()

    def mark_first(self) -> None:
        if self._first is None:
            self._first = self._now() - self.asked

    def times(self) -> Times:
        return Times(self.started - self.asked, self._first, self._now() - self.asked)
