"""The configuration of an EVM chain: what it takes, what it refuses, what it shows."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.config import EvmConfig, endpoint_name

GOOD = {
    "id": "eip155:10",
    "hub": "eip155:10:0x5FbDB2315678afecb367f032d93F642f64180aa3",
    "rpc": "https://user:canary-1@node.example/v3/canary-2?key=canary-3",
}


def test_a_small_configuration_is_enough() -> None:
    config = EvmConfig(**GOOD)  # type: ignore[arg-type]  # pydantic reads strings
    assert str(config.account) == GOOD["hub"].lower()
    assert config.chain_id == 10
    assert config.finality == "finalized"
    assert EvmAdapter.Config is EvmConfig
    adapter = EvmAdapter(config)
    assert (adapter.chain, adapter.hub) == ("eip155:10", GOOD["hub"].lower())


def test_an_endpoint_is_shown_without_its_keys() -> None:
    config = EvmConfig(**GOOD)  # type: ignore[arg-type]  # as above
    assert endpoint_name(config.rpc) == "https://node.example"
    assert "canary" not in repr(config) + str(config) + config.model_dump_json()
    assert "canary" not in repr(EvmAdapter(config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "eip155:010"}, "reference"),
        ({"id": "cosmos:hub"}, "EVM chain"),
        ({"hub": "0x12"}, "CAIP-10"),
        ({"hub": "eip155:1:0x5FbDB2315678afecb367f032d93F642f64180aa3"}, "hub is on eip155:1"),
        ({"rpc": "ftp://canary@x"}, "begins with http"),
        ({"rpc": "http://"}, "begins with http"),
        ({"rpc": "http://[canary"}, "begins with http"),
        ({"ws": "http://x"}, "begins with ws"),
        ({"finality": 0}, "finality"),
        ({"finality": "latest"}, "finality"),
        ({"poll_interval": 0}, "greater than 0"),
        ({"max_log_range": 0}, "greater than or equal to 1"),
        ({"keystore": "x"}, "go together"),
        ({"password_file": "x"}, "go together"),
        ({"pol_interval": 1}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_is_refused_without_repeating_it(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as raised:
        EvmConfig(**(GOOD | changes))  # type: ignore[arg-type]  # as above
    assert "canary" not in str(raised.value)


def test_a_url_may_come_as_a_secret() -> None:
    config = EvmConfig(**(GOOD | {"rpc": SecretStr("http://x:1/")}))  # type: ignore[arg-type]  # as above
    assert endpoint_name(config.rpc) == "http://x"
