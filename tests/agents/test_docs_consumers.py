"""The guide's consumers, compiled and called on a chain, read what the built-in agents answer."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web3.contract import Contract

from support.agents import Written, written_context
from support.anvil import Anvil, running_anvil
from support.contracts import CONTRACTS, compiled, deploy
from support.npm import installed, node
from vagus.agents import execute
from vagus.agents.builtin.choose import Choose
from vagus.agents.builtin.number import Number

GUIDE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
INT256 = (-(2**255), 2**255 - 1)


def source(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return found


def vyper(folder: Path) -> dict[str, Any]:
    path = folder / "Readers.vy"
    path.write_text(source("vyper"))
    return compiled(path)


def solidity(_: Path) -> dict[str, Any]:
    job = {
        "language": "Solidity",
        "sources": {
            "Readers.sol": {"content": "// SPDX-License-Identifier: MIT\n" + source("solidity")}
        },
        "settings": {
            "evmVersion": "cancun",
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
        },
    }
    compiler = installed(CONTRACTS, "solc") / "solc" / "solc.js"
    done = subprocess.run(
        [node(), str(compiler), "--standard-json"],
        input=json.dumps(job), capture_output=True, text=True, check=True,
    )  # fmt: skip
    output = json.loads(done.stdout[done.stdout.index("{") :])
    assert not output.get("errors"), output["errors"]
    contract = output["contracts"]["Readers.sol"]["Readers"]
    return {"abi": contract["abi"], "bytecode": contract["evm"]["bytecode"]["object"]}


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with running_anvil() as chain:
        yield chain


@pytest.fixture(scope="module", params=[vyper, solidity], ids=["vyper", "solidity"])
def readers(
    request: pytest.FixtureRequest, anvil: Anvil, tmp_path_factory: pytest.TempPathFactory
) -> Contract:
    return deploy(anvil, request.param(tmp_path_factory.mktemp("readers")))


@pytest.mark.parametrize("number", [*INT256, -1, 0, 1, 10**18])
async def test_a_contract_reads_the_number(readers: Contract, number: int) -> None:
    low, high = map(str, INT256)
    payload = json.dumps({"prompt": "?", "min": low, "max": high}).encode()
    backend = Written(lambda _: json.dumps({"number": str(number)}))
    output = await execute(Number(), written_context(backend), payload)
    assert readers.functions.number(output).call() == number


@pytest.mark.parametrize("choice", ["yes", "no", "yes ", "Yes"])
async def test_a_contract_knows_the_choice(readers: Contract, choice: str) -> None:
    payload = json.dumps({"prompt": "?", "choices": ["yes", "no", "yes ", "Yes"]}).encode()
    backend = Written(lambda _: json.dumps({"choice": choice}))
    output = await execute(Choose(), written_context(backend), payload)
    assert readers.functions.isYes(output).call() is (choice == "yes")
