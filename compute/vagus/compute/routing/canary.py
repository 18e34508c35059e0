"""Canaries: questions asked only to learn whether a backend serves the model that it sells.

A trusted backend serves the same model, by its digest. A canary is a copy of a request that policy
allowed both of them to see, and that the one who is asked did not; where there is none, a question made
from a seed. It is sent past the router, seconds after the one who is asked has answered others: nothing
in it, nor its time, tells it from the traffic, and nobody is asked, or paid, who is not used. Who is new,
or has failed a check, is asked more often, and without traffic too.
`vagus.compute.routing.checks` compares the answer with the trusted backend, and `Sequential` sums the
checks up. Its alarm quarantines the backend for that model; so many checks passed in a row end the
quarantine.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Never

import structlog
from pydantic import BaseModel, ConfigDict, Field

from vagus.compute.base import Backend, Completion, Model
from vagus.compute.bounds import prompt_tokens_bound
from vagus.compute.config import Label
from vagus.compute.price import Usage
from vagus.compute.routing.checks import TIMEOUT, check
from vagus.compute.routing.questions import question
from vagus.compute.routing.router import Router
from vagus.compute.routing.sequential import Check, Sequential
from vagus.compute.routing.served import Served
from vagus.protocol import Refuse, Retry

__all__ = ["Canaries", "CanaryConfig", "Judged"]

# Who was asked fewer questions is new; who is new or suspected is asked so many times as often.
NEW, HASTE = 8, 10
# Seconds from an answer to a question, on average.
SOON = 5.0
# Checks passed in a row that end a quarantine.
PARDON = 20
# Requests kept to be copied; longer ones than so many tokens cost too much.
COPIES, LONGEST = 64, 512
TOKENS = 48
DAY = 86400.0


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


@dataclass
class Judged:
    """What the canaries know of one backend and model.

    due: when it may be asked again, 0 until it was asked once.
    """

    backend: Backend
    model: Model
    test: Sequential = field(default_factory=Sequential)
    quarantined: bool = False
    due: float = 0.0

    @property
    def pressing(self) -> bool:
        """Whether it is asked without traffic: new, suspected, or to be let in again."""
        # Who rents a machine for a call must not do it for a question.
        open_ = self.test.asked < NEW or self.test.suspicion > 0 or self.quarantined
        return open_ and self.due > 0 and not self.backend.rents


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
        found = [each for each in backends if each.name == config.trusted]
        if not found:
            names = ", ".join(each.name for each in backends)
            raise Refuse(
                f"canaries trust {config.trusted!r}, which is no backend here; there are: {names}"
            )
        self._trusted = found[0]
        self._others = [each for each in backends if each is not self._trusted]
        self._source = source or random.SystemRandom()
        self._seen: deque[tuple[Completion, frozenset[str]]] = deque(maxlen=COPIES)
        self._used: set[tuple[str, bytes]] = set()
        self._stirred = asyncio.Event()
        self._judged: dict[tuple[str, bytes], Judged] = {}
        self._spent: deque[tuple[float, int]] = deque()
        self._log = structlog.get_logger("vagus.canaries")

    def saw(self, request: Completion, served: Served, allowed: Collection[Backend]) -> None:
        """Take in a served call: the router's observer."""
        self._used.add((served.backend.name, request.model.digest))
        self._stirred.set()
        plain = request.temperature == 0 and request.schema is None and not request.stop
        if not plain or request.max_tokens > LONGEST:
            return
        names = {each.name for each in allowed}
        fresh = frozenset(names - {each.backend for each in served.tried} - {self._trusted.name})
        if fresh and self._trusted.name in names:
            self._seen.append((request, fresh))

    async def run(self) -> Never:
        """Ask whoever is due: each time that there was traffic, and who is pressing without it."""
        while True:
            wake = min((each.due for each in self._judged.values() if each.pressing), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(wake):
                    await self._stirred.wait()
            self._stirred.clear()
            await asyncio.sleep(self._source.expovariate(1 / SOON))
            for judged in await self.pairs():
                if not self._is_due(judged):
                    continue
                try:
                    await self.ask(judged)
                except Exception as error:  # noqa: BLE001 - a plugin's defect must not stop the others
                    self._defect(judged.backend, error)

    async def pairs(self) -> list[Judged]:
        """Return who can be checked now: whoever serves a model that the trusted backend serves."""
        known = {each.digest for each in await self._models(self._trusted)}
        if not known:
            return []
        found = []
        for backend in self._others:
            for model in await self._models(backend):
                if model.digest in known:
                    key = backend.name, model.digest
                    found.append(self._judged.setdefault(key, Judged(backend, model)))
        return found

    async def ask(self, judged: Judged) -> bool | None:
        """Ask one question; return whether the check passed, None where it came to nothing."""
        self._used.discard((judged.backend.name, judged.model.digest))
        self._put_off(judged, 1)
        request = self._question(judged)
        if not self._affordable(judged, request):
            return None
        try:
            # A plugin may not keep to its own timeout. A check is two calls at most.
            async with asyncio.timeout(TIMEOUT):
                answer = await judged.backend.complete(request, timeout=TIMEOUT)
            async with asyncio.timeout(2 * TIMEOUT):
                passed, by = await check(self._trusted, request, answer)
        except (Retry, Refuse, TimeoutError) as error:
            # Who does not answer is the router's affair, and a trusted one that does not tells nothing.
            reason = str(error) or "it took too long"
            self._log.debug("canary unanswered", backend=judged.backend.name, reason=reason)
            return None
        self._note(judged, passed, by)
        if judged.pressing and not judged.quarantined:
            self._put_off(judged, HASTE)
        return passed

    async def _models(self, backend: Backend) -> tuple[Model, ...]:
        """Return what a backend serves, nothing where it does not say so in time."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await backend.models()
        except (Retry, Refuse, TimeoutError):
            return ()
        except Exception as error:  # noqa: BLE001 - a plugin's defect must not stop the others
            self._defect(backend, error)
            return ()

    def _defect(self, backend: Backend, error: Exception) -> None:
        # A traceback quotes the question.
        self._log.error("a defect of a backend", backend=backend.name, error=type(error).__name__)

    def _put_off(self, judged: Judged, haste: int) -> None:
        """Draw when it is asked again."""
        pause = self._source.expovariate(haste / self._config.every)
        judged.due = asyncio.get_running_loop().time() + pause

    def _is_due(self, judged: Judged) -> bool:
        """Whether to ask now: who is pressing, or was used since the last question."""
        used = (judged.backend.name, judged.model.digest) in self._used
        return (used or judged.pressing) and asyncio.get_running_loop().time() >= judged.due

    def _question(self, judged: Judged) -> Completion:
        copies = [
            at
            for at, (request, fresh) in enumerate(self._seen)
            if judged.backend.name in fresh and request.model.digest == judged.model.digest
        ]
        if not copies:
            return question(judged.model, self._source.getrandbits(64), TOKENS)
        at = self._source.choice(copies)
        request, fresh = self._seen[at]
        self._seen[at] = request, fresh - {judged.backend.name}
        return request

    def _note(self, judged: Judged, passed: bool, by: Check) -> None:
        name, digest = judged.backend.name, judged.model.digest
        alarm = judged.test.note(passed, by)
        self._router.verified(name, digest, passed)
        if not passed:
            self._log.info(
                "canary failed",
                backend=name,
                model=judged.model.name,
                suspicion=round(judged.test.suspicion, 2),
            )
        if alarm and not judged.quarantined:
            judged.quarantined = True
            reason = f"its answers are not those of {judged.model.name} at {self._trusted.name}"
            self._router.quarantine(name, digest, reason)
        elif judged.quarantined and judged.test.passed_in_a_row >= PARDON:
            judged.quarantined = False
            judged.test.restart()
            self._log.info("released", backend=name, model=judged.model.name, passed=PARDON)
            self._router.release(name, digest)

    def _affordable(self, judged: Judged, request: Completion) -> bool:
        """Reserve what a question costs at most, within the day's sum; nothing of it is given back."""
        limit = self._config.spend
        if limit is None:
            return True
        now = asyncio.get_running_loop().time()
        while self._spent and self._spent[0][0] <= now - DAY:
            self._spent.popleft()
        prompt = prompt_tokens_bound(each.content for each in request.messages)
        most = Usage(prompt, request.max_tokens)
        try:
            both = (judged.backend, self._trusted)
            cost = sum(each.price(judged.model).cost(most) for each in both)
        except (Retry, Refuse):
            return False
        if sum(paid for _, paid in self._spent) + cost > limit:
            return False
        self._spent.append((now, cost))
        return True
