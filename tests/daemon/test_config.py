"""vagus.toml: what a wrong one says, and what is laid on top of it."""

from pathlib import Path

import pytest

from vagus.daemon.config import ConfigError, load
from vagus.daemon.folder import ChainChoice, make_keys, write_config

HUB = "eip155:31337:0x5fbdb2315678afecb367f032d93f642f64180aa3"
SECRET = "canary-7f3a"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config as `vagus init` writes it, with an API key in the endpoint."""
    choice = ChainChoice("eip155:31337", HUB, f"http://127.0.0.1:1/{SECRET}", "ws://127.0.0.1:1")
    return write_config(make_keys(tmp_path, "devnet"), "devnet", [choice], 9464)


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def use(path: Path) -> None:
    """Read a config as far as `vagus run` does before it starts anything."""
    settings = load(path)
    settings.adapters()
    settings.agent_registry()
    settings.backend_list()


def faults(path: Path) -> str:
    """All that is said of a config that cannot be used."""
    with pytest.raises(ConfigError) as caught:
        use(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("port = 9464", "prot = 9464", 'http.prot: unknown key; did you mean "port"?'),
        ("[policy]", "[polcy]", 'polcy: unknown key; did you mean "policy"?'),
        ("finality =", "finalty =", 'chains.0.finalty: unknown key; did you mean "finality"?'),
        ('kind = "local"', 'kind = "local"\ntreads = 1', 'unknown key; did you mean "threads"?'),
        ("max_tokens", "max_token", 'agents."chat@1".max_token: unknown key; did you mean'),
        (
            "signer = ",
            "singer = ",
            'committee.members.0.singer: unknown key; did you mean "signer"?',
        ),
        ("port = 9464", "port = 70000", "http.port: Input should be less than or equal to 65535"),
        ('"finalized"', '"sfe"', "chains.0.finality: Input should be 'finalized' or 'safe', or:"),
        ('kind = "local"', 'kind = "lokal"', "backends.0: no backend of kind 'lokal' is installed"),
        ('id = "eip155:31337"', 'id = "near:x"', "chains.0: no adapter for 'near' is installed"),
        ('"chat@1"', '"chta@1"', 'agents."chta@1": not installed; there are chat'),
        ("port = 9464", "port = ", "Invalid value"),
    ],
)
def test_a_fault_is_named_with_its_place_and_what_was_probably_meant(
    config: Path, before: str, after: str, said: str
) -> None:
    change(config, before, after)
    text = faults(config)
    assert text.startswith(f"{config}: ")
    assert said in text


def test_every_fault_is_said_at_once(config: Path) -> None:
    change(config, "port = 9464", "prot = 9464")
    change(config, 'level = "info"', 'level = "loud"')
    assert len(faults(config).splitlines()) == 2


def test_a_fault_of_an_endpoint_does_not_show_the_key_in_it(config: Path) -> None:
    change(config, "http://127.0.0.1", "gopher://127.0.0.1")
    text = faults(config)
    assert "chains.0.rpc" in text
    assert SECRET not in text


def test_a_loaded_config_does_not_show_the_key_in_an_endpoint(config: Path) -> None:
    assert SECRET not in repr(load(config).adapters())


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    assert "`vagus init` writes one" in faults(tmp_path / "vagus.toml")


def test_a_folder_says_which_file_to_name(tmp_path: Path) -> None:
    assert "vagus.toml" in faults(tmp_path)


def test_a_chain_that_is_there_twice_is_a_fault(config: Path) -> None:
    text = config.read_text()
    start, end = text.index("[[chains]]"), text.index("# Where models run")
    config.write_text(text + "\n" + text[start:end])
    assert "eip155:31337 is there more than once" in faults(config)


def test_the_environment_lies_on_top_of_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGUS_HTTP__PORT", "9000")
    monkeypatch.setenv("VAGUS_LOG__LEVEL", "debug")
    settings = load(config)
    assert (settings.http.port, settings.http.host) == (9000, "127.0.0.1")
    assert settings.log.level == "debug"


def test_relative_paths_start_at_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    settings = load(config)
    assert settings.data == config.parent / "data"
    assert settings.signer.keystore == config.parent / "keys/signer.json"
    assert settings.chains[0]["keystore"] == config.parent / "keys/account.json"


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
