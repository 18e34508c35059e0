"""The process that proves is bounded, and ends with whoever waits for it; keys are held against circuits."""

import asyncio
import os
from pathlib import Path

import pytest

from support.iris import Built
from support.node import children
from vagus.agents.modes import mode_of
from vagus.agents.zk import Circuit, Prover, prover
from vagus.agents.zk.circuit import add_file
from vagus.protocol import Refuse, Retry

FLOWER = (51, 35, 14, 2)
WITHIN = 60.0


def circuit_of(built: Built) -> Circuit:
    found = mode_of(built.agent().manifest).prover
    assert isinstance(found, Prover)
    return found.circuit


async def test_what_takes_too_long_is_ended_and_tried_again_later(built: Built) -> None:
    await Prover(circuit_of(built)).prove(FLOWER, timeout=WITHIN)
    with pytest.raises(Retry, match="did not prove in"):
        await Prover(circuit_of(built)).prove(FLOWER, timeout=0.01)
    assert children(os.getpid()) == []


async def test_who_is_cancelled_leaves_no_process(built: Built) -> None:
    proving = asyncio.create_task(Prover(circuit_of(built)).prove(FLOWER, timeout=WITHIN))
    async with asyncio.timeout(WITHIN):
        while not children(os.getpid()):
            await asyncio.sleep(0)
    proving.cancel()
    await asyncio.wait((proving,))
    assert children(os.getpid()) == []


async def test_what_wants_more_memory_than_it_may_have_ends_alone(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    prover._ready(circuit_of(built))
    monkeypatch.setattr(prover, "PROVE_MEMORY", 64 << 20)
    with pytest.raises((Retry, Refuse)):
        await Prover(circuit_of(built)).prove(FLOWER, timeout=WITHIN)
    assert children(os.getpid()) == []


@pytest.mark.parametrize("numbers", [FLOWER[:3], (*FLOWER, 1)])
async def test_other_numbers_than_the_circuit_takes_are_refused(
    built: Built, numbers: tuple[int, ...]
) -> None:
    with pytest.raises(Refuse, match=r"it takes (more|fewer) numbers"):
        await Prover(circuit_of(built)).prove(numbers, timeout=WITHIN)


@pytest.mark.parametrize("numbers", [(1 << 25, 1, 1, 1), (1,) * 513])
async def test_numbers_that_no_circuit_takes_start_no_process(
    built: Built, numbers: tuple[int, ...]
) -> None:
    with pytest.raises(Refuse, match="a circuit takes 512 numbers at most"):
        await Prover(circuit_of(built)).prove(numbers, timeout=WITHIN)


def test_a_key_that_is_not_of_its_circuit_is_refused_before_anything_is_proven(
    built: Built, another: Built
) -> None:
    one, two = circuit_of(built), circuit_of(another)
    with pytest.raises(Refuse, match="is not of its circuit: it makes another key"):
        Prover(Circuit(one.circuit, one.settings, two.vk, one.srs)).require()


def test_a_file_that_is_no_circuit_is_refused_in_words(built: Built, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"no circuit")
    junk = add_file(tmp_path / "junk").name
    one = circuit_of(built)
    with pytest.raises(Refuse, match=r"the verification key .* is not of its circuit: "):
        Prover(Circuit(junk, one.settings, junk, one.srs)).require()


async def test_another_ezkl_than_the_one_that_is_pinned_is_refused(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prover, "EZKL", "1.0.0")
    with pytest.raises(Refuse, match=r"needs ezkl 1\.0\.0, and .* has 23\.0\.5: run `make zk`"):
        prover.version()
