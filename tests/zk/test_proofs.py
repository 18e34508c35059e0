"""Real proofs of the example's network: ezkl itself is the judge, and onnx of what the network says."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
from eth_utils.crypto import keccak

from support.iris import Built
from support.modes import check_context, intent_of, result_of
from vagus.agents import Agent, Mode
from vagus.agents.modes import Result, Verdict, mode_of

FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
# The first flower of each species in Fisher's table, in millimetres.
FLOWERS = [(51, 35, 14, 2), (70, 32, 47, 14), (63, 33, 60, 25)]

# As ezkl's own users verify: its files, and a proof file written by hand.
VERIFY = """
import ezkl, json, sys
proof, numbers = json.loads(sys.argv[1]), json.loads(sys.argv[2])
P = 21888242871839275222246405745257275088548364400416034343698204186575808495617
felts = [int(each) % P for each in numbers]
snark = {"instances": [[f.to_bytes(32, "little").hex() for f in felts]], "proof": list(bytes.fromhex(proof[2:])),
         "hex_proof": proof, "protocol": None, "split": None, "pretty_public_inputs": None,
         "timestamp": None, "version": None}
open("by-hand.json", "w").write(json.dumps(snark))
try:
    print(ezkl.verify("by-hand.json", "settings", "vk", srs_path="srs"))
except RuntimeError:
    print(False)
