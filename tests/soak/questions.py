"""What is asked: each question a function of the seed and its number, its end known beforehand."""

import hashlib
import json
import random
from dataclasses import dataclass

__all__ = [
    "FAILED",
    "FULFILLED",
    "KINDS",
    "OPEN",
    "REFUNDED",
    "SETTLED",
    "SUCCEEDED",
    "Kind",
    "Question",
    "answer_to",
    "is_held",
    "question",
]

OPEN, SETTLED, REFUNDED = 1, 2, 3
FULFILLED, REFUSED, FAILED = 0, 1, 2
_NO_CALLBACK, SUCCEEDED, CALLBACK_FAILED = 0, 1, 2
FEE = 10**15
HELD = "hold on: "


@dataclass(frozen=True)
class Kind:
    """One kind of question, how many of a hundred are of it, and the only end that is right.

    `state` is the origin's: settled or refunded. `statuses` are what may be settled, none where
    nothing is. `callback` is the destination's; None where nothing is delivered.
    """

    name: str
    percent: int
    state: int
    statuses: tuple[int, ...]
    callback: int | None
    agent: str = "chat@1"
    fee: int = FEE
    ttl: int = 3600


KINDS = (
    Kind("answered", 90, SETTLED, (FULFILLED,), SUCCEEDED),
    Kind("its callback fails", 3, SETTLED, (FULFILLED,), CALLBACK_FAILED),
    Kind("asks nobody's agent", 3, SETTLED, (REFUSED,), None, agent="nobody@1"),
    Kind("fee below the cost", 2, SETTLED, (REFUSED,), None, fee=10**13),
    # The model says nothing until its time is over: failed, or refused where no time was left to ask.
    # Long enough to be asked again where a reorganisation drops it: the hub takes no less than 65 s.
    Kind("no model answers", 1, SETTLED, (FAILED, REFUSED), None, ttl=100),
    Kind("goes to no hub", 1, REFUNDED, (), None),
)


@dataclass(frozen=True)
class Question:
    """One question; `origin` and `dest` are chains by their number."""

    number: int
    kind: Kind
    origin: int
    dest: int
    prompt: str

    @property
    def payload(self) -> bytes:
        """What the agent is asked, as `chat@1` defines it."""
        return json.dumps({"prompt": self.prompt}).encode()

    @property
    def output(self) -> bytes:
        """The only right answer."""
        return answer_to(self.prompt).encode()


def question(seed: int, number: int) -> Question:
    """Return question `number` of a seed; no two have the same payload."""
    dice = random.Random(f"{seed}/{number}")
    (kind,) = dice.choices(KINDS, [kind.percent for kind in KINDS])
    words = " ".join(f"{dice.getrandbits(32):08x}" for _ in range(dice.randint(4, 24)))
    held = HELD if FAILED in kind.statuses else ""
    return Question(
        number=number,
        kind=kind,
        origin=dice.randrange(2),
        dest=dice.randrange(2),
        prompt=f"{held}question {number} of seed {seed}: {words}",
    )


def answer_to(prompt: str) -> str:
    """Return what the scripted model says: the same however often it is asked."""
    return f"the answer is {hashlib.sha256(prompt.encode()).hexdigest()}" * (1 + len(prompt) % 5)


def is_held(prompt: str) -> bool:
    """Whether the scripted model holds on to a question instead of answering it."""
    return prompt.startswith(HELD)
