"""A process that journals intents for ever and says what is durable, to be killed at any point.

    python journal_writer.py JOURNAL FIRST_SEQ

Each line of its output, "SEQ STAGE", was written after that stage's write had returned.
"""

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.journals import HUB, LANE, built, lane, request
from vagus.adapters.base import Cursor
from vagus.daemon.journal.records import Kind, Stage
from vagus.daemon.journal.sqlite import SqliteJournal


def say(seq: int, stage: Stage) -> None:
    os.write(1, f"{seq} {stage.name}\n".encode())


async def main(path: Path, first: int) -> None:
    async with SqliteJournal(path) as journal:
        known = await journal.lane(LANE)
        nonce = 0 if known is None else int.from_bytes(known, "big")

        async def carry(seq: int) -> None:
            nonlocal nonce, known
            [record] = await journal.observe(HUB, [request(seq)], Cursor(seq + 1, seq))
            say(seq, Stage.OBSERVED)
            for stage in (Stage.FINAL, Stage.ROUTED, Stage.EXECUTED, Stage.ATTESTED):
                await journal.move(record, stage)
                say(seq, stage)
            after, transaction = known, built(nonce)
            known, nonce = lane(nonce + 1), nonce + 1
            await journal.submit(record, Stage.SUBMITTED, Kind.DELIVER, LANE, after, transaction)
            say(seq, Stage.SUBMITTED)

        for start in range(first, first + 1_000_000, 8):
            await asyncio.gather(*(carry(seq) for seq in range(start, start + 8)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
