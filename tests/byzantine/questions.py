"""What is asked, and the one right answer to it: both functions of the case and a number."""

import hashlib
import json
from dataclasses import dataclass

__all__ = ["TTL", "Question", "answer_to", "lie_about", "question"]

# Seconds of chain time that a committee has, whatever is done to it.
TTL = 300
# One in so many answers does not fit a Solana transaction beside three signatures.
LONG = 16


@dataclass(frozen=True)
class Question:
    """One question; `origin` and `dest` are chains by their number."""

    number: int
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


def question(seed: int, case: str, number: int) -> Question:
    """Return question `number` of a case: each chain asks, and is answered on, as often as the other."""
    origin, dest = divmod(number % 4, 2)
    return Question(number, origin, dest, f"{case}, question {number} of seed {seed}")


def answer_to(prompt: str) -> str:
    """Return what the model says: a function of the prompt alone."""
    digest = hashlib.sha256(prompt.encode())
    return digest.hexdigest()[:24] * (LONG if digest.digest()[0] % LONG == 0 else 1)


def lie_about(prompt: str) -> str:
    """Return what a liar's model says."""
    return answer_to(f"anything but {prompt}")
