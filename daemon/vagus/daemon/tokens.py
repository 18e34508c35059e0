"""Bearer tokens: who may change what over HTTP.

The file holds names, scopes and hashes, and no token: whoever reads it can do nothing with it. A
token is 256 random bits, which nobody guesses however fast the hash is: SHA-256 does, where a
password would need a slow one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import stat
import time
from typing import TYPE_CHECKING

import msgspec

from vagus.daemon.credentials import located
from vagus.daemon.owner import as_user, user_name
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = [
    "SCOPES",
    "Token",
    "TokenError",
    "TokenFileError",
    "find_token",
    "new_token",
    "read_tokens",
    "revoke_token",
]

SCOPES = ("backends:write", "chains:write", "committee:write", "intents:write")
"""What a token may allow: to resume a halted chain, to poke an intent."""

# The prefix lets scanners of code and logs recognise a token that leaked.
_TOKEN = re.compile("vagus_[0-9a-f]{64}")
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_FILE = 65_536
_OTHER = "name another in http.tokens_file; `vagus tokens new` makes one that is not there"


class TokenError(VagusError):
    """The tokens file or a token's name cannot be used."""

    exit_code = 2


class TokenFileError(TokenError):
    """The tokens file cannot be used: what is wrong with it, and what to do."""

    def __init__(self, fault: str, advice: str) -> None:
        super().__init__(f"{fault}: {advice}")
        self.fault = fault
        self.advice = advice


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file keeps of a token: `hash` is the SHA-256 in hex, `created` in seconds."""

    name: str
    scopes: tuple[str, ...]
    hash: str
    created: int


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tokens: tuple[Token, ...] = ()


def new_token(path: Path, name: str, scopes: Sequence[str]) -> str:
    """Add a token to the file, which is made where it is missing; the token, seen here alone."""
    if not _NAME.fullmatch(name):
        raise TokenError(f"{name!r}: a name is 1 to 64 letters, digits, dots, dashes, underscores")
    if not scopes:
        raise TokenError(f"a token without a scope allows nothing: --scope {' or '.join(SCOPES)}")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise TokenError(f"--scope {unknown[0]}: it is {' or '.join(SCOPES)}")
    token = f"vagus_{secrets.token_hex(32)}"
    with _locked(path):
        known = read_tokens(path)
        if any(each.name == name for each in known):
            raise TokenError(f"{name} is there already: `vagus tokens revoke {name}` ends it")
        entry = Token(name, tuple(sorted(set(scopes))), _digest(token), int(time.time()))
        _write(path, (*known, entry))
    return token


def revoke_token(path: Path, name: str) -> None:
    """Take a token out of the file: the next call with it is refused."""
    with _locked(path):
        known = read_tokens(path)
        kept = tuple(each for each in known if each.name != name)
        if len(kept) == len(known):
            names = ", ".join(each.name for each in known) or "none"
            raise TokenError(f"there is no token {name}; there are: {names}")
        _write(path, kept)


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Return the file's tokens, none where it is missing. TokenFileError, CredentialError.

    The file must be the user's own (or root's) and closed to its group and others.
    """
    path = located(path)
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise TokenFileError(f"{path} is no regular file", _OTHER)
            if found.st_uid not in (me := os.geteuid(), 0):
                # Root is told no chown: the file may be a running node's, which could not read it then.
                or_take = f"; or, if it is user {me}'s, as root: chown {me} {path}" if me else ""
                raise TokenFileError(
                    f"{path} belongs to user {user_name(found.st_uid)}",
                    as_user(found.st_uid) + or_take,
                )
            if found.st_mode & 0o077:
                mode = f"{stat.S_IMODE(found.st_mode):04o}"
                raise TokenFileError(f"{path} has mode {mode}", f"run chmod 600 {path}")
            data = file.read(_MAX_FILE + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        take = f"as root, chown {os.geteuid()} {path}"
        advice = f"{take}; or name another in http.tokens_file"
        raise TokenFileError(f"{path} cannot be read ({error.strerror})", advice) from None
    if len(data) > _MAX_FILE:
        raise TokenFileError(f"{path} is over {_MAX_FILE} bytes, so no tokens file", _OTHER)
    try:
        return msgspec.json.decode(data, type=_File).tokens
    except msgspec.MsgspecError as error:
        raise TokenFileError(f"{path} is no tokens file ({error})", _OTHER) from None


def find_token(tokens: Sequence[Token], text: str) -> Token | None:
    """Return the token that a client sent, in a time that says nothing of how near it came."""
    if not _TOKEN.fullmatch(text):
        return None
    digest, found = _digest(text), None
    for each in tokens:
        if hmac.compare_digest(each.hash.encode(), digest.encode()):
            found = each
    return found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time read, change and write: two that add at once lose neither."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        advice = f"name a file in http.tokens_file that user {os.geteuid()} can write"
        raise TokenFileError(f"{path.parent} cannot be used ({error.strerror})", advice) from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, tokens: Sequence[Token]) -> None:
    """Replace the file at once: a node that reads meanwhile sees the old one or the new one."""
    data = msgspec.json.format(msgspec.json.encode(_File(tuple(tokens))), indent=2) + b"\n"
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        scratch.replace(path)
    except OSError as error:
        advice = f"let user {os.geteuid()} write it, or name another in http.tokens_file"
        raise TokenFileError(f"{path} cannot be written ({error.strerror})", advice) from None
    finally:
        scratch.unlink(missing_ok=True)
