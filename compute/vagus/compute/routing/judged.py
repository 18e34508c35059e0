"""What canaries know of one backend and model, and when it is asked next."""

from dataclasses import dataclass, field
from math import inf

from vagus.compute.base import Backend, Completion, Model
from vagus.compute.price import Price
from vagus.compute.routing.sequential import Sequential

__all__ = ["NEW", "PARDON", "SILENT", "Judged", "Question"]

# Who was asked fewer questions is new.
NEW = 8
# Checks passed in a row that end the first quarantine; each further one takes twice as many.
PARDON = 20
# Questions in a row that were not answered by one who answered others in between: of a backend that
# fails every second call one of a thousand such rows is as long.
SILENT = 10


@dataclass(frozen=True)
class Question:
    """A canary. copied: of the traffic, so that a stranger chose it."""

    request: Completion
    copied: bool


@dataclass
class Judged:
    """One backend and model; times are of the loop's clock.

    paid: the price at which it answered others last. test: what the checks came to. alarms: how often it
    was quarantined. unanswered: the question that it owes an answer, asked again until it gives one; silent:
    how many it owed in a row while it answered others. used: whether it has answered others since the last
    question. asking: whether a question is under way. due: when it may be asked again, 0 until it was asked
    once. soon: when to ask it because it has answered others.
    """

    backend: Backend
    model: Model
    paid: Price = field(default_factory=Price)
    test: Sequential = field(default_factory=Sequential)
    quarantined: bool = False
    alarms: int = 0
    unanswered: Question | None = None
    silent: int = 0
    used: bool = False
    asking: bool = False
    due: float = 0.0
    soon: float = inf

    @property
    def key(self) -> tuple[str, bytes]:
        """The backend's name and the model's digest, as the router has them."""
        return self.backend.name, self.model.digest

    @property
    def pressing(self) -> bool:
        """Whether it is asked without traffic: new, suspected, or to be let in again."""
        # Who rents a machine for a call must not do it for a question.
        suspected = self.test.suspicion > 0 or self.silent > 0
        open_ = self.test.asked < NEW or suspected or self.quarantined
        return open_ and self.due > 0 and not self.backend.rents

    @property
    def next(self) -> float:
        """When it is asked next, infinite for not before it has answered others."""
        if self.asking:
            return inf
        return min(self.soon, self.due) if self.pressing else self.soon

    @property
    def pardoned(self) -> bool:
        """Whether it has passed enough to end its quarantine; who was let in before must pass more."""
        enough = PARDON * 2 ** max(0, self.alarms - 1)
        return self.quarantined and self.test.passed_in_a_row >= enough

    def shut_out(self) -> None:
        """Begin a quarantine: what it answered and passed before counts no more."""
        self.quarantined = True
        self.soon = inf
        self.alarms += 1
        self.test.passed_in_a_row = 0

    def let_in(self) -> None:
        """End a quarantine; it is judged anew, and its alarms are remembered."""
        self.quarantined = False
        self.silent = 0
        self.test.restart()