"""
REFERENCE = """
import json, numpy, onnx, sys
from onnx.reference import ReferenceEvaluator
run = ReferenceEvaluator(onnx.load("network.onnx"))
flowers = numpy.array(json.loads(sys.argv[1]), dtype="float32")
print(json.dumps([run.run(None, {"flower": each[None]})[0][0].tolist() for each in flowers]))
"""


def payload(flower: tuple[int, ...]) -> bytes:
    names = ("petal_length", "petal_width", "sepal_length", "sepal_width")
    at = (2, 3, 0, 1)
    return rfc8785.dumps(dict(zip(names, (flower[each] for each in at), strict=True)))


async def leads(built: Built, flower: tuple[int, ...]) -> Result:
    agent = built.agent()
    prover = mode_of(agent.manifest).prover
    return await result_of(agent, payload(flower), circuit=prover)


async def follows(agent: Agent, proposed: Result, flower: tuple[int, ...]) -> Verdict:
    """A member that has no model, and runs no network."""
    asked = payload(flower)
    return await mode_of(agent.manifest).check(check_context(agent, asked), None, proposed)


@pytest.fixture(scope="module")
def proposed(built: Built) -> Result:
    return asyncio.run(leads(built, FLOWERS[0]))


def proofs(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.evidence)["proofs"]
    return found


@pytest.mark.parametrize("species", [0, 1, 2])
async def test_a_flower_s_species_is_proven_and_a_follower_takes_it(
    built: Built, species: int
) -> None:
    flower = FLOWERS[species]
    result = await leads(built, flower)
    assert result.output == species.to_bytes(32, "big")
    [told] = proofs(result)
    assert told["inputs"] == [str(each) for each in flower]
    # The network of floating point, as onnx computes it, within a 1024th: a circuit rounds once a layer.
    [scores] = json.loads(built.ask(REFERENCE, json.dumps([flower])))
    assert [int(each) / 1024 for each in told["outputs"]] == pytest.approx(scores, abs=2 / 1024)
    numbers = json.dumps(told["inputs"] + told["outputs"])
    assert built.ask(VERIFY, json.dumps(told["proof"]), numbers) == "True"
    found = await follows(built.agent(), result, flower)
    assert (found.right, found.reason, found.measured) == (True, "the proofs hold", {"proofs": 1})


def claimed(result: Result, change: Callable[[dict[str, Any]], Any]) -> Result:
    document = json.loads(result.evidence)
    change(document)
    return replace(result, evidence=rfc8785.dumps(document))


def other(number: int) -> Callable[[dict[str, Any]], Any]:
    """Another byte of the proof."""

    def change(document: dict[str, Any]) -> None:
        proof = bytearray.fromhex(document["proofs"][0]["proof"][2:])
        proof[number] ^= 1
        document["proofs"][0]["proof"] = f"0x{proof.hex()}"

    return change


def put(name: str, at: int, value: str) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["proofs"][0][name].__setitem__(at, value)


def twice(document: dict[str, Any]) -> None:
    document["proofs"] *= 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other(0), "the proof does not hold"),
        (other(1500), "the proof does not hold"),
        (other(-1), "the proof does not hold"),
        (lambda it: it["proofs"][0].update(proof="0x"), "the proof does not hold"),
        (put("outputs", 0, "5794"), "the proof does not hold"),
        (put("outputs", 2, "100000"), "the proof does not hold"),
        (lambda it: it["proofs"][0].update(outputs=[]), "the proof does not hold"),
        (put("inputs", 0, "52"), "no proof on the numbers that the agent hands"),
        (twice, "1 proofs that the agent has no use for"),
        (lambda it: it.pop("proofs"), "proofs are in the evidence of mode zk, and there alone"),
    ],
)
async def test_what_is_not_proven_is_not_taken(
    built: Built, proposed: Result, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    found = await follows(built.agent(), claimed(proposed, change), FLOWERS[0])
    assert not found.right
    assert reason in found.reason


async def test_a_number_beside_the_proven_one_in_the_field_is_not_taken(
    built: Built, proposed: Result
) -> None:
    """The last score and the prime are one element: ezkl finds it proven, and the agent would find it highest."""
    [told] = proofs(proposed)
    high = str(int(told["outputs"][2]) + FIELD)
    numbers = json.dumps([*told["inputs"], *told["outputs"][:2], high])
    assert built.ask(VERIFY, json.dumps(told["proof"]), numbers) == "True"
    forged = claimed(proposed, put("outputs", 2, high))
    won = replace(forged, output=(2).to_bytes(32, "big"))
    named = f"0x{keccak(won.output).hex()}"
    found = await follows(
        built.agent(), claimed(won, lambda it: it.update(output_hash=named)), FLOWERS[0]
    )
    assert (found.right, found.reason) == (False, "the proof does not hold")


async def test_another_output_than_the_proven_one_is_not_taken(
    built: Built, proposed: Result
) -> None:
    output = (1).to_bytes(32, "big")
    named = f"0x{keccak(output).hex()}"
    changed = claimed(replace(proposed, output=output), lambda it: it.update(output_hash=named))
    found = await follows(built.agent(), changed, FLOWERS[0])
    assert (found.right, found.reason) == (
        False,
        "the agent's output on what was proven is another",
    )


async def test_a_proof_on_another_flower_is_not_taken(built: Built, proposed: Result) -> None:
    agent = built.agent()
    intent = intent_of(agent, payload(FLOWERS[1]))
    about = json.loads(proposed.evidence)["intent"] | {
        "id": f"0x{intent.id.hex()}",
        "payload_hash": f"0x{intent.payload_hash.hex()}",
    }
    moved = claimed(proposed, lambda it: it.update(intent=about))
    found = await follows(agent, moved, FLOWERS[1])
    assert not found.right
    assert "no proof on the numbers" in found.reason


async def test_a_proof_by_another_key_is_not_taken(
    built: Built, another: Built, proposed: Result
) -> None:
    agent, told = built.agent(), proofs(await leads(another, FLOWERS[0]))
    found = await follows(agent, claimed(proposed, lambda it: it.update(proofs=told)), FLOWERS[0])
    assert (found.right, found.reason) == (False, "the proof does not hold")


async def test_evidence_that_names_another_key_is_not_taken(
    built: Built, another: Built, proposed: Result
) -> None:
    mode = Mode.model_validate(another.agent().manifest.mode).model_dump(mode="json")
    found = await follows(
        built.agent(), claimed(proposed, lambda it: it.update(mode=mode)), FLOWERS[0]
    )
    assert (found.right, found.reason) == (
        False,
        "the evidence names another mode than the manifest",
    )
