"""A PKCS#11 token, as a process has it: one login, one session, one thread a library.

A token has one login a process (PKCS #11 v2.40, 5.4), so all keys of a token share its session. A session that
breaks is dropped, and whoever asks next opens another.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import pkcs11
from pkcs11 import KeyType, ObjectClass, PKCS11Error
from pkcs11 import exceptions as faults

from vagus.adapters.errors import WalletError
from vagus.adapters.evm.keystore import read_password
from vagus.adapters.signers.thread import Worker

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Token", "token_of"]

# Adapters are made again in threads of their own, and no token is logged in to twice.
_finding = threading.Lock()


class _Module:
    """A vendor's library: its thread, and how often it was begun anew, which ends all sessions."""

    def __init__(self, path: Path) -> None:
        self.worker = Worker(f"pkcs11 {path.name}")
        self.begun = 0
        self._path = path

    def token(self, label: str) -> Any:
        """Find a token; where none is found the library is begun anew, since some look only then."""
        try:
            return self._library().get_token(token_label=label)
        except PKCS11Error:
            library = self._library()
            self.begun += 1
            library.reinitialize()
            return library.get_token(token_label=label)

    def _library(self) -> Any:
        return pkcs11.lib(str(self._path))


class Token:
    """A token's one session. All but `__init__` runs in the module's thread."""

    def __init__(self, module: _Module, label: str, pin_file: Path) -> None:
        self.module = module
        self.name = f"PKCS#11 token {label!r}"
        self._label = label
        self._pin_file = pin_file
        self._session: Any = None
        self._begun = -1
        self._keys: dict[tuple[str, ObjectClass], Any] = {}
        # A token locks itself after some wrong PINs: none is tried twice. What is wrong, and the advice.
        self._wrong_pin: tuple[str, str] | None = None

    def key(self, label: str, kind: KeyType, which: ObjectClass) -> Any:
        """Return one half of a key pair. Raises PKCS11Error, WalletError."""
        session = self._session
        if session is None or self._begun != self.module.begun:
            session = self._open()
        found = self._keys.get((label, which))
        if found is None:
            found = session.get_key(object_class=which, key_type=kind, label=label)
            self._keys[label, which] = found
        return found

    def drop(self) -> None:
        """Forget a session that broke; what it says while it closes tells nobody anything."""
        session, self._session = self._session, None
        self._keys.clear()
        if session is not None and self._begun == self.module.begun:
            try:
                session.close()
            except PKCS11Error:
                return

    def _open(self) -> Any:
        self.drop()
        if self._wrong_pin is not None:
            raise WalletError(*self._wrong_pin)
        token = self.module.token(self._label)
        session, self._wrong_pin = _logged_in(token, self._pin_file, self.name)
        if self._wrong_pin is not None:
            raise WalletError(*self._wrong_pin)
        self._session, self._begun = session, self.module.begun
        return session


def _logged_in(token: Any, pin_file: Path, name: str) -> tuple[Any, tuple[str, str] | None]:
    """Open a session; a PIN that is wrong is returned and not raised: this frame has it."""
    pin = read_password(pin_file)
    try:
        return token.open(user_pin=pin), None
    except faults.UserAlreadyLoggedIn:
        return token.open(), None
    except (faults.PinIncorrect, faults.PinInvalid, faults.PinLenRange):
        fault, advice = "does not take the PIN in", "correct the file and start again"
    except (faults.PinLocked, faults.PinExpired, faults.UserPinNotInitialized) as error:
        fault, advice = f"says {type(error).__name__} to the PIN in", "have the token unlocked"
    words = f"{name} {fault} {pin_file}", f"{advice}; it is not tried again, since tokens lock"
    return None, words


@functools.cache
def _module(path: Path) -> _Module:
    return _Module(path)


@functools.cache
def _token(module: Path, label: str, pin_file: Path) -> Token:
    return Token(_module(module.resolve()), label, pin_file)


def token_of(module: Path, label: str, pin_file: Path) -> Token:
    """Return the one token of this process with this label behind a library."""
    with _finding:
        return _token(module, label, pin_file)
