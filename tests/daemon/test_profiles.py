"""What each profile refuses, rule by rule, on configs that are right but for one thing."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account import Account

from support.node import vagus
from support.pipelines import A, two_chains
from vagus.adapters.base import HubState
from vagus.adapters.evm.devnet import DEV_KEYS
from vagus.adapters.evm.keystore import SCRYPT_N
from vagus.daemon.config import Settings, load
from vagus.daemon.profiles import (
    CONFIG_RULES,
    HUB_RULES,
    PROFILES,
    Hub,
    Made,
    ProfileError,
    look,
    refusals,
)
from vagus.protocol import SignerSet

PASSWORD = "a password for tests"
HUB = "eip155:31337:0x" + "11" * 20
HOSTS = tuple(f"https://rpc{at}.example.org" for at in range(3))
KEY = "0x" + "05" * 32


@pytest.fixture(scope="module")
def dear() -> str:
    """A keystore of eth_account at scrypt's full cost, which takes a second."""
    return json.dumps(Account.encrypt(KEY, PASSWORD, kdf="scrypt", iterations=SCRYPT_N))


def cheap(key: str = KEY, kdf: str = "scrypt", iterations: int = 2) -> str:
    return json.dumps(Account.encrypt(key, PASSWORD, kdf=kdf, iterations=iterations))


@dataclass
class Node:
    """A config on disk that `mainnet` takes, and what a test changes in it.

    Without an account's keystore nothing is opened here: at full cost that takes a second each.
    """

    folder: Path
    keystore: str
    key: str = KEY
    profile: str = "mainnet"
    rpc: tuple[str, ...] = HOSTS
    id: str = "eip155:31337"
    hub: str = HUB
    chain: str = ""
    http: str = ""
    account: str = ""

    def refused(self, **changes: Any) -> list[tuple[str, str]]:
        node = replace(self, **changes)
        return refusals(node.made())

    def made(self) -> Made:
        keys = self.folder / "keys"
        keys.mkdir(mode=0o700, exist_ok=True)
        for name, text in {
            "signer.json": self.keystore,
            "account.json": self.account,
            "password": PASSWORD,
        }.items():
            (keys / name).write_text(text)
            (keys / name).chmod(0o600)
        path = self.folder / "vagus.toml"
        path.write_text(
            f"""profile = "{self.profile}"
[http]
{self.http}
[signer]
keystore = "keys/signer.json"
password_file = "keys/password"
[[committee.members]]
signer = "{Account.from_key(KEY).address.lower()}"
[[chains]]
id = "{self.id}"
hub = "{self.hub}"
rpc = {json.dumps(list(self.rpc))}
{self.chain}
{'keystore = "keys/account.json"' if self.account else ""}
{'password_file = "keys/password"' if self.account else ""}
"""
        )
        settings: Settings = load(path)
        signer = bytes.fromhex(Account.from_key(self.key).address[2:])
        return Made(settings, settings.adapters(), signer)


@pytest.fixture
def node(tmp_path: Path, dear: str) -> Node:
    return Node(tmp_path, dear)


def test_a_config_that_keeps_all_rules_is_taken_by_every_profile(node: Node) -> None:
    for profile in PROFILES:
        assert node.refused(profile=profile) == []


@pytest.mark.parametrize(
    ("rpc", "refused"),
    [
        (HOSTS[:1], {"testnet", "mainnet"}),
        (HOSTS[:2], {"mainnet"}),
        (HOSTS, set()),
    ],
)
def test_few_endpoints_are_refused(node: Node, rpc: tuple[str, ...], refused: set[str]) -> None:
    for profile in PROFILES:
        found = node.refused(profile=profile, rpc=rpc)
        assert [rule for rule, _ in found] == ["endpoints"] * (profile in refused)
        assert all("rpc under [[chains]]" in words for _, words in found)


def test_endpoints_of_one_host_count_for_one_operator(node: Node) -> None:
    rpc = (*HOSTS[:2], HOSTS[0] + "/v3/another-key")
    assert node.refused(profile="testnet", rpc=rpc) == []
    [(rule, words)] = node.refused(rpc=rpc)
    assert rule == "hosts"
    assert "rpc0.example.org" in words
    assert "another-key" not in words


@pytest.mark.parametrize("finality", ['"safe"', "12"])
def test_less_than_finalized_wants_a_reason_in_words(node: Node, finality: str) -> None:
    assert node.refused(profile="testnet", chain=f"finality = {finality}") == []
    [(rule, words)] = node.refused(chain=f"finality = {finality}")
    assert rule == "finality"
    assert "finality_reason" in words
    told = f'finality = {finality}\nfinality_reason = "one sequencer, which has not reordered yet"'
    assert node.refused(chain=told) == []


@pytest.mark.parametrize("key", [DEV_KEYS[0], DEV_KEYS[-1]])
def test_keys_that_everyone_knows_are_refused_where_coins_could_be_lost(
    node: Node, key: str
) -> None:
    public = cheap(key)
    assert node.refused(profile="devnet", key=key, account=public) == []
    found = node.refused(profile="testnet", key=key, account=public)
    assert [rule for rule, _ in found] == ["known-keys", "known-keys"]
    assert Account.from_key(key).address.lower() in found[0][1]


