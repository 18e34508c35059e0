"""The configuration of an EVM chain: what it takes, what it refuses, what it shows."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.config import EvmConfig, endpoint_name, endpoint_names

GOOD = {
    "id": "eip155:10",
    "hub": "eip155:10:0x5FbDB2315678afecb367f032d93F642f64180aa3",
    "rpc": "https://user:canary-1@node.example/v3/canary-2?key=canary-3",
}
NODES = ["https://a.example/v3/", "https://b.example/v3/", "https://c.example/v3/"]


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
    assert endpoint_name(config.rpc[0]) == "https://node.example"
    assert "canary" not in repr(config) + str(config) + config.model_dump_json()
    assert "canary" not in repr(EvmAdapter(config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "eip155:010"}, "reference"),
        ({"id": "cosmos:hub"}, "EVM chain"),
        ({"hub": "0x12"}, "CAIP-10"),
        ({"hub": "eip155:1:0x5FbDB2315678afecb367f032d93F642f64180aa3"}, "hub is on eip155:1"),
        ({"hub": "eip155:10:0x5FbDB2315678afecb367f032d93f642f64180aA3"}, "mistyped"),
        ({"hub": "eip155:10:So11111111111111111111111111111111111111112"}, "is a Solana address"),
        ({"rpc": "ftp://canary@x"}, "begins with http"),
        ({"rpc": "http://"}, "begins with http"),
        ({"rpc": "http://[canary"}, "begins with http"),
        ({"ws": "http://x"}, "begins with ws"),
        ({"rpc": []}, "at least 1 item"),
        ({"rpc": None}, "rpc.0"),
        ({"rpc": ["http://a", "canary"]}, "rpc.1"),
        ({"rpc": [*NODES, "HTTPS://a.example:443/v3"]}, "an endpoint twice"),
        ({"ws": ["ws://a", "ws://a/"]}, "an endpoint twice"),
        ({"rpc": NODES, "quorum": 1}, "of 3 rpc it can be 2 to 3"),
        ({"rpc": NODES, "quorum": 4}, "of 3 rpc it can be 2 to 3"),
        ({"rpc": [*NODES, "http://d"], "quorum": 2}, "of 4 rpc it can be 3 to 4"),
        ({"quorum": 2}, "of 1 rpc it can be 1 to 1"),
        ({"quorum": 0}, "greater than 0"),
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
    assert endpoint_name(config.rpc[0]) == "http://x:1"


@pytest.mark.parametrize(("count", "agreeing"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_over_half_of_the_endpoints_must_agree_where_nothing_else_is_said(
    count: int, agreeing: int
) -> None:
    urls = [f"http://node-{at}.example" for at in range(count)]
    config = EvmConfig(**(GOOD | {"rpc": urls}))  # type: ignore[arg-type]  # as above
    assert EvmAdapter(config).quorum == (agreeing, count)
    strict = EvmConfig(**(GOOD | {"rpc": urls, "quorum": count}))  # type: ignore[arg-type]  # as above
    assert EvmAdapter(strict).quorum == (count, count)


def test_endpoints_of_one_host_have_names_of_their_own() -> None:
    urls = ["https://a/1", "https://b/1", "https://a/2", "https://u:p@a:8545/1", "http://[::1]:80"]
    config = EvmConfig(**(GOOD | {"rpc": urls}))  # type: ignore[arg-type]  # as above
    names = ("https://a#1", "https://b", "https://a#2", "https://a:8545", "http://[::1]:80")
    assert endpoint_names(config.rpc) == names
    assert tuple(EvmAdapter(config).tallies()) == names


def test_an_endpoint_alone_is_a_list_of_one() -> None:
    config = EvmConfig(**(GOOD | {"ws": "wss://node.example"}))  # type: ignore[arg-type]  # as above
    assert (len(config.rpc), len(config.ws)) == (1, 1)
    assert EvmConfig(**GOOD).ws == ()  # type: ignore[arg-type]  # as above
