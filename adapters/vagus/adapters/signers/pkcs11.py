"""A key on a PKCS#11 token. Needs the extra `pkcs11`.

Whatever a vendor's library does happens in its one thread. A call that meets a token which went away raises
Retry, and the next one looks for the token anew.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, NamedTuple

from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error
from pkcs11 import exceptions as faults
from typing_extensions import override

from vagus.adapters.errors import WalletError, printable
from vagus.adapters.signers.base import Scheme, Signer
from vagus.adapters.signers.token import token_of
from vagus.protocol import Retry, VagusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vagus.adapters.signers.config import Pkcs11Key

__all__ = ["Pkcs11Signer"]

OPEN_SECONDS = 30.0
ANSWER_SECONDS = 10.0
RETRY_SECONDS = 5.0


class _Kind(NamedTuple):
    """How a token knows a scheme: `parameters` in DER, `point` without its DER octet string's head."""

    key_type: KeyType
    mechanism: Mechanism
    parameters: frozenset[bytes]
    point: int


_KINDS = {
    Scheme.SECP256K1: _Kind(
        KeyType.EC, Mechanism.ECDSA, frozenset({bytes.fromhex("06052b8104000a")}), 65
    ),
    # As its object identifier (RFC 8410) or by its name, as PKCS #11 v3.0 has it.
    Scheme.ED25519: _Kind(
        KeyType.EC_EDWARDS,
        Mechanism.EDDSA,
        frozenset({bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519"}),
        32,
    ),
}
_OCTETS = 0x04


class Pkcs11Signer(Signer):
    """A key pair of a token, whose public half is read once. Blocks while it is made.

    Raises `WalletError` for a module, token, PIN or key that is not what it is said to be, and Retry
    where the token is not there.
    """

    def __init__(self, config: Pkcs11Key, scheme: Scheme) -> None:
        self.scheme, self.where = scheme, config.where
        if not config.module.is_file():
            raise WalletError(
                f"{config.module} is no file", "name the vendor's PKCS#11 library as module"
            )
        self._token = token_of(config.module, config.token, config.pin_file)
        self._label = config.key
        read = self._token.module.worker.submit(self._read)
        try:
            self.public_key = _settled(read.result(OPEN_SECONDS))
        except TimeoutError:
            raise self._silent(OPEN_SECONDS) from None

    @override
    async def _sign(self, data: bytes) -> bytes:
        job = functools.partial(self._ask, data)
        waiting = asyncio.wrap_future(self._token.module.worker.submit(job))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await waiting
        except TimeoutError:
            raise self._silent(ANSWER_SECONDS) from None
        return _settled(answer)

    # In the module's thread

    def _ask(self, data: bytes) -> bytes | VagusError:
        kind = _KINDS[self.scheme]

        def sign() -> bytes:
            key = self._token.key(self._label, kind.key_type, ObjectClass.PRIVATE_KEY)
            return bytes(key.sign(data, mechanism=kind.mechanism))

        answer = self._tried(sign)
        # A node that runs waits until a person has mended it, and ends no intent over it.
        return Retry(str(answer), 60) if isinstance(answer, WalletError) else answer

    def _read(self) -> bytes | VagusError:
        kind = _KINDS[self.scheme]

        def read() -> bytes:
            self._token.key(self._label, kind.key_type, ObjectClass.PRIVATE_KEY)
            public = self._token.key(self._label, kind.key_type, ObjectClass.PUBLIC_KEY)
            if public[Attribute.EC_PARAMS] not in kind.parameters:
                raise WalletError(
                    f"{self.where} is on another curve", f"{self.scheme} is wanted here"
                )
            return _point(public[Attribute.EC_POINT], kind, self.where)

        return self._tried(read)

    def _tried(self, job: Callable[[], bytes]) -> bytes | VagusError:
        """Return what a job gives, or what is wrong in words: errors of the library stay here."""
        try:
            return job()
        except faults.NoSuchKey:
            advice = f"store a key pair of {self.scheme}, both halves under this label"
            return WalletError(f"{self.where}: there is no such key pair", advice)
        except faults.MultipleObjectsReturned:
            return WalletError(f"{self.where}: there are several", "give each its own label")
        except PKCS11Error as error:
            self._token.drop()
            said = printable(f"{type(error).__name__} {error}".strip())
            return Retry(f"{self.where} cannot be used: {said}", RETRY_SECONDS)
        except VagusError as error:
            return error

    def _silent(self, seconds: float) -> Retry:
        return Retry(f"{self.where} has not answered in {seconds:g} s", RETRY_SECONDS)


def _settled(answer: bytes | VagusError) -> bytes:
    if isinstance(answer, VagusError):
        raise answer
    return answer


def _point(encoded: bytes, kind: _Kind, where: str) -> bytes:
    """Return a public key as a signer has it; tokens give it in a DER octet string, some bare."""
    size = len(encoded) - 2
    point = encoded[2:] if encoded[:2] == bytes((_OCTETS, size)) else encoded
    if len(point) != kind.point:
        raise WalletError(f"{where} has a public key of {len(encoded)} bytes", "make a new pair")
    if kind.key_type is not KeyType.EC:
        return point
    if point[0] != _OCTETS:
        raise WalletError(f"{where} has a public key in an unknown form", "make a new pair")
    return bytes((2 + point[-1] % 2,)) + point[1:33]
