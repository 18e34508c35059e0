"""A node's folder as `vagus init` makes it: keys that stay, and a config that the node takes."""

from pathlib import Path

import pytest

from vagus.daemon.config import ConfigError, load
from vagus.daemon.folder import ChainChoice, make_keys, write_config

HUB = "eip155:31337:0x5fbdb2315678afecb367f032d93f642f64180aa3"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    choice = ChainChoice("eip155:31337", HUB, "http://127.0.0.1:1", "ws://127.0.0.1:1")
    return write_config(make_keys(tmp_path, "devnet"), "devnet", [choice], 9464)


def test_a_written_config_is_for_its_user_alone(config: Path) -> None:
    assert config.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_no_text_is_a_fault(config: Path) -> None:
    config.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="TOML in UTF-8"):
        load(config)


def test_a_variable_that_is_no_json_is_a_fault(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGUS_CHAINS", "{")
    with pytest.raises(ConfigError, match=r"environment: .*chains"):
        load(config)


def test_a_config_is_not_written_over(config: Path) -> None:
    keys = make_keys(config.parent, "devnet")
    before = config.read_text()
    with pytest.raises(ConfigError, match="exists"):
        write_config(keys, "devnet", [ChainChoice("eip155:31337", HUB, "http://x")], 1)
    assert config.read_text() == before


def test_what_a_node_would_refuse_is_not_left_behind(tmp_path: Path) -> None:
    keys = make_keys(tmp_path, "devnet")
    with pytest.raises(ConfigError, match=r"vagus\.toml: chains\.0"):
        write_config(keys, "devnet", [ChainChoice("eip155:1", HUB, "http://x")], 1)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_quotes_in_an_endpoint_stay_inside_its_string(tmp_path: Path) -> None:
    rpc = 'http://127.0.0.1/"\n[signer]'
    keys = make_keys(tmp_path, "devnet")
    path = write_config(keys, "devnet", [ChainChoice("eip155:31337", HUB, rpc)], 1)
    assert load(path).chains[0]["rpc"] == rpc


def test_keys_that_are_there_stay(tmp_path: Path) -> None:
    assert make_keys(tmp_path, "devnet") == make_keys(tmp_path, "devnet")


@pytest.mark.parametrize("text", ["id=eip155:1", "id=eip155:1,hub=x,rpc=y,color=red", "nonsense"])
def test_a_chain_option_says_which_parts_it_wants(text: str) -> None:
    with pytest.raises(ConfigError, match=r"give id=…,hub=…,rpc=…\[,ws=…\]"):
        ChainChoice.parse(text)
