"""`vagus init` finds what is wrong before it makes a key, and says it in one line."""

from pathlib import Path

import pytest

from support.node import vagus

ACCOUNT = "0x" + "ab" * 20
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
