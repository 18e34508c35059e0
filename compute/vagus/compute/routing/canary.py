"""Canaries: questions asked only to learn whether a backend serves the model that it sells.

A trusted backend serves the same model, by its digest. A canary is a copy of a request that policy
allowed both of them to see, and that the one who is asked did not; where there is none, a question made
from a seed. It is sent past the router, seconds after the one who is asked has answered others: nothing
in it, nor its time, tells it from the traffic, and nobody is asked, or paid, who is not used. Who is new,
or has failed a check, is asked more often, and without traffic too.
`vagus.compute.routing.checks` compares the answer with the trusted backend, and `Sequential` sums the
checks up. Its alarm quarantines the backend for that model, and so does silence of one who answers others;
so many checks passed in a row end the quarantine, twice as many each time.
"""

import asyncio
import contextlib
import random
from collections.abc import Collection, Sequence
from math import inf
from typing import Annotated, Never

import structlog
from pydantic import BaseModel, ConfigDict, Field

from vagus.compute.base import Backend, Completion, Model
from vagus.compute.bounds import prompt_tokens_bound
from vagus.compute.config import Label
from vagus.compute.price import Usage
from vagus.compute.routing.copies import Copies
from vagus.compute.routing.daily import Daily
from vagus.compute.routing.examiner import Examiner
from vagus.compute.routing.judged import Judged, Question
from vagus.compute.routing.questions import question
from vagus.compute.routing.router import Router
from vagus.compute.routing.served import Served
from vagus.compute.routing.verdicts import Verdicts
from vagus.protocol import Refuse, Retry

__all__ = ["Canaries", "CanaryConfig"]

# Who is new or suspected is asked so many times as often.
HASTE = 10
# Seconds from an answer to a question, on average.
SOON = 5.0
# Prices move; who asks so many times what it asked of others asks it for the question.
DEARER = 2
TOKENS = 48


