"""The configuration of a Cosmos chain: what fits, and what is refused in words."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vagus.adapters.cosmos.adapter import CosmosAdapter
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.protocol import cosmos_chain, hub_id, keccak256
from vagus.protocol.bech32 import encode

CONTRACT = b"\x11" * 32
HUB = f"cosmos:vagus-1:{encode('wasm', CONTRACT)}"
URL = "http://127.0.0.1:26657"


def config(**changes: Any) -> CosmosConfig:
    values: dict[str, Any] = {"id": "cosmos:vagus-1", "hub": HUB, "rpc": URL}
    return CosmosConfig(**values | changes)


def test_the_least_that_is_needed_is_a_chain_a_hub_and_an_endpoint() -> None:
    found = config()
    assert (found.live_id, found.prefix, found.agreeing) == ("vagus-1", "wasm", 1)
    adapter = CosmosAdapter(found)
    assert adapter.hub_id == hub_id(HUB) == keccak256(HUB.encode())
    assert adapter.account == bytes(32)


def test_a_chain_id_that_caip2_cannot_hold_is_given_beside_its_hash() -> None:
    chain = cosmos_chain("Very_Long-Chain.Name")
    hub = f"{chain}:{encode('wasm', CONTRACT)}"
    assert config(id=chain, hub=hub, chain_id="Very_Long-Chain.Name").live_id == (
        "Very_Long-Chain.Name"
    )
    with pytest.raises(ValidationError, match="chain_id is missing"):
        config(id=chain, hub=hub)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": "eip155:1"}, "must be a Cosmos chain"),
        ({"chain_id": "other-1"}, "chain_id is that of cosmos:other-1"),
        ({"hub": HUB.replace("vagus-1", "vagus-2")}, "hub is on cosmos:vagus-2"),
        ({"hub": HUB[:-1] + "q"}, "checksum"),
        ({"hub": "cosmos:vagus-1:0x" + "11" * 20}, "is an EVM address, and cosmos:vagus-1 wants"),
        ({"rpc": "ftp://x"}, "begins with http"),
        ({"rpc": [URL, URL + "/"]}, "an endpoint twice"),
        ({"rpc": [URL, "http://a", "http://b"], "quorum": 1}, "of 3 rpc it can be 2 to 3"),
        ({"keystore": "a.json"}, "go together"),
        ({"keystore": "a.json", "password_file": "b"}, "fee_denom is missing"),
        ({"fee_denom": "1x"}, "fee_denom"),
        ({"gas_price": "2", "max_gas_price": "1"}, "over max_gas_price"),
        ({"gas_price": "-1"}, "gas_price"),
        ({"timeout_blocks": 1}, "timeout_blocks"),
        ({"finality": "finalized"}, "finality"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(**changes)


def test_no_error_repeats_an_endpoint_that_may_hold_a_key() -> None:
    with pytest.raises(ValidationError) as raised:
        config(rpc="wss://user:secret-token@rpc.example")
    assert "secret-token" not in str(raised.value)


def test_every_key_stands_in_the_documentation_with_its_default() -> None:
    page = (Path(__file__).parents[3] / "docs" / "adapter-cosmos.md").read_text()
    table = page.partition("## Configuration")[2].partition("## A development")[0]
    cells = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    said = {
        name.strip("` "): default.strip() for names, default in cells for name in names.split(",")
    }
    assert set(said) == set(CosmosConfig.model_fields)
    for name, field in CosmosConfig.model_fields.items():
        if isinstance(field.default, int | float | Decimal):
            assert Decimal(said[name]) == Decimal(str(field.default)), name
