"""Tokens: what the file keeps, who may read it, and what becomes of one that is revoked."""

import hashlib
import json
import os
import pwd
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.commands import vagus_beside as vagus
from vagus.daemon.cli import app
from vagus.daemon.owner import OwnerError, as_user
from vagus.daemon.tokens import (
    TokenError,
    TokenFileError,
    find_token,
    new_token,
    read_tokens,
    revoke_token,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "tokens.json"


def test_a_token_is_256_bits_behind_a_prefix_and_the_file_has_its_hash_alone(path: Path) -> None:
    token = new_token(path, "ops", ["intents:write"])
    assert re.fullmatch("vagus_[0-9a-f]{64}", token)
    text = path.read_text()
    assert token not in text
    assert token.removeprefix("vagus_") not in text
    (entry,) = json.loads(text)["tokens"]
    assert entry["hash"] == hashlib.sha256(token.encode()).hexdigest()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_token_is_found_by_its_text_and_by_nothing_near_it(path: Path) -> None:
    first, second = (new_token(path, name, ["chains:write"]) for name in ("a", "b"))
    tokens = read_tokens(path)
    assert [getattr(find_token(tokens, each), "name", "") for each in (first, second)] == ["a", "b"]
    wrong = [first[:-1], first + "0", first.upper(), first[6:], "", "vagus_" + "0" * 64]
    assert [find_token(tokens, each) for each in wrong] == [None] * len(wrong)


def test_a_revoked_token_is_gone_and_the_others_stay(path: Path) -> None:
    first, second = (new_token(path, name, ["chains:write"]) for name in ("a", "b"))
    revoke_token(path, "a")
    assert find_token(read_tokens(path), first) is None
    assert find_token(read_tokens(path), second) is not None
    with pytest.raises(TokenError, match="there is no token a; there are: b"):
        revoke_token(path, "a")


@pytest.mark.parametrize(
    ("name", "scopes", "words"),
    [
        ("", ["chains:write"], "a name is"),
        ("a b", ["chains:write"], "a name is"),
        ("a" * 65, ["chains:write"], "a name is"),
        ("a\n", ["chains:write"], "a name is"),
        ("a", [], "allows nothing"),
        ("a", ["chains:read"], "--scope chains:read: it is"),
    ],
)
def test_what_makes_no_token_is_refused_in_words(
    path: Path, name: str, scopes: list[str], words: str
) -> None:
    with pytest.raises(TokenError, match=words):
        new_token(path, name, scopes)
    assert not path.exists()


def test_a_name_is_taken_once(path: Path) -> None:
    new_token(path, "a", ["chains:write"])
    with pytest.raises(TokenError, match="revoke a"):
        new_token(path, "a", ["intents:write"])


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused_with_the_command_that_mends_it(
    path: Path, mode: int
) -> None:
    new_token(path, "a", ["chains:write"])
    path.chmod(mode)
    with pytest.raises(TokenError, match="run chmod 600"):
        read_tokens(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"tokens": 1}',
        '{"tokens": [{"name": "a"}]}',
        '{"tokens": [], "more": 1}',
        "\udcff",
        "[" * 100_000,
    ],
)
def test_a_file_that_is_something_else_is_refused(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode(errors="surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(TokenError, match="no tokens file"):
        read_tokens(path)


def test_two_processes_that_add_at_once_lose_neither(path: Path) -> None:
    code = (
        "import sys, pathlib; from vagus.daemon.tokens import new_token; "
        "[new_token(pathlib.Path(sys.argv[1]), f'{sys.argv[2]}{i}', ['chains:write']) for i in range(20)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    assert len(read_tokens(path)) == 40


CONFIG = """
[http]
tokens_file = "tokens.json"
[signer]
keystore = "k"
password_file = "p"
[[committee.members]]
signer = "0x1111111111111111111111111111111111111111"
[[chains]]
id = "eip155:1"
"""


async def test_the_command_line_makes_lists_and_revokes(tmp_path: Path) -> None:
    config = tmp_path / "vagus.toml"
    config.write_text(CONFIG)
    code, out, err = await vagus("tokens", "new", "ops", "--scope", "intents:write", "-c", config)
    assert (code, err) == (0, "keep it where only its user can read it: it is not shown again\n")
    token = out.strip()
    assert find_token(read_tokens(tmp_path / "tokens.json"), token) is not None
    code, out, _ = await vagus("tokens", "list", "--json", "-c", config)
    (shown,) = json.loads(out)["tokens"]
    assert (code, shown["name"], shown["scopes"]) == (0, "ops", ["intents:write"])
    assert set(shown) == {"name", "scopes", "created"}
    assert (await vagus("tokens", "revoke", "ops", "-c", config))[0] == 0
    code, _, err = await vagus("tokens", "revoke", "ops", "-c", config)
    assert (code, err) == (2, "vagus: there is no token ops; there are: none\n")


async def test_the_command_line_says_what_the_config_lacks(tmp_path: Path) -> None:
    config = tmp_path / "vagus.toml"
    config.write_text(CONFIG.replace('tokens_file = "tokens.json"', ""))
    code, _, err = await vagus("tokens", "list", "-c", config)
    assert code == 2
    assert 'write tokens_file = "tokens.json" under [http]' in err


NOBODY = 54_321  # a number that no user has


@pytest.fixture
def anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node's config beside its data folder, which are another user's than this root's."""
    (tmp_path / "data").mkdir()
    (tmp_path / "vagus.toml").write_text(CONFIG)
    if os.geteuid() == 0:
        for path in (tmp_path, *tmp_path.iterdir()):
            os.chown(path, NOBODY, NOBODY)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path / "vagus.toml"


@pytest.mark.parametrize(
    "command",
    [
        ("tokens", "new", "ops", "--scope", "intents:write"),
        ("tokens", "revoke", "ops"),
        ("intent", "poke", "0x" + "12" * 32),
        ("resume", "eip155:1", "--yes"),
        ("restore", "a.backup"),
    ],
)
def test_root_writes_nothing_among_the_files_of_a_node_that_another_user_runs(
    anothers: Path, command: tuple[str, ...]
) -> None:
    before = sorted(anothers.parent.rglob("*"))
    done = CliRunner().invoke(app, [*command, "--config", str(anothers)])
    assert isinstance(done.exception, OwnerError)
    assert f"{anothers.parent / 'data'} belongs to user" in str(done.exception)
    assert "run it as that user" in str(done.exception)
    assert sorted(anothers.parent.rglob("*")) == before


def test_root_is_not_told_to_take_a_nodes_file(anothers: Path) -> None:
    tokens = anothers.with_name("tokens.json")
    tokens.touch(0o600)
    os.chown(tokens, *((NOBODY, NOBODY) if os.getuid() == 0 else (-1, -1)))
    with pytest.raises(TokenFileError, match="belongs to user") as caught:
        read_tokens(tokens)
    assert caught.value.advice.startswith("run it as that user")
    assert "chown" not in caught.value.advice


def test_root_is_told_the_command_with_the_users_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda _: pwd.struct_passwd(["vagus"] * 7))
    assert as_user(999) == "run it as that user, runuser -u vagus -- vagus …"
