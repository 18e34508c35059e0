"""One call on its way: who was tried, what it may still cost, what is left of its time."""

from collections.abc import Callable, Iterable

from vagus.compute.base import Barred, Completion
from vagus.compute.bounds import TEMPLATE_TOKENS
from vagus.compute.price import Price, Usage
from vagus.compute.routing.candidates import tokens_about
from vagus.compute.routing.measure import size_of
from vagus.compute.routing.pool import Candidate, Pool
from vagus.compute.routing.served import End, Try
from vagus.compute.routing.spend import Spend
from vagus.protocol import Refuse, Retry, VagusError

__all__ = ["Asked", "Call"]

# Refuses of the request itself by so many backends are final.
AGREE = 2
# Seconds before all who failed are asked again, doubled each time; how often; and the longest pause.
PAUSE, PAUSES, LONGEST = 0.5, 3, 10.0
# Seconds until an operator may have mended what bars this node.
BARRED_AGAIN = 30.0


class Asked:
    """A try: `held` is the most that it may cost, `seconds` how long it may take.

    `end` is None until it has ended, and stays it where it was cancelled before it was sent. `begun`:
    something of an answer has come.
    """

    __slots__ = (
        "began",
        "begun",
        "candidate",
        "cost",
        "end",
        "error",
        "hedge",
        "held",
        "price",
        "seconds",
        "took",
    )

    def __init__(self, candidate: Candidate, price: Price, held: int, seconds: float) -> None:
        self.candidate = candidate
        self.price = price
        self.held = held
        self.seconds = seconds
        self.began = self.took = 0.0
        self.hedge = self.begun = False
        self.cost = 0
        self.end: End | None = None
        self.error: Retry | Refuse | None = None