@pytest.mark.parametrize(
    ("keystore", "said"),
    [(cheap(), "at a cost of 2"), (cheap(kdf="pbkdf2", iterations=1000), "by pbkdf2")],
    ids=["scrypt", "pbkdf2"],  # the keystores are others each time
)
def test_keys_that_are_cheap_to_guess_are_refused_on_mainnet(
    node: Node, keystore: str, said: str
) -> None:
    assert node.refused(profile="testnet", account=keystore) == []
    [(rule, words)] = node.refused(account=keystore)
    assert rule == "encryption"
    assert said in words
    assert "account.json" in words


def test_a_folder_of_keys_that_others_can_reach_into_is_refused(node: Node) -> None:
    made = node.made()
    (node.folder / "keys").chmod(0o755)
    [(rule, words)] = refusals(made)
    assert rule == "folders"
    assert words.endswith(f"run chmod 700 {node.folder / 'keys'}")


def test_a_data_folder_that_others_can_reach_into_is_refused_by_every_profile(node: Node) -> None:
    data = node.folder / "data"
    data.mkdir(mode=0o700)
    for profile in PROFILES:
        assert node.refused(profile=profile) == []
    for mode in (0o750, 0o701, 0o777):
        data.chmod(mode)
        for profile in PROFILES:
            [(rule, words)] = node.refused(profile=profile)
            assert rule == "data"
            assert words.startswith(f"{data} has mode {mode:04o}")
            assert words.endswith(f"run chmod 700 {data}")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "node.example.org"])
def test_http_for_others_wants_tokens_on_mainnet(node: Node, host: str) -> None:
    http = f'host = "{host}"'
    assert node.refused(profile="testnet", http=http) == []
    assert [rule for rule, _ in node.refused(http=http)] == ["http"]
    assert node.refused(http=f'{http}\ntokens_file = "tokens"') == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_http_on_loopback_needs_none(node: Node, host: str) -> None:
    assert node.refused(http=f'host = "{host}"') == []


PUBLIC_CHAINS = [
    ("eip155:1", f"eip155:1:0x{'11' * 20}", "is Ethereum"),
    ("eip155:11155111", f"eip155:11155111:0x{'11' * 20}", "is Sepolia"),
    (
        "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:11111111111111111111111111111112",
        "is Solana",
    ),
]


@pytest.mark.parametrize(("chain", "hub", "said"), PUBLIC_CHAINS)
def test_a_devnet_is_refused_on_a_public_chain_however_many_endpoints_it_has(
    node: Node, chain: str, hub: str, said: str
) -> None:
    for rpc in (HOSTS[:1], HOSTS):
        [(rule, words)] = node.refused(profile="devnet", rpc=rpc, id=chain, hub=hub)
        assert rule == "public-chains"
        assert words.startswith(f"{chain} {said}")
        assert f'set profile = "testnet" in {node.folder / "vagus.toml"}' in words
    assert [rule for rule, _ in node.refused(profile="testnet", id=chain, hub=hub)] == []


@pytest.mark.parametrize("profile", ["", 'profile = "devnet"'])
async def test_a_devnet_on_a_public_chain_fails_the_check_and_does_not_start(
    node: Node, profile: str
) -> None:
    """No profile is the devnet's."""
    chain, hub, said = PUBLIC_CHAINS[0]
    replace(node, keystore=cheap(), rpc=HOSTS[:1], id=chain, hub=hub).made()
    path = node.folder / "vagus.toml"
    path.write_text(path.read_text().replace('profile = "mainnet"', profile))
    code, out, _ = await vagus("check", "--config", path)
    assert code != 0
    assert f"{chain} {said}, a public chain" in out
    code, out, err = await vagus("run", "--config", path)
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert f"profile devnet: {chain} {said}, a public chain" in last
    assert 'set profile = "testnet"' in last


async def hub(**changes: Any) -> Hub:
    key = PrivateKey(b"\x05" * 32)
    async with two_chains(key) as (a, _):
        state: HubState = await a.hub_state()
    signers = tuple(bytes([at]) * 20 for at in range(1, 4))
    whole = Hub(A, replace(state, current=SignerSet(1, signers, 2)), None)
    return replace(whole, **changes)


async def broken(found: Hub) -> list[str]:
    return [rule.name for rule in HUB_RULES for _ in rule.breaks(found)]


async def test_a_hub_that_one_key_can_rob_is_no_hub_for_mainnet() -> None:
    good = await hub()
    assert await broken(good) == []
    alone = replace(good.state, current=SignerSet(1, good.state.current.signers[:1], 1))
    assert await broken(await hub(state=alone)) == ["threshold"]
    assert await broken(await hub(changeable="a proxy, whose admin is 0x11")) == ["unchangeable"]


async def test_a_hub_is_held_against_its_profile_before_anything_is_done() -> None:
    async with two_chains(PrivateKey(b"\x05" * 32)) as (a, _):
        for profile in ("devnet", "testnet"):
            await look(profile, a)
        with pytest.raises(ProfileError, match="takes one signature of 1") as caught:
            await look("mainnet", a)
    assert caught.value.exit_code == 3


def test_every_rule_has_a_name_of_its_own() -> None:
    names = [rule.name for rule in (*CONFIG_RULES, *HUB_RULES)]
    assert len(names) == len(set(names))
    for rule in (*CONFIG_RULES, *HUB_RULES):
        assert rule.profiles <= PROFILES.keys()
        assert "mainnet" in rule.profiles or rule.profiles == {"devnet"}
