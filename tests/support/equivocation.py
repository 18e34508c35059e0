"""A member that would say anything, killed at any moment, on the real journal: does it contradict itself?

    python -m support.equivocation --intents 100000

Each intent's calls are an interleaving of its own: votes of rounds and epochs for one value, another
or none, signatures of outcomes and receipts, the same again, in any order and at once with those of
other intents; between them SIGKILL at any statement of the journal's and any message, and restarts.
Nothing is remembered from one life to the next but the file. The judge sees what left, and no more.
"""

import argparse
import asyncio
import functools
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.journals import DEST, HUB, request
from vagus.adapters.base import Cursor, Requested
from vagus.daemon.journal import said as saying
from vagus.daemon.journal.base import EquivocationError
from vagus.daemon.journal.records import Said
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.protocol import hub_id, keccak256

IN_A_FILE = 500
CALLS_OF_ONE = 12
LIVES = 8
# What a killed process wrote is there, synced or not: where files can be in memory, no disk is waited
# for. That a commit is synced is another test's.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
HUBS = {"there": hub_id(DEST), "home": hub_id(HUB)}
VALUES = {"a": keccak256(b"a"), "b": keccak256(b"b"), "": b""}
PREVOTE, PRECOMMIT, SIGNATURE = 2, 3, 8
FORGET = """
DELETE FROM said WHERE intent=(SELECT key FROM intents WHERE id=?) AND hub=? AND epoch=? AND kind=?
AND round=?
"""


class Overwriting(SqliteJournal):
    """A mutant: what was said of a round is replaced by what is said now."""

    def say(
        self,
        intent_id: bytes,
        hub: bytes,
        epoch: int,
        said: Sequence[Said],
        outcome: bytes | None = None,
        receipt: bytes | None = None,
    ) -> Awaitable[list[bytes]]:
        def write(db: sqlite3.Connection) -> list[bytes]:
            for each in said:
                db.execute(FORGET, (intent_id, hub, epoch, each.kind, each.round))
            return saying.say(db, intent_id, hub, epoch, said, outcome, receipt)

        return self._write(write)


class Unpledged(SqliteJournal):
    """A mutant: a signature does not bind the next one."""

    def say(
        self,
        intent_id: bytes,
        hub: bytes,
        epoch: int,
        said: Sequence[Said],
        outcome: bytes | None = None,
        receipt: bytes | None = None,
    ) -> Awaitable[list[bytes]]:
        return super().say(intent_id, hub, epoch, said)


class Hasty(SqliteJournal):
    """A mutant: a message leaves before it is durable."""

    def say(
        self,
        intent_id: bytes,
        hub: bytes,
        epoch: int,
        said: Sequence[Said],
        outcome: bytes | None = None,
        receipt: bytes | None = None,
    ) -> Awaitable[list[bytes]]:
        written = super().say(intent_id, hub, epoch, said, outcome, receipt)
        assert isinstance(written, asyncio.Future)
        written.add_done_callback(asyncio.Future.exception)
        return asyncio.sleep(0, [each.envelope for each in said])


JOURNALS: dict[str, type[SqliteJournal]] = {
    "journal": SqliteJournal,
    "overwriting": Overwriting,
    "unpledged": Unpledged,
    "hasty": Hasty,
}


class Left(NamedTuple):
    """A message that left: what its envelope says."""

    sequence: int
    seq: int
    hub: str
    epoch: int
    kind: int
    round: int
    value: str
    pledge: str

    @property
    def envelope(self) -> bytes:
        return json.dumps(self).encode()


# The member


@functools.cache
def found() -> list[Requested]:
    """The intents of a file, by their seq less one."""
    return [request(seq) for seq in range(1, IN_A_FILE + 1)]


def call(
    draw: random.Random, seq: int, sequence: int
) -> tuple[str, int, list[Said], dict[str, bytes]]:
    """Return what is said next of an intent: hub, epoch, lines and what they sign for."""
    hub, epoch = draw.choice(list(HUBS)), draw.choice([7, 8])
    pledge, value = draw.choice(["vote", "vote", "vote", "outcome", "receipt"]), draw.choice("ab")
    if pledge == "vote":
        kinds = draw.choice([[PREVOTE], [PRECOMMIT], [PREVOTE, PRECOMMIT]])
        value = draw.choice(["a", "b", ""])
    else:
        # The round of a signature says which of the two it is.
        kinds = [SIGNATURE]
    lines = []
    for kind in kinds:
        round_ = {"outcome": 0, "receipt": 1}.get(pledge, draw.randrange(2))
        left = Left(sequence, seq, hub, epoch, kind, round_, value, pledge)
        lines.append(Said(kind, round_, sequence, VALUES[value], left.envelope, b"private"))
        sequence += 1
    return hub, epoch, lines, {} if pledge == "vote" else {pledge: VALUES[value]}


