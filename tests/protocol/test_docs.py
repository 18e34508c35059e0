"""The bytes in docs/protocol.md are the real ones."""

import json
import re
from pathlib import Path

from eth_utils.crypto import keccak

from vagus.protocol import Attestation, Intent, Receipt, Rotation

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "protocol.md").read_text()
HUB = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1:Vagu5Hub11111111111111111111111111111111111"


def test_the_structs_and_their_type_hashes_are_the_codes() -> None:
    for kind in (Intent, Attestation, Receipt, Rotation):
        assert f"\n{kind.TYPE}\n" in TEXT
        assert f"| {kind.__name__} | `0x{kind.TYPE_HASH.hex()}` |" in TEXT


def test_the_worked_example_is_a_vector_and_adds_up() -> None:
    vectors = json.loads((ROOT / "tests" / "vectors" / "digests.json").read_text())["vectors"]
    example = TEXT[TEXT.index("## A worked example") :]
    assert HUB in example
    assert f"{len(HUB)} letters" in example
    values = dict(re.findall(r"(\w+)(?: +\"\w+\")? +(0x[0-9a-f]+)$", example, re.MULTILINE))
    [vector] = [v for v in vectors if v["digest"] == values["digest"]]
    for name in ("hubId", "structHash", "digest"):
        assert values[name] == vector[name]
    for name, value in vector["message"].items():
        assert int(values[name], 16) == int(value, 0)
    assert values["r"] + values["s"][2:] + values["v"][2:] == vector["signature"]
    assert vector["privateKey"] in example
    assert vector["signer"] in example

    def joined(*names: str) -> bytes:
        return bytes.fromhex("".join(values[name][2:] for name in names))

    assert (
        keccak(joined("EIP712Domain", "name", "version", "salt")).hex()
        == (values["domainSeparator"][2:])
    )
    words = joined("Receipt", *vector["message"])
    assert len(words) == 256
    assert keccak(words).hex() == values["structHash"][2:]
    assert (
        keccak(b"\x19\x01" + joined("domainSeparator", "structHash")).hex()
        == (values["digest"][2:])
    )
    assert keccak(b"chat@1").hex() in TEXT
    assert keccak(b"").hex() in TEXT


def test_both_consumers_are_shown_as_they_are_compiled() -> None:
    examples = ROOT / "contracts" / "evm" / "examples"
    for language, name in {"solidity": "Consumer.sol", "vyper": "Consumer.vy"}.items():
        [shown] = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
        assert "onResult" in shown
        assert shown in (examples / name).read_text()
