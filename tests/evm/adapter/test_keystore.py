"""Keys on disk: who may read them, what is said when they don't open, and what is never said."""

import copy
import io
import json
import os
import pickle
import stat
import struct
import tempfile
import traceback
from pathlib import Path

import pytest
import rich.console
import rich.traceback
import structlog
from coincurve import PrivateKey
from eth_account import Account

from vagus.adapters.errors import WalletError
from vagus.adapters.evm.keystore import (
    create_keystore,
    keystore_address,
    load_keystore,
    read_password,
    write_secret,
)
from vagus.adapters.evm.wallet import Wallet
from vagus.protocol import address_of

PASSWORD = "canary-password-5f1c"
KEY = PrivateKey(bytes.fromhex("c0ffee" * 10 + "c0ff"))
LIGHT = 16  # scrypt's n: these keys protect nothing


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "node.json"
    create_keystore(path, PASSWORD, KEY, cost=LIGHT)
    return path


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.touch(0o600)
    path.write_text(PASSWORD + "\n")
    return path


def test_a_keystore_is_for_its_owner_alone(keystore: Path) -> None:
    assert stat.S_IMODE(keystore.stat().st_mode) == 0o600
    assert stat.S_IMODE(keystore.parent.stat().st_mode) == 0o700
    assert [path.name for path in keystore.parent.iterdir()] == ["node.json"]


def test_other_wallets_open_our_keystore(keystore: Path) -> None:
    assert bytes(Account.decrypt(keystore.read_text(), PASSWORD)) == KEY.secret


def test_we_open_other_wallets_keystores(tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    path.touch(0o600)
    path.write_text(json.dumps(Account.encrypt(KEY.secret, PASSWORD, kdf="pbkdf2", iterations=2)))
    assert load_keystore(path, PASSWORD).secret == KEY.secret


def test_a_new_key_is_made_and_its_address_returned(tmp_path: Path) -> None:
    made = create_keystore(tmp_path / "a.json", PASSWORD, cost=LIGHT)
    assert made == address_of(load_keystore(tmp_path / "a.json", PASSWORD))
    assert made != create_keystore(tmp_path / "b.json", PASSWORD, cost=LIGHT)


def test_a_key_is_never_written_over(keystore: Path) -> None:
    before = keystore.read_bytes()
    with pytest.raises(WalletError, match="exists already"):
        create_keystore(keystore, PASSWORD, cost=LIGHT)
    assert keystore.read_bytes() == before
    assert len(list(keystore.parent.iterdir())) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_file_that_others_can_read_is_refused_with_what_to_run(
    keystore: Path, password_file: Path, mode: int
) -> None:
    for path in (keystore, password_file):
        path.chmod(mode)
        with pytest.raises(WalletError, match=f"run chmod 600 {path}"):
            Wallet.load(keystore, password_file)
        path.chmod(0o600)
    assert Wallet.load(keystore, password_file).address == address_of(KEY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_refused(keystore: Path) -> None:
    os.chown(keystore, 12_345, 12_345)
    with pytest.raises(WalletError, match=r"belongs to user 12345: run as that user$"):
        load_keystore(keystore, PASSWORD)  # root is not told to take what a node may need


NOBODY = 65_534
OWNER, USER, GROUP, NAMED_GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
ANYBODY = 0xFFFFFFFF


def read_by_nobody(path: Path, *named: tuple[int, int, int]) -> str:
    """What a user without rights gets of a root's file of mode 0440 with an access control list."""
    path.write_text("correct horse")
    path.chmod(0o400)
    entries = [(OWNER, 4, ANYBODY), *named, (MASK, 4, ANYBODY), (OTHER, 0, ANYBODY)]
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    assert stat.S_IMODE(path.stat().st_mode) == 0o440
    os.seteuid(NOBODY)
    try:
        return read_password(path)
    except WalletError as error:
        return str(error)
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand a file on as systemd does")
def test_a_credential_that_systemd_hands_to_one_user_by_a_list_is_taken() -> None:
    # Below /tmp itself: pytest's folders are closed to others.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "password"
        group = (GROUP, 0, ANYBODY)
        assert read_by_nobody(path, (USER, 4, NOBODY), group) == "correct horse"
        others = [
            [(USER, 4, NOBODY), (USER, 4, 12_345), group],
            [(USER, 4, NOBODY), (GROUP, 4, ANYBODY)],
            [(USER, 4, NOBODY), group, (NAMED_GROUP, 4, 12_345)],
        ]
        for entries in others:
            assert "has mode 0440, so others can read it" in read_by_nobody(path, *entries)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"version": 3}',
        '{"version": 9, "crypto": {}}',
        '{"version": 3, "crypto": {"kdf": "x", "cipher": "aes-128-ctr"}}',
        "[" * 5_000,
    ],
)
def test_what_is_no_keystore_is_a_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "no.json"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(WalletError, match=r"no.json.*version 3"):
        load_keystore(path, PASSWORD)