async def live(journal: SqliteJournal, draw: random.Random, calls: list[int], left: int) -> None:
    """Say something of each of these intents; what the journal lets go leaves through the pipe."""
    # A call is four to six statements, and a message: about one life in two ends in time.
    death = draw.randrange(1, 14 * len(calls))
    counted = 0

    def perhaps_the_end(_: str = "") -> None:
        nonlocal counted
        counted += 1
        if counted == death:
            os.kill(os.getpid(), signal.SIGKILL)

    journal._db.set_trace_callback(perhaps_the_end)
    sequence = await journal.sequence()
    while calls:
        many = draw.randrange(1, 64)
        now, calls = calls[:many], calls[many:]
        saying_now: list[Awaitable[list[bytes]]] = []
        for seq in now:
            # One in fifty has forgotten where it stands.
            first = draw.randrange(1, sequence + 2) if draw.random() < 0.02 else sequence + 1
            hub, epoch, lines, pledge = call(draw, seq, first)
            sequence = max(sequence, lines[-1].sequence)
            written = journal.say(found()[seq - 1].intent.id, HUBS[hub], epoch, lines, **pledge)
            saying_now.append(written)
        refused = 0
        for done in await asyncio.gather(*saying_now, return_exceptions=True):
            if isinstance(done, EquivocationError):
                refused += 1
            elif isinstance(done, BaseException):
                raise done
            else:
                for envelope in done:
                    perhaps_the_end()
                    os.write(left, envelope + b"\n")
        os.write(left, b'"refused %d"\n' % refused)


async def life(kind: str, path: Path, draw: random.Random, calls: list[int], left: int) -> None:
    async with JOURNALS[kind](path) as journal:
        if await journal.cursor(HUB) is None:
            await journal.observe(HUB, found(), Cursor(IN_A_FILE + 1, 1))
        await live(journal, draw, calls, left)


def lived(run: Callable[[int], None]) -> tuple[list[Any], bool]:
    """Run a life in a process of its own; return what it told, and whether it was killed.

    Raises AssertionError where it ended otherwise, with its traceback on stderr.
    """
    out, left = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(out)
        try:
            run(left)
        except BaseException:  # noqa: BLE001 - whatever it is, this process is another one
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(left)
    with os.fdopen(out, "rb") as pipe:
        lines = pipe.read().splitlines(keepends=True)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in {0, -signal.SIGKILL}
    return [json.loads(line) for line in lines if line.endswith(b"\n")], code != 0


# The judge


def judged(left: list[Left], path: Path) -> Iterator[str]:
    """Yield the kind of each contradiction in what left; the file is asked by SQLite alone."""
    values: dict[tuple[object, ...], set[object]] = {}
    for each in left:
        once: dict[tuple[object, ...], object] = {
            ("two envelopes of one sequence", each.sequence): each,
            ("two values of one round", *each[1:6]): each.value,
        }
        if each.pledge != "vote":
            once[f"two {each.pledge}s of one intent", each.seq] = each.value
        for what, value in once.items():
            values.setdefault(what, set()).add(value)
    for (name, *_), said in values.items():
        if len(said) > 1:
            yield str(name)
    with closing(sqlite3.connect(path)) as db:
        kept = {bytes(envelope) for (envelope,) in db.execute("SELECT envelope FROM said")}
    for each in left:
        if each.envelope not in kept:
            yield "left, and not in the journal"


def one_file(kind: str, seed: int) -> Counter[str]:
    """Try the interleavings of a file's intents; count what happened, contradictions by their name."""
    found()  # before lives are forked
    draw = random.Random(seed)
    calls = list(range(1, IN_A_FILE + 1)) * CALLS_OF_ONE
    draw.shuffle(calls)
    counts: Counter[str] = Counter(interleavings=IN_A_FILE)
    left: list[Left] = []
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder) / "journal.sqlite"
        size = len(calls) // LIVES
        for at in range(0, len(calls), size):
            now, own = calls[at : at + size], random.Random(draw.random())
            lines, killed = lived(lambda pipe: asyncio.run(life(kind, path, own, now, pipe)))  # noqa: B023
            counts["killed" if killed else "ended"] += 1
            for line in lines:
                if isinstance(line, str):
                    counts["refused"] += int(line.split()[1])
                else:
                    left.append(Left(*line))
        counts["left"] += len(left)
        counts.update(judged(left, path))
    return counts


def interleave(intents: int, seed: int = 1, kind: str = "journal") -> Counter[str]:
    """Try so many intents (of IN_A_FILE in one journal), two journals at once; see `one_file`."""
    files = range(-(-intents // IN_A_FILE))
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        tried = pool.starmap(one_file, [(kind, seed * 1_000_000 + each) for each in files])
    return sum(tried, Counter())


CONTRADICTIONS = (
    "two values of one round",
    "two outcomes of one intent",
    "two receipts of one intent",
    "two envelopes of one sequence",
    "left, and not in the journal",
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Look for a contradiction in what leaves.")
    parser.add_argument("--intents", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", choices=JOURNALS, default="journal")
    options = parser.parse_args()
    began = time.monotonic()
    counts = interleave(options.intents, options.seed, options.journal)
    for name in ("interleavings", "killed", "ended", "left", "refused", *CONTRADICTIONS):
        print(f"{name:32}{counts[name]:>12,}")
    print(f"{'seconds':32}{time.monotonic() - began:>12,.0f}")
    return int(any(counts[name] for name in CONTRADICTIONS))


if __name__ == "__main__":
    sys.exit(main())
