"""A node's folder as `vagus init` makes it: keys that stay, and a config that the node takes."""

from pathlib import Path

import pytest
from eth_account import Account

from vagus.daemon.choices import ChainChoice
from vagus.daemon.config import ConfigError, load
from vagus.daemon.folder import make_keys, write_config
from vagus.daemon.profiles import LEAST_ENDPOINTS, PROFILES, Made, refusals

HUB = "eip155:31337:0x5fbdb2315678afecb367f032d93f642f64180aa3"
CANARY = "canary-7f3a-in-a-path"


def choice(*rpc: str, hub: str = HUB, ws: str | None = None) -> ChainChoice:
    return ChainChoice(hub.rpartition(":")[0], hub, rpc or ("http://127.0.0.1:1",), ws)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    chosen = choice("http://127.0.0.1:1", ws="ws://127.0.0.1:1")
    return write_config(make_keys(tmp_path, "devnet"), "devnet", [chosen], 9464)


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
        write_config(keys, "devnet", [choice()], 1)
    assert config.read_text() == before


def test_what_a_node_would_refuse_is_not_left_behind(tmp_path: Path) -> None:
    keys = make_keys(tmp_path, "devnet")
    wrong = ChainChoice("eip155:1", HUB, ("http://x",))
    with pytest.raises(ConfigError, match="chain eip155:1: hub is on eip155:31337"):
        write_config(keys, "devnet", [wrong], 1)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_quotes_in_an_endpoint_stay_inside_its_string(tmp_path: Path) -> None:
    rpc = 'http://127.0.0.1/"\n[signer]'
    path = write_config(make_keys(tmp_path, "devnet"), "devnet", [choice(rpc)], 1)
    assert load(path).chains[0]["rpc"] == rpc


def test_keys_that_are_there_stay(tmp_path: Path) -> None:
    assert make_keys(tmp_path, "devnet") == make_keys(tmp_path, "devnet")


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_gets_a_config_with_as_many_endpoints_as_it_wants(
    profile: str, tmp_path: Path
) -> None:
    urls = [f"http://127.0.0.{at}:1" for at in range(1, LEAST_ENDPOINTS[profile] + 1)]
    path = write_config(make_keys(tmp_path, profile), profile, [choice(*urls)], 9464)
    settings = load(path)
    [adapter] = settings.adapters()
    assert settings.profile == profile
    assert adapter.quorum == (min(2, len(urls)), len(urls))
    assert PROFILES[profile] in path.read_text().replace("\n# ", " ")
    assert refusals(Made(settings, [adapter], adapter.account[12:])) == []


def test_keys_that_the_profile_refuses_get_no_config(tmp_path: Path) -> None:
    urls = [f"http://127.0.0.{at}:1" for at in range(1, 4)]
    with pytest.raises(ConfigError, match=r"vagus\.toml: profile mainnet: .* at a cost of 4096"):
        write_config(make_keys(tmp_path, "devnet"), "mainnet", [choice(*urls)], 9464)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_keys_are_standard_keystores_as_dear_to_guess_as_the_profile_says(tmp_path: Path) -> None:
    """A devnet's open at once; any other wallet opens them too."""
    keys = make_keys(tmp_path, "devnet")
    password = (tmp_path / "keys" / "password").read_text().strip()
    for name, address in (("signer", keys.signer), ("account", keys.account)):
        secret = Account.decrypt((tmp_path / "keys" / f"{name}.json").read_text(), password)
        assert bytes.fromhex(Account.from_key(secret).address[2:]) == address


@pytest.mark.parametrize(
    "text",
    [
        "id=eip155:1",
        "id=eip155:1,hub=x,rpc=y,color=red",
        "id=eip155:1,hub=x,hub=y,rpc=z",
        f"https://{CANARY}",
    ],
)
def test_a_chain_option_says_which_parts_it_wants_and_shows_no_endpoint(text: str) -> None:
    with pytest.raises(ConfigError, match=r"give id=…,hub=…,rpc=…\[,rpc=…\]\[,ws=…\]") as caught:
        ChainChoice.parse(text)
    assert CANARY not in str(caught.value)


def test_a_chain_option_takes_several_endpoints() -> None:
    found = ChainChoice.parse(f"id=eip155:31337,hub={HUB},rpc=http://a,rpc=http://b,ws=ws://a")
    assert found == ChainChoice("eip155:31337", HUB, ("http://a", "http://b"), "ws://a")


@pytest.mark.parametrize(
    ("chosen", "profile", "said"),
    [
        (choice(), "testnet", "profile testnet wants 2 endpoints"),
        (choice("http://a", "http://b"), "mainnet", "profile mainnet wants 3 endpoints"),
        (
            choice("http://a/1", f"http://a/{CANARY}", "http://b"),
            "mainnet",
            "wants each endpoint on a host of its own, and several are on a:",
        ),
        (
            choice("http://a", hub=HUB.replace(":31337:", ":1:")),
            "devnet",
            "is Ethereum, a public chain, .* give --profile testnet",
        ),
        (choice(f"htp://{CANARY}"), "devnet", "https://"),
        (ChainChoice("eip155:1", HUB, ("http://a",)), "devnet", "hub is on eip155:31337"),
        (ChainChoice("near:1", HUB, ("http://a",)), "devnet", "no adapter for 'near'"),
        (ChainChoice("Ethereum", HUB, ("http://a",)), "devnet", "is not a CAIP-2"),
    ],
)
def test_a_chain_that_would_be_refused_is_refused_before_anything_is_made(
    chosen: ChainChoice, profile: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        chosen.check(profile)
    assert CANARY not in str(caught.value)