def test_missing_oversized_empty_and_strange_files_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match=r"cannot be read \(No such file .*\): put it there"):
        load_keystore(tmp_path / "none", PASSWORD)
    with pytest.raises(WalletError, match="no regular file"):
        load_keystore(Path("/dev/null"), PASSWORD)
    big, empty = tmp_path / "big", tmp_path / "empty"
    for path, text in ((big, "x" * 70_000), (empty, "\n")):
        path.touch(0o600)
        path.write_text(text)
    with pytest.raises(WalletError, match="over 65536 bytes"):
        load_keystore(big, PASSWORD)
    with pytest.raises(WalletError, match="is empty"):
        read_password(empty)
    with pytest.raises(WalletError, match="an empty password"):
        create_keystore(tmp_path / "new", "", cost=LIGHT)


def test_an_address_is_read_without_the_password(keystore: Path, tmp_path: Path) -> None:
    assert keystore_address(keystore) == bytes.fromhex(Account.from_key(KEY.secret).address[2:])
    silent = tmp_path / "silent.json"
    silent.touch(0o600)
    for text in ("{}", '{"address": 7}', '{"address": "0x12"}', '{"address": "zz"}'):
        silent.write_text(text)
        with pytest.raises(WalletError, match="names no address"):
            keystore_address(silent)


def test_a_folder_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for folder, said in (
        ("file", "file is no folder: remove it, or name another"),
        ("file/below", "Not a directory"),
        ("link", "link is a link to nothing: remove it"),
    ):
        with pytest.raises(WalletError, match=said):
            write_secret(tmp_path / folder / "password", b"x")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "link"]


def test_a_wrong_password_is_said_without_it_in_any_traceback(keystore: Path) -> None:
    with pytest.raises(WalletError) as raised:
        load_keystore(keystore, PASSWORD + "-wrong")
    error = raised.value
    assert error.fault == f"wrong password for {keystore}"
    assert error.advice.startswith("name the file with the password")
    assert error.__context__ is None
    # The frame of this test holds the password by itself: what is looked at begins below it.
    assert error.__traceback__ is not None
    said = _everything_said(error.with_traceback(error.__traceback__.tb_next))
    assert "wrong password" in said
    assert PASSWORD not in said


def test_a_wallet_shows_its_address_and_never_its_key(keystore: Path, password_file: Path) -> None:
    wallet = Wallet.load(keystore, password_file)
    shown = [repr(wallet), str(wallet), f"{wallet}", repr([wallet]), repr(vars(type(wallet)))]
    assert repr(wallet) == f"<Wallet 0x{address_of(KEY).hex()}>"
    assert KEY.to_hex() not in "".join(shown)
    assert str(KEY.secret) not in "".join(shown)
    for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            duplicate(wallet)  # type: ignore[operator]  # each takes one object
    with pytest.raises(TypeError):
        vars(wallet)


def test_a_wallet_in_a_failing_frame_shows_no_key(keystore: Path, password_file: Path) -> None:
    wallet = Wallet.load(keystore, password_file)

    def fail(wallet: Wallet) -> None:
        raise RuntimeError(f"failing with {wallet}")

    try:
        fail(wallet)
    except RuntimeError as error:
        said = _everything_said(error)
    assert "failing with <Wallet" in said
    assert KEY.to_hex() not in said
    assert PASSWORD not in said


def _everything_said(error: BaseException) -> str:
    """What the usual ways of showing an error say of it, local variables included."""
    out = io.StringIO()
    details = (type(error), error, error.__traceback__)
    plain = traceback.TracebackException(*details, capture_locals=True)
    out.writelines(plain.format())
    pretty = rich.traceback.Traceback.from_exception(*details, show_locals=True)
    rich.console.Console(file=out, width=4_000).print(pretty)
    log = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()],
    )
    log.error("failed", exc_info=error)
    return out.getvalue()