class Call:
    """The state of one call, from the first choice to the last word."""

    def __init__(
        self,
        request: Completion,
        pool: Pool,
        spend: Spend,
        clock: Callable[[], float],
        timeout: float,
        tries: int,
    ) -> None:
        self.request = request
        self.pool = pool
        self.spend = spend
        self.asked: list[Asked] = []
        self.lost = 0
        self.skip: set[Candidate] = set()
        self.won = False
        self.patient = False
        self._clock = clock
        self._deadline = clock() + timeout
        self._left = tries
        size = sum(len(each.content.encode()) for each in request.messages)
        self._prompt = size + TEMPLATE_TOKENS
        self._tokens = tokens_about(size, request.max_tokens)
        self.size = size_of(request.max_tokens)
        self.words: list[Retry | Refuse] = []
        self._dear = self._over = False
        self._small = self._crowded = False
        self._pauses = 0
        self._costs: dict[Price, int] = {}

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - self._clock()

    @property
    def tried(self) -> tuple[Try, ...]:
        """Who was asked and has ended, in the order of asking."""
        return tuple(
            Try(
                each.candidate.backend.name,
                each.end,
                each.took,
                "" if each.error is None else each.error.reason,
                each.hedge,
            )
            for each in self.asked
            if each.end is not None
        )

    @property
    def over(self) -> bool:
        """Whether nobody is asked any more."""
        if self._left <= 0 or self.left <= 0:
            return True
        return bool(self.words) and self._agreed() is not None

    def alternatives(self, chosen: Candidate) -> bool:
        """Whether another could be asked after or beside this one."""
        if self._left <= 1:
            return False
        now, skip = self._clock(), self.skip
        return any(
            each is not chosen
            and each not in skip
            and not each.series.held(now)
            and self.fits(each)
            for each in self.pool.ranking
        )

    def crowd(self) -> bool:
        """Let small contexts be tried, once; say whether there are any. Tokens are only estimated here."""
        if self._crowded or not self._small:
            return False
        self._crowded = True
        return True

    def bears_again(self, chosen: Candidate) -> bool:
        """Whether one and the same could be asked again, after a try that is charged for nothing."""
        held = self._worst(chosen)
        return self._left > 1 and held is not None and self.spend.bears(2 * held[1])

    def fits(self, candidate: Candidate) -> bool:
        """Whether the request fits its context, and its price of now what is left and the maximum."""
        small = candidate.context is not None and self._tokens > candidate.context
        if small and not self._crowded:
            self._small = True
            return False
        held = self._worst(candidate)
        if held is None:
            return False
        self._dear = self._dear or not self.spend.bears(held[1])
        return self.spend.bears(held[1])

    def ask(self, candidate: Candidate, seconds: float) -> Asked | None:
        """Hold what a try may cost, and count it; None where its price is not known or too high now."""
        self.skip.add(candidate)
        held = self._worst(candidate)
        if held is None or not self.spend.bears(held[1]):
            return None
        self._left -= 1
        self.spend.hold(held[1])
        asked = Asked(candidate, *held, seconds)
        self.asked.append(asked)
        return asked

    def renew(self, asked: Asked) -> bool:
        """Hold a try's price of now where that has risen since it was chosen; return whether it had.

        Raises Retry where so much is not left, or not paid: it may be asked again.
        """
        price = self._price(asked.candidate)
        if price is None or price.within(asked.price):
            return False
        held = self._cost(price)
        if not self.spend.pays(price) or not self.spend.bears(held - asked.held):
            self.skip.discard(asked.candidate)
            raise Retry(f"{asked.candidate.backend.name}: its price has just risen")
        self.spend.settle(asked.held, held)
        asked.price, asked.held = price, held
        return True

    def again(self) -> float | None:
        """Return how many seconds to wait for who failed for now, and let them be asked again.

        None where there is nobody to wait for, or where it would take long: that is for whoever asked.
        """
        now, failed = self._clock(), {each.candidate for each in self.asked if each.end == "failed"}
        waits = [
            max(0.0, each.series.breaker.paused_until - now)
            for each in self.pool.ranking
            if (each in failed or each not in self.skip)
            and not each.series.trust.reason
            and self.fits(each)
        ]
        if not waits or self.over or self._pauses >= PAUSES:
            return None
        pause = max(PAUSE * 2.0**self._pauses, min(waits))
        if pause > LONGEST or pause > self.left / 2:
            return None
        self._pauses += 1
        self.patient = True
        self.skip -= failed
        return pause

    def word(self) -> VagusError:
        """Return what the call comes to where nobody answered."""
        if (agreed := self._agreed()) is not None:
            return agreed
        passing = [error for error in self.words if isinstance(error, Retry)]
        plain = _plain(self.words)
        now = self._clock()
        waits = [each.series.breaker.blocked_until - now for each in self.pool.held(now)]
        later = "" if passing or waits else self._later()
        if plain and not passing and not waits and not later:
            return plain[0]
        if passing:
            # The last one's reason, and the shortest of the pauses that were asked for.
            return Retry(passing[-1].reason, min(each.after for each in passing))
        if self.words:
            return Retry(self.words[-1].reason, BARRED_AGAIN)
        if self.left <= 0:
            return Retry("the intent's time for model calls is over")
        if later:
            return Retry(f"no backend may be asked: {later}", BARRED_AGAIN)
        if self._dear and not waits:
            return Refuse(f"no backend answers within the budget of {self.spend.limit} for compute")
        if self._over and not waits:
            return Refuse("no backend is left by the maximum price")
        return self._nobody(now, waits)

    def _nobody(self, now: float, waits: list[float]) -> VagusError:
        if waits:
            first = next(self.pool.held(now))
            why = f"{first.backend.name}: {first.series.breaker.reason}"
            # A probe under way has no end that is known.
            return Retry(f"no backend may be asked now: {why}", min(max(min(waits), 0.1), 60.0))
        shut = [each for each in self.pool.ranking if each.series.trust.reason]
        if shut:
            why = f"{shut[0].backend.name} is quarantined: {shut[0].series.trust.reason}"
            return Retry(f"no backend may be asked: {why}", BARRED_AGAIN)
        if self.pool.out:
            candidate, why = self.pool.out[0]
            return Retry(f"no backend may be asked: {candidate.backend.name}: {why}", BARRED_AGAIN)
        return Refuse(f"no backend serves {self.request.model.name}")

    def counts(self, usage: Usage) -> bool:
        """Whether a usage is within what was asked: a plugin's word, from which money follows."""
        read, written = usage.prompt, usage.completion
        return 0 <= read <= self._prompt and 0 <= written <= self.request.max_tokens

    def _later(self) -> str:
        """Return why another may be asked later, empty where there is none: its price or trust is back then."""
        asked = {each.candidate.backend for each in self.asked}
        for each in self.pool.backends:
            if each in asked:
                continue
            try:
                each.price(self.request.model)
                each.context(self.request.model)
            except Retry as error:
                return f"{each.name}: {error.reason}"
            except Refuse:
                continue
        for candidate in self.pool.ranking:
            if candidate.series.trust.passing and candidate.backend not in asked:
                reason = candidate.series.trust.reason
                return f"{candidate.backend.name} is quarantined: {reason}"
        return ""

    def _agreed(self) -> Refuse | None:
        plain = _plain(self.words)
        return plain[0] if len(plain) >= AGREE else None

    def _worst(self, candidate: Candidate) -> tuple[Price, int] | None:
        """Return a candidate's price of now, and what the request may cost there at most.

        None where that price is not known, or more than is paid.
        """
        price = self._price(candidate)
        if price is None:
            return None
        if not self.spend.pays(price):
            self._over = True
            return None
        return price, self._cost(price)

    def _price(self, candidate: Candidate) -> Price | None:
        try:
            return candidate.backend.price(self.request.model)
        except (Retry, Refuse):
            return None

    def _cost(self, price: Price) -> int:
        """Return what the request costs at most."""
        held = self._costs.get(price)
        if held is None:
            held = self._costs[price] = price.cost(Usage(self._prompt, self.request.max_tokens))
        return held


def _plain(words: Iterable[Retry | Refuse]) -> list[Refuse]:
    """Return what was said about the request, and not about a backend."""
    return [each for each in words if isinstance(each, Refuse) and not isinstance(each, Barred)]