class CanaryConfig(BaseModel):
    """The `[canaries]` table.

    trusted: the backend whose answers are believed, of models that it serves with the same digest. every:
    seconds between two questions to one backend and model, on average, while it is used. spend: the
    most that all questions of a day may cost, in the smallest unit of account; without it they are not
    bounded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trusted: Label
    every: Annotated[float, Field(ge=1, le=7 * 86400)] = 600.0
    spend: Annotated[int, Field(ge=0)] | None = None


class Canaries:
    """Asks, checks and tells. `source` makes the questions and their times: nobody may guess it."""

    def __init__(
        self,
        config: CanaryConfig,
        router: Router,
        backends: Sequence[Backend],
        source: random.Random | None = None,
    ) -> None:
        self._config = config
        self._router = router
        self._others = {each.name: each for each in backends}
        trusted = self._others.pop(config.trusted, None)
        if trusted is None:
            names = ", ".join(each.name for each in backends)
            raise Refuse(
                f"canaries trust {config.trusted!r}, which is no backend here; there are: {names}"
            )
        self._trusted = trusted
        self._examiner = Examiner(trusted)
        self._source = source or random.SystemRandom()
        self._copies = Copies(self._source)
        self._daily = Daily(config.spend)
        self._verdicts = Verdicts(router, trusted.name)
        self._judged: dict[tuple[str, bytes], Judged] = {}
        self._news = asyncio.Event()
        self._log = structlog.get_logger("vagus.canaries")

    def saw(self, request: Completion, served: Served, allowed: Collection[Backend]) -> None:
        """Take in a served call: the router's observer."""
        names = {each.name for each in allowed}
        trusted = self._trusted.name in names
        self._copies.saw(
            request,
            names - {self._trusted.name} if trusted else frozenset(),
            {each.backend for each in served.tried},
        )
        backend = self._others.get(served.backend.name)
        if backend is None:
            return
        judged = self._judged_of(backend, request.model)
        judged.paid, judged.used = served.price, True
        now = asyncio.get_running_loop().time()
        if judged.due <= now and judged.soon == inf:
            judged.soon = now + self._source.expovariate(1 / SOON)
            self._news.set()

    async def run(self) -> Never:
        """Ask whoever has answered others a while ago, and who is pressing when it is due."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._until_next()
                now = asyncio.get_running_loop().time()
                for judged in [each for each in self._judged.values() if each.next <= now]:
                    judged.soon = inf
                    if judged.due > now:
                        continue
                    # One task each: who takes its time keeps no other from being asked.
                    judged.asking = True
                    name = f"canary for {judged.backend.name}"
                    group.create_task(self._ask_alone(judged), name=name)

    def judged(self, backend: str, model: bytes) -> Judged | None:
        """Return what is known of a backend and the model of a digest, None for who was not used."""
        return self._judged.get((backend, model))

    async def ask(self, judged: Judged) -> bool | None:
        """Ask one question; return whether the check passed, None where it came to nothing."""
        self._put_off(judged, 1)
        self._verdicts.heed(judged)
        if self._left_alone(judged) or not await self._examiner.sells(judged.model):
            return None
        asked = self._question(judged)
        if not self._affordable(judged, asked.request):
            return None
        used, judged.used = judged.used, False
        try:
            answer = await self._examiner.answer(judged.backend, asked.request)
        except (Retry, Refuse) as error:
            self._verdicts.unanswered(judged, asked, error, used=used)
            self._hurry(judged)
            return None
        judged.unanswered, judged.silent = None, 0
        try:
            passed, by = await self._examiner.check(asked.request, answer)
        except (Retry, Refuse) as error:
            # A trusted backend that does not answer tells nothing.
            self._log.debug("canary unchecked", backend=judged.backend.name, reason=error.reason)
            return None
        self._verdicts.checked(judged, passed, by)
        self._hurry(judged)
        return passed

    # When, whom and what

    async def _until_next(self) -> None:
        """Wait until somebody is to be asked, or until that may have changed."""
        self._news.clear()
        soonest = min((each.next for each in self._judged.values()), default=inf)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(None if soonest == inf else soonest):
                await self._news.wait()

    async def _ask_alone(self, judged: Judged) -> None:
        try:
            await self.ask(judged)
        except Exception as error:  # noqa: BLE001 - a plugin may also fail to tell its price
            # A traceback quotes the question.
            name, kind = judged.backend.name, type(error).__name__
            self._log.error("a defect of a backend", backend=name, error=kind)
        finally:
            judged.asking = False
            self._news.set()

    def _judged_of(self, backend: Backend, model: Model) -> Judged:
        found = Judged(backend, model)
        return self._judged.setdefault(found.key, found)

    def _put_off(self, judged: Judged, haste: int) -> None:
        """Draw when it is asked again."""
        pause = self._source.expovariate(haste / self._config.every)
        judged.due = asyncio.get_running_loop().time() + pause

    def _left_alone(self, judged: Judged) -> bool:
        """Whether the router asks it nothing for now: what comes all the same would be a canary."""
        breaker = self._router.measurements.of(*judged.key).breaker
        return breaker.blocked_until > self._router.clock()

    def _question(self, judged: Judged) -> Question:
        if judged.unanswered is not None:
            return judged.unanswered
        if (copy := self._copies.draw(judged.backend.name, judged.model)) is not None:
            return Question(copy, copied=True)
        made = question(judged.model, self._source.getrandbits(64), TOKENS)
        return Question(made, copied=False)

    def _affordable(self, judged: Judged, request: Completion) -> bool:
        """Reserve what a question costs at most, within the day's sum; nothing of it is given back."""
        prompt = prompt_tokens_bound(each.content for each in request.messages)
        most = Usage(prompt, request.max_tokens)
        # What can't be rescored is answered too.
        calls = 2 if self._trusted.rescores else 1
        try:
            price, own = judged.backend.price(judged.model), self._trusted.price(judged.model)
        except (Retry, Refuse):
            return False
        paid = judged.paid
        if price.input > DEARER * paid.input or price.output > DEARER * paid.output:
            return False
        cost = price.cost(most) + calls * own.cost(most)
        return self._daily.reserve(cost, asyncio.get_running_loop().time())

    def _hurry(self, judged: Judged) -> None:
        """Ask again sooner than was drawn, where there is reason to."""
        if judged.pressing and not judged.quarantined:
            self._put_off(judged, HASTE)
