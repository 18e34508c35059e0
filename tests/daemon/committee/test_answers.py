"""Members that are further along answer those behind, and do not keep each other talking."""

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.committee import FAST, Committee, Said
from vagus.daemon.committee import peers
from vagus.protocol.envelope import Kind, open_envelope


async def test_who_repeats_itself_after_a_decision_is_answered_and_then_ever_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committee = Committee(tmp_path, 3, 2)
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(peers, "time", SimpleNamespace(monotonic=lambda: clock.now))
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(20):
        first, second = [await stack.enter_async_context(committee.member(at)) for at in (0, 1)]
        await asyncio.gather(first.decide(Said(b"yes")), second.decide(Said(b"yes")))
        prevote = next(
            frame
            for frame in committee.wire.frames
            if (found := open_envelope(frame)[0]).kind == Kind.PREVOTE
            and found.sender == second.peers.address
        )
        answers = []
        for _ in range(600):
            said = len(committee.wire.frames)
            first.peers.take(prevote)
            kinds = [open_envelope(frame)[0].kind for frame in committee.wire.frames[said:]]
            if Kind.DECISION in kinds:
                answers.append(clock.now - 1000)
            clock.now += 0.125
    # Not while it may be on the way to the decision; then after 0.5, 1, 2, 4 seconds, and every 8.
    due = [0, 0.5, 1.5, 3.5, 7.5, 15.5, 23.5, 31.5, 39.5, 47.5, 55.5, 63.5, 71.5]
    first_answer = answers[0]
    assert FAST.again <= first_answer <= FAST.again + 0.125
    assert [each - first_answer for each in answers] == due
