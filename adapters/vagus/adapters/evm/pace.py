"""How much one read of the hub's logs asks for: less where it fails, and more again only later.

Nodes bound blocks, logs, bytes or time, each in words of its own, so what is too much is found by
trying. Whoever asks for twice as much after each success fails at every second read; after a failure
the smaller read is kept instead for `_KEPT` reads, so that at most one of as many fails.
"""

__all__ = ["Pace"]

_KEPT = 32
# An intent is at most 20 KB of JSON (`reader.py`), so that the fewest bytes that an endpoint may
# answer, 1 MiB, hold 32 with room for what a node adds.
_FEW = 32
_FURTHER = 4


class Pace:
    """`blocks` that a read asks for, and how many `intents` in them: None for all.

    Blocks are halved first. One block may hold more than can be read at once, strangers fill it: from
    there on its intents are read a few at a time, by their numbers.
    """

    def __init__(self, most: int) -> None:
        self.blocks = most
        self.intents: int | None = None
        self._most = most
        self._kept = 0

    def slower(self, blocks: int) -> None:
        """Ask for less: a read of so many blocks failed, or lacked something."""
        self._kept = _KEPT
        if blocks > 1:
            self.blocks = blocks // 2
        elif self.intents is None:
            self.blocks, self.intents = 1, _FEW
        else:
            self.blocks, self.intents = 1, max(1, self.intents // 2)

    def faster(self) -> None:
        """A read succeeded: after a while of that, ask for more."""
        if self._kept:
            self._kept -= 1
        elif self.intents is None:
            self.blocks = min(2 * self.blocks, self._most)
        else:
            self.intents = None if self.intents >= _FEW else 2 * self.intents

    def further(self) -> None:
        """What is missing lies further back than reads of so many blocks can look for it."""
        self.blocks = min(_FURTHER * self.blocks, self._most)

    def numbers(self, seq: int) -> range | None:
        """Return the numbers to ask for from `seq` on; None for all that there are."""
        return None if self.intents is None else range(seq, seq + self.intents)
