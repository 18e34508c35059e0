"""zk without its environment: what an agent's author may write, and what a node says that lacks it."""

from decimal import Decimal
from pathlib import Path

import pytest

from support.agents import Written
from support.modes import check_context, intent_of, result_of, said
from vagus.agents import Agent, Call, Context, Mode, Route, evidence
from vagus.agents.modes import Result, mode_of
from vagus.agents.zk import Circuit, Proven
from vagus.agents.zk.circuit import add_file
from vagus.agents.zk.prover import environment
from vagus.compute import Model, Price, Times, Usage
from vagus.daemon import node
from vagus.protocol import Refuse, models_digest

HASHES = {"circuit": "01" * 32, "settings": "02" * 32, "vk": "03" * 32, "srs": "04" * 32}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vagus" / "zk"


class Proving(Agent):
    """Has a number proven, and answers with what came out."""

    name = "proving"
    version = "1.0.0"
    Input = bytes
    Output = bytes
    mode = Mode(name="zk", parameters={**HASHES})

    async def run(self, ctx: Context, value: bytes, /) -> bytes:
        return bytes(await ctx.prove(value))


class Only:
    """A registry of one agent."""

    def __init__(self, agent: Agent) -> None:
        self.enabled = [agent.manifest.agent_id]
        self._agent = agent

    def get(self, name: str) -> Agent:
        assert name == self._agent.manifest.agent_id
        return self._agent


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vk": ""}, "parameter 'vk': it must be a file's sha256"),
        ({"srs": "04" * 31}, "parameter 'srs': it must be a file's sha256"),
        ({"settings": "0X" + "02" * 31}, "parameter 'settings': it must be a file's sha256"),
        ({"circuit": 7}, "parameter 'circuit': it must be of type str"),
        ({"model": "x"}, "parameter 'model': the mode knows none of this name"),
    ],
)
def test_a_circuit_is_named_by_the_hash_of_each_of_its_files(
    changes: dict[str, str | int], reason: str
) -> None:
    with pytest.raises(Refuse, match=reason):
        mode_of(said(bytes, "zk", **HASHES | changes).manifest)


async def test_calls_that_nothing_proves_are_not_paid() -> None:
    """The leader's run is followed without a model, so that its calls would be its word alone."""
    agent = Proving()
    model = Model("m")
    call = Call(
        index=0,
        route=Route(Written(lambda _: ""), model),
        reported_model="m",
        usage=Usage(1, 1),
        price=Price(Decimal(10**6)),
        cost=1,
        times=Times(0, None, 0),
        finish_reason="stop",
    )
    proof = evidence.build(
        intent_of(agent, b"?"),
        agent.manifest,
        [call],
        b"!",
        executor=bytes(20),
        started=1,
        finished=2,
        proofs=[Proven((1,), (2,), b"\x01")],
    )
    result = Result(b"!", agent.manifest.digest, models_digest([model.digest]), proof.data)
    found = await mode_of(agent.manifest).check(check_context(agent, b"?"), None, result)
    assert not found.right
    assert found.reason == "the evidence has calls of a model, and an agent in mode zk asks none"


@pytest.mark.parametrize("alone", [False, True])
def test_a_node_without_the_environment_refuses_to_start_and_says_what_to_do(alone: bool) -> None:
    with pytest.raises(Refuse, match=r"`make zk` makes it in .*, docs/modes\.md#zk"):
        node._require_modes(Only(Proving()), [], alone=alone)  # type: ignore[arg-type]  # what is asked of it


def test_an_environment_that_does_not_work_is_said_to_be_one(cache: Path) -> None:
    python = environment() / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 7\n")
    python.chmod(0o755)
    with pytest.raises(Refuse, match="does not work: ezkl's process ended with 7"):
        mode_of(Proving().manifest).require([])


def test_a_file_that_is_missing_or_was_altered_is_named(cache: Path, tmp_path: Path) -> None:
    sources = {name: tmp_path / name for name in HASHES}
    for name, path in sources.items():
        path.write_text(name)
    kept = {name: add_file(path) for name, path in sources.items()}
    circuit = Circuit(**{name: path.name for name, path in kept.items()})
    assert circuit.files().srs.read_text() == "srs"
    kept["srs"].write_text("another")
    with pytest.raises(Refuse, match=r"is not the structured reference string .* any more"):
        circuit.files()
    kept["vk"].unlink()
    with pytest.raises(
        Refuse, match=r"the verification key with sha256 .* is not in .*vagus zk add"
    ):
        circuit.files()


async def test_a_circuit_is_run_in_mode_zk_alone() -> None:
    exact = type("Exact", (Proving,), {"mode": Mode(name="exact")})()
    with pytest.raises(Refuse, match="which mode zk alone has"):
        await result_of(exact, b"\x01")


async def test_an_answer_without_a_proof_is_not_taken() -> None:
    agent = Proving()
    proposed = await result_of(agent, b"\x01", output=b"\x02")
    found = await mode_of(agent.manifest).check(check_context(agent, b"\x01"), None, proposed)
    assert (found.right, found.reason) == (
        False,
        "proofs are in the evidence of mode zk, and there alone",
    )
