"""`vagus init` finds what is wrong before it makes a key, and says it in one line."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.keypairs import PrivateKey
from eth_account import Account as EthAccount
from solders.keypair import Keypair
from typer.testing import CliRunner, Result

from support.commands import vagus_beside as vagus
from vagus.daemon.cli import app
from vagus.daemon.config import ConfigError, load

ACCOUNT = "0x" + "ab" * 20
MISTYPED = "0x5FbDB2315678afecb367f032d93f642f64180aA3"
LOCAL = f"id=eip155:31337,hub=eip155:31337:{ACCOUNT},rpc=http://127.0.0.1:1"
OWN = f"id=eip155:7357,hub=eip155:7357:{ACCOUNT}"
ONE_HOST = "rpc=http://rpc.example/a,rpc=http://rpc.example/b,rpc=http://rpc.example/c"
PUBLIC = f"id=eip155:1,hub=eip155:1:{ACCOUNT},rpc=http://127.0.0.1:1"


async def refused(folder: Path, *options: str) -> str:
    """What is said, in one line, where exit code 2 is the end of it."""
    code, out, err = await vagus("init", folder, *options)
    assert (code, out) == (2, ""), err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--chain", LOCAL, "--port", "70000"), "65535"),
        (("--chain", LOCAL, "--chain", LOCAL), "--chain: eip155:31337 is given more than once"),
        (("--chain", f"{OWN},{ONE_HOST}", "--profile", "mainnet"), "several are on rpc.example"),
        (("--chain", PUBLIC, "--profile", "devnet"), "is Ethereum, a public chain"),
        (("--chain", PUBLIC), "give --profile testnet, or mainnet"),
        (("--chain", LOCAL.replace(ACCOUNT, MISTYPED)), f"'{MISTYPED}' is mistyped: its checksum"),
    ],
)
async def test_what_no_node_would_take_is_refused_before_a_key_is_made(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    assert said in " ".join((await refused(tmp_path / "node", *options)).replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


async def test_a_place_that_is_no_folder_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "keys").symlink_to(tmp_path / "gone")
    for folder, said in (
        ("file", "file is a file, and a node wants a folder there"),
        ("file/below/it", "file is a file, and a node wants a folder there"),
        ("link", "link is a link to nothing"),
        ("node", "node/keys is a link to nothing"),
    ):
        err = await refused(tmp_path / folder, "--chain", LOCAL)
        assert said in err
        assert "name another folder" in err
        assert err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "precious"
    assert list((tmp_path / "node").iterdir()) == [tmp_path / "node" / "keys"]


async def test_a_config_of_each_profile_passes_its_check(tmp_path: Path) -> None:
    rpc = "rpc=http://127.0.0.1:1"
    for profile in ("devnet", "testnet", "mainnet"):
        code, _, err = await vagus(
            *("init", tmp_path / profile, "--profile", profile, "--chain", f"{OWN},{rpc}")
        )
        assert code == 0, err
        rpc += f",rpc=http://127.0.0.{rpc.count('rpc') + 1}:1"
        config = tmp_path / profile / "vagus.toml"
        code, out, _ = await vagus("check", "--config", config)
        assert code == 0, out


async def test_keys_that_cannot_be_opened_are_left_and_named(tmp_path: Path) -> None:
    code, _, err = await vagus("init", tmp_path, "--chain", LOCAL)
    assert code == 0, err
    (tmp_path / "vagus.toml").unlink()
    (tmp_path / "keys" / "password").write_text("another")
    err = await refused(tmp_path, "--chain", LOCAL)
    assert f"wrong password for {tmp_path / 'keys' / 'signer.json'}: name the file" in err
    assert err.count("\n") == 1


def answered(folder: Path, *answers: str) -> Result:
    text = "".join(f"{answer}\n" for answer in answers)
    return CliRunner().invoke(app, ["init", str(folder)], input=text)


def test_an_answer_that_is_none_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    done = answered(
        tmp_path / "node",
        *("betanet", "testnet"),
        *("sepolia", "", "eip155:7357"),
        *("ftp://rpc.example", "http://127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:2"),
        *("0x12", f"eip155:1:{ACCOUNT}", f"eip155:7357:{ACCOUNT}"),
    )
    assert done.exit_code == 0, done.output
    for reason in (
        "betanet: it is devnet, testnet or mainnet",
        "'sepolia' is not a CAIP-2 chain id",
        "must be a URL that begins with http or https",
        "has an endpoint twice",
        "'0x12' is not a CAIP-10 account id",
        "hub is on eip155:1, and the chain is eip155:7357",
    ):
        assert done.stderr.count(reason) == 1, reason
    assert "31337" not in done.stderr  # a devnet's chain is no default of a testnet
    written = (tmp_path / "node" / "vagus.toml").read_text()
    assert f'hub = "eip155:7357:{ACCOUNT}"' in written
    assert "http://127.0.0.1:2" in written


def test_a_devnet_takes_no_public_chain_and_has_defaults(tmp_path: Path) -> None:
    done = answered(tmp_path, "", "eip155:1", "", "", f"eip155:31337:{ACCOUNT}")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("is Ethereum, a public chain") == 1
    assert 'rpc = "http://127.0.0.1:8545"' in (tmp_path / "vagus.toml").read_text()


COSMOS_HUB = "cosmos:vagus-1:wasm14hj2tavq8fpesdwxxcu44rty3hh90vhujrvcmstl4zr3txmfvw9s0phg4d"
SOLANA = "solana:9DMG4YkYHzsEmwef3mYvFJfEMzcn4UPW"


def test_a_chain_of_cosmos_is_asked_for_its_coin(tmp_path: Path) -> None:
    done = answered(
        tmp_path,
        "testnet",
        "cosmos:vagus-1",
        "http://127.0.0.1:1",
        "http://127.0.0.1:2",
        "no coin!",
        "ujuno",
        "cosmos:vagus-1:juno1x",
        COSMOS_HUB,
    )
    assert done.exit_code == 0, done.output
    assert done.stderr.count("fee_denom") == 1
    written = tomllib.loads((tmp_path / "vagus.toml").read_text())
    assert written["chains"][0]["fee_denom"] == "ujuno"
    assert "finality" not in written["chains"][0]


async def test_one_key_has_an_address_on_each_chain(tmp_path: Path) -> None:
    """Which, cosmpy and solders say."""
    hub = str(Keypair().pubkey())
    chains = [
        f"id=eip155:31337,hub=eip155:31337:{ACCOUNT},rpc=http://127.0.0.1:1",
        f"id={SOLANA},hub={SOLANA}:{hub},rpc=http://127.0.0.1:1",
        f"id=cosmos:vagus-1,hub={COSMOS_HUB},rpc=http://127.0.0.1:1,fee_denom=stake",
    ]
    code, out, err = await vagus(
        "init", tmp_path, *(each for c in chains for each in ("--chain", c))
    )
    assert (code, out) == (0, ""), err
    password = (tmp_path / "keys/password").read_text().strip()
    secret = bytes(EthAccount.decrypt((tmp_path / "keys/account.json").read_text(), password))
    addresses = {
        "eip155:31337": EthAccount.from_key(secret).address.lower(),
        SOLANA: str(Keypair.from_seed(secret).pubkey()),
        "cosmos:vagus-1": str(LocalWallet(PrivateKey(secret), prefix="wasm").address()),
    }
    settings = load(tmp_path / "vagus.toml")
    assert settings.committee.members[0].addresses == addresses
    assert settings.committee.rates == {SOLANA: 10**9, "cosmos:vagus-1": 10**6}
    assert [each.address for each in settings.adapters()] == list(addresses.values())
    for chain, address in addresses.items():
        assert f"fund     {address} on {chain}\n" in err


async def test_a_chain_of_cosmos_without_its_coin_is_refused_before_a_key_is_made(
    tmp_path: Path,
) -> None:
    chain = f"id=cosmos:vagus-1,hub={COSMOS_HUB},rpc=http://127.0.0.1:1"
    code, _, err = await vagus("init", tmp_path / "node", "--chain", chain)
    assert code == 2
    assert "chain cosmos:vagus-1: fee_denom is missing" in err
    assert not (tmp_path / "node").exists()


async def test_a_key_that_this_kind_of_chain_has_not_is_refused(tmp_path: Path) -> None:
    chain = f"id=eip155:31337,hub=eip155:31337:{ACCOUNT},rpc=http://127.0.0.1:1,fee_denom=x"
    code, _, err = await vagus("init", tmp_path / "node", "--chain", chain)
    assert (code, "unknown: fee_denom" in err) == (2, True)


def test_an_end_of_the_answers_says_what_to_give_and_keeps_the_keys(tmp_path: Path) -> None:
    done = answered(tmp_path, "devnet", "eip155:31337")
    assert isinstance(done.exception, ConfigError)
    assert "give --chain id=…" in str(done.exception)
    assert (tmp_path / "keys" / "signer.json").exists()
    assert not (tmp_path / "vagus.toml").exists()


@pytest.mark.parametrize("given", [(), ("--profile", "testnet")])
async def test_ctrl_c_leaves_with_130(tmp_path: Path, given: tuple[str, ...]) -> None:
    primary, terminal = os.openpty()
    command = (sys.executable, "-m", "vagus.daemon", "init", str(tmp_path / "node"), *given)
    # Shells have what they start in the background ignore Ctrl-C, and the tests may be such a one.
    process = subprocess.Popen(
        ("env", "--default-signal=INT", *command), stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    try:
        said = b""
        while b"Chain (CAIP-2" not in said and b"Profile [" not in said:
            said += os.read(primary, 4096)
        state = Path(f"/proc/{process.pid}/stat")
        while state.read_text().rpartition(") ")[2][0] != "S":
            pass  # it says its question, and then sleeps until the answer
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
        os.close(primary)
