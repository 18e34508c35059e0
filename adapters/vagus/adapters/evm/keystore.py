"""Encrypted keys on disk: version 3 of the Web3 Secret Storage definition, which every wallet reads.

A file that anyone but its owner can read is refused: a key that may have leaked is not used.
Nothing here puts a password or a key into a message, and no frame that raises holds one, so that
even a traceback that prints local variables shows none.
"""

import contextlib
import os
import secrets
import stat
import struct
import sys
from pathlib import Path
from typing import Any

import msgspec
from coincurve import PrivateKey

from vagus.adapters.errors import NoFileError, WalletError
from vagus.protocol import address_of

__all__ = [
    "create_keystore",
    "keystore_address",
    "load_keystore",
    "read_password",
    "write_secret",
]

# py_ecc, which eth_keyfile brings and web3 too, lets Python recurse 100,000 times, deeper than the C
# stack is: a server's JSON nested as deep would end the process instead of being an error. It does so
# once, when it is imported first: here. Its curves, half a second of arithmetic, wait for a keystore.
with contextlib.suppress(ImportError):
    import py_ecc  # noqa: F401 - for what its import does
sys.setrecursionlimit(min(sys.getrecursionlimit(), 1000))

SCRYPT_N = 1 << 18
"""scrypt's cost of a keystore: a second and 256 MB to open. A devnet's keys may do with less."""

_MAX_FILE = 65_536
_NO_KEYSTORE = "name one that `vagus keys new` or `vagus keys import` has made"
_ACL_OWNER, _ACL_USER, _ACL_MASK = 0x01, 0x02, 0x10


def create_keystore(
    path: Path, password: str, key: PrivateKey | None = None, cost: int = SCRYPT_N
) -> bytes:
    """Write a key (a new one by default) as an encrypted file of mode 0600; its 20-byte address.

    The folder is made with mode 0700 if it is missing. Raises `WalletError` if the file exists.
    """
    from eth_keyfile.keyfile import create_keyfile_json  # noqa: PLC0415 - py_ecc's curves

    if not password:
        raise WalletError("an empty password protects no key", "give one that is hard to guess")
    key = key or PrivateKey(secrets.token_bytes(32))
    document = create_keyfile_json(
        key.secret, password.encode(), version=3, kdf="scrypt", iterations=cost
    )
    password = ""
    write_secret(path, msgspec.json.encode(document))
    return address_of(key)


def load_keystore(path: Path, password: str) -> PrivateKey:
    """Open an encrypted key. Raises `WalletError`, which names the file and what to do."""
    document = _document(path)
    key, fault = _open(path, document, password.encode())
    password = ""
    if key is None:
        raise fault
    return key


def keystore_address(path: Path) -> bytes:
    """Return the 20-byte address that a keystore names in the clear, which nothing proves.

    Raises `WalletError`, also for one that names none: the definition leaves it out.
    """
    try:
        address = bytes.fromhex(_document(path)["address"].lower().removeprefix("0x"))
    except (KeyError, AttributeError, ValueError):
        address = b""
    if len(address) != 20:
        raise WalletError(f"{path} names no address", _NO_KEYSTORE)
    return address


def read_password(path: Path) -> str:
    """Read a password file: one line, guarded like a key."""
    password = _read_guarded(path).decode("utf-8", errors="replace").rstrip("\r\n")
    if password:
        return password
    raise WalletError(f"{path} is empty", "write the keystore's password into it")


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file of mode 0600 at once and for good; never over an existing one."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _make_folder(path.parent)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        # A link, unlike a rename, never replaces: two that create at once cannot lose a key.
        os.link(scratch, path)
        _sync_folder(path.parent)
    except FileExistsError:
        raise WalletError(
            f"{path} exists already", "a key is never written over: name a new file"
        ) from None
    except OSError as error:
        raise WalletError(
            f"{path} cannot be written ({error.strerror})",
            f"name a folder that user {os.geteuid()} can write to",
        ) from None
    finally:
        # Where the folder is none, there is nothing to remove.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            scratch.unlink()


def _make_folder(folder: Path) -> None:
    """Make a folder of keys (0700) where it is missing."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        what = "a link to nothing" if not folder.exists() else "no folder"
        raise WalletError(f"{folder} is {what}", "remove it, or name another folder") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _document(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(_read_guarded(path), type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise WalletError(f"{path} is no JSON keystore (version 3)", _NO_KEYSTORE) from None


def _open(
    path: Path, document: dict[str, Any], password: bytes
) -> tuple[PrivateKey | None, WalletError]:
    """The key, or what is wrong: not raised here, since that would drag this frame along."""
    from eth_keyfile.keyfile import decode_keyfile_json  # noqa: PLC0415 - py_ecc's curves

    fault = WalletError(f"{path} is no keystore of version 3", _NO_KEYSTORE)
    try:
        return PrivateKey(decode_keyfile_json(document, password)), fault
    except ValueError as error:
        if "MAC" in str(error):
            fault = WalletError(
                f"wrong password for {path}",
                "name the file with the password that this keystore was made with",
            )
        return None, fault
    except (KeyError, TypeError, AttributeError, NotImplementedError, OverflowError, MemoryError):
        return None, fault


def _shared(descriptor: int, mode: int) -> bool:
    """Whether anyone but root, the owner and this process' user may open a file.

    systemd hands a credential to a unit's user by an access control list: the list's mask then
    shows as the mode's group bits, and says nothing of a group. The list is read as Linux stores it
    (uapi/linux/posix_acl_xattr.h): a version, then entries of tag, permissions and id.
    """
    if mode & 0o007:
        return True
    try:
        entries = os.getxattr(descriptor, "system.posix_acl_access")[4:]
    except OSError:
        return True
    return any(
        permissions and not (tag == _ACL_USER and who in (0, os.geteuid()))
        for tag, permissions, who in struct.iter_unpack("<HHI", entries)
        if tag not in (_ACL_OWNER, _ACL_MASK)
    )


def _read_guarded(path: Path) -> bytes:
    """Read a file that its owner alone may read, checked on the open file and not on its name."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise WalletError(f"{path} is no regular file", "name the file itself")
            # systemd's credentials may belong to root.
            if found.st_uid not in (me := os.geteuid(), 0):
                # Root is told no chown: the file may be a node's, which could not read it then.
                or_take = f"; or, if it is user {me}'s, as root: chown {me} {path}" if me else ""
                raise WalletError(
                    f"{path} belongs to user {found.st_uid}", f"run as that user{or_take}"
                )
            if found.st_mode & 0o077 and _shared(file.fileno(), found.st_mode):
                raise WalletError(
                    f"{path} has mode {stat.S_IMODE(found.st_mode):04o}, so others can read it",
                    f"run chmod 600 {path}",
                )
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        fault = f"{path} cannot be read ({error.strerror})"
        if isinstance(error, FileNotFoundError):
            raise NoFileError(fault, "put it there, or name where it is") from None
        advice = f"let user {os.geteuid()} read it, or run as the user who may"
        raise WalletError(fault, advice) from None
    if len(data) > _MAX_FILE:
        raise WalletError(
            f"{path} is over {_MAX_FILE} bytes", "no key or password file is: name another"
        )
    return data
