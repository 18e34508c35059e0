"""What can go wrong with any chain's node, mapped to what the daemon does about it.

    Retry
     ├─ Unreachable   no answer: a broken connection, a timeout, HTTP 429 or 5xx
     │   └─ TooSlow   an answer that began and did not end in time
     ├─ BadAnswer     an answer that says nothing about the chain: malformed, contradictory
     │   └─ TooLong   longer than what is read of one
     └─ NoQuorum      too few endpoints agree: who failed and who disagreed
    Refuse
     └─ Rejected, AlreadyDone   the hub rejects the call (vagus.adapters.base)
    Halt              a quorum serves another chain, or has another final block

`WalletError` is for the operator: a key file that cannot be used, and what to do. `MissingExtraError`
is an adapter whose packages are not installed.
"""

from vagus.protocol import Retry, VagusError

__all__ = [
    "BadAnswer",
    "MissingExtraError",
    "NoFileError",
    "NoQuorum",
    "TooLong",
    "TooSlow",
    "Unreachable",
    "WalletError",
    "printable",
]

_MAX_TEXT = 200


class Unreachable(Retry):
    """The node did not answer."""


class TooSlow(Unreachable):
    """The node's answer began and did not end in time: a shorter one may."""


class BadAnswer(Retry):
    """The node answered something that cannot be believed."""


class TooLong(BadAnswer):
    """The node's answer is longer than what is read of one."""


class NoQuorum(Retry):
    """Too few endpoints say the same; `reason` names who failed and who disagreed.

    `silent` where none of them disagreed and none answered badly: too few even began to.
    """

    def __init__(self, reason: str, after: float, *, silent: bool) -> None:
        super().__init__(reason, after)
        self.silent = silent


class WalletError(VagusError):
    """A key or password file that cannot be used: what is wrong with it, and what to do."""

    def __init__(self, fault: str, advice: str) -> None:
        super().__init__(f"{fault}: {advice}")
        self.fault = fault
        self.advice = advice


class NoFileError(WalletError):
    """A key or password file that is not there."""


class MissingExtraError(ImportError):
    """An adapter's packages are not installed: what to install, in words."""


def printable(text: str) -> str:
    """Cut a stranger's text to one printable line of at most 200 characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: _MAX_TEXT + 1])
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"
