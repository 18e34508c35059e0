"""Members that stand by what an earlier set decided carry it through in the next one, in every mode."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from support.agents import Written
from support.committee import A, Committee
from support.modes import Said, intent_of, result_of, said
from vagus.adapters.base import Cursor, Requested
from vagus.agents import AgentRegistry, Policy
from vagus.agents.modes import combined, mode_of
from vagus.daemon.execute import Executor, Run
from vagus.daemon.work import IntentWork
from vagus.protocol import Outcome, SignerSet, Status, hub_id, keccak256

WITHIN = 20.0
ANSWERS = [b"\x00" * 31 + bytes([each]) for each in (3, 5, 9)]


class Only(AgentRegistry):
    """A registry of the one agent that a test made."""

    def __init__(self, agent: Any) -> None:
        super().__init__({})
        self._agent = agent

    def by_id(self, wanted: bytes) -> Any:
        assert wanted == self._agent.manifest.id
        return self._agent


@pytest.mark.parametrize(
    ("mode", "parameters"),
    [("fields", {"rule": "median"}), ("collect", {}), ("jury", {"minimum": 1, "models": 0})],
)
async def test_an_old_outcome_that_was_combined_is_decided_again_by_who_stands_by_it(
    tmp_path: Path, mode: str, parameters: dict[str, Any]
) -> None:
    committee = Committee(tmp_path, 3, 2)
    agent = said(bytes, mode, **parameters)
    intent = intent_of(agent, b"?", origin_hub=hub_id(A), deadline=2_000_000_000)
    answers = [ANSWERS[0]] * 3 if mode == "jury" else ANSWERS
    results = {
        signer: await result_of(agent, b"?", output=answer, executor=signer, intent=intent)
        for signer, answer in zip(committee.signers, answers, strict=True)
    }
    made = combined(mode_of(agent.manifest), intent, results, committee.signers[0])
    old = Outcome(
        Status.FULFILLED, made.output, made.agent_digest, made.model_digest, made.evidence
    )
    found = Requested(intent, b"?", b"", 1, b"b" * 32, "0x01")
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(WITHIN):
        places = [await stack.enter_async_context(committee.member(at)) for at in range(3)]

        async def decide(at: int) -> bytes:
            place = places[at]
            executor = Executor(
                Only(agent),
                [Written(lambda _: "")],
                Policy(),
                committee.roster,
                committee.signers[at],
            )
            [record] = await place.journal.observe(A, [found], Cursor(2, 1))
            work = IntentWork(executor, record, "eip155:31338", lambda: 600, Run(old))
            current = SignerSet(8, committee.signers, 2)
            decided = await place.peers.decide(record, current, work)
            assert decided.leader == committee.signers[0]
            return decided.run.outcome.value

        values = await asyncio.gather(*map(decide, range(3)))
    assert set(values) == {old.value}
    assert keccak256(old.output) == old.output_hash
    assert isinstance(agent, Said)
