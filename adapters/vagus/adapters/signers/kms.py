"""A secp256k1 key in AWS KMS, through botocore. Needs the extra `kms`.

KMS signs a digest as it is (MessageType DIGEST) and answers in DER, with either s. It gives no v, which is
found by recovery. Credentials are found as the AWS CLI finds them: environment, files, the machine's role.

Source: the KMS API's GetPublicKey and Sign; RFC 5480 for the public key; SEC 1, C.5 for the signature.
"""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from coincurve import PublicKey
from typing_extensions import override

from vagus.adapters.errors import WalletError, printable
from vagus.adapters.signers.base import Scheme, Signer
from vagus.protocol import Retry

if TYPE_CHECKING:
    from vagus.adapters.signers.config import KmsKey

__all__ = ["KmsSigner"]

ANSWER_SECONDS = 10.0

AT_ONCE = 8
"""Requests under way at once: KMS counts them by the account, and not by the key."""

_CONFIG = Config(
    connect_timeout=3,
    read_timeout=5,
    max_pool_connections=AT_ONCE,
    # One place decides when something is tried again, and it is not here.
    retries={"total_max_attempts": 1},
    user_agent_extra="vagus",
)
_ALGORITHM = "ECDSA_SHA_256"
_SPEC = "ECC_SECG_P256K1"
# What is before the 65 bytes of a point in a SubjectPublicKeyInfo of secp256k1.
_HEAD = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")
_POINT = 65
_THROTTLED = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "LimitExceededException",
    }
)
# What passes by itself; all else a person has to mend.
_PASSING = frozenset({"KMSInternalException", "DependencyTimeoutException", "InternalFailure"})
_THROTTLED_SECONDS, _PASSING_SECONDS, _MENDED_SECONDS = 2.0, 5.0, 60.0


class _Unmended(Retry):
    """What passes only once a person has mended it: a node that runs waits for that."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, _MENDED_SECONDS)


class KmsSigner(Signer):
    """One key of KMS; its public key is read once. Blocks while it is made.

    Raises `WalletError` where the key, the credentials or their rights are not what they should be,
    and Retry where KMS does not answer.
    """

    scheme = Scheme.SECP256K1

    def __init__(self, config: KmsKey) -> None:
        self.where = config.where
        self._key = config.key
        try:
            self._client = botocore.session.get_session().create_client(
                "kms", config.region, endpoint_url=config.endpoint, config=_CONFIG
            )
        except BotoCoreError as error:
            advice = "see the AWS configuration of this user"
            raise WalletError(f"{self.where}: {printable(str(error))}", advice) from None
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="kms")
        answer = self._asked("get_public_key")
        if isinstance(answer, _Unmended):
            raise WalletError(answer.reason, "mend the key's policy, or name another key")
        if isinstance(answer, Retry):
            raise answer
        self.public_key = self._point(answer)

    @override
    async def _sign(self, data: bytes) -> bytes:
        ask = functools.partial(
            self._asked,
            "sign",
            Message=data,
            MessageType="DIGEST",
            SigningAlgorithm=_ALGORITHM,
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        except TimeoutError:
            said = f"no answer in {ANSWER_SECONDS:g} s"
            raise Retry(f"{self.where}: {said}", _PASSING_SECONDS) from None
        if isinstance(answer, Retry):
            raise answer
        try:
            return _compact(answer["Signature"])
        except (KeyError, TypeError, ValueError):
            raise Retry(f"{self.where}: what came back is no signature", _PASSING_SECONDS) from None

    def _asked(self, operation: str, **values: object) -> dict[str, Any] | Retry:
        """Ask KMS once; what is wrong is returned: botocore's own frames have the credentials."""
        try:
            found: dict[str, Any] = getattr(self._client, operation)(KeyId=self._key, **values)
        except ClientError as error:
            return self._meaning(error.response.get("Error", {}))
        except NoCredentialsError:
            return _Unmended(f"{self.where}: there are no AWS credentials here")
        except BotoCoreError as error:
            return Retry(f"{self.where}: {printable(str(error))}", _PASSING_SECONDS)
        return found

    def _meaning(self, error: dict[str, Any]) -> Retry:
        code = str(error.get("Code", "no code"))
        if code in _THROTTLED:
            return Retry(f"{self.where}: too many requests", _THROTTLED_SECONDS)
        words = printable(f"{code}: {error.get('Message', '')}")
        said = f"{self.where}: {words}"
        return Retry(said, _PASSING_SECONDS) if code in _PASSING else _Unmended(said)

    def _point(self, answer: dict[str, Any]) -> bytes:
        """Return the public key, compressed, of a key that signs as it is wanted here."""
        if answer.get("KeySpec") != _SPEC or _ALGORITHM not in answer.get("SigningAlgorithms", ()):
            spec = printable(str(answer.get("KeySpec")))
            raise WalletError(
                f"{self.where} is of {spec}", f"make one of {_SPEC} with the usage SIGN_VERIFY"
            )
        encoded = answer.get("PublicKey", b"")
        try:
            if encoded[: len(_HEAD)] != _HEAD or len(encoded) != len(_HEAD) + _POINT:
                raise ValueError
            return PublicKey(encoded[len(_HEAD) :]).format(compressed=True)
        except (TypeError, ValueError):
            raise Retry(
                f"{self.where}: what came back is no public key", _PASSING_SECONDS
            ) from None


def _compact(der: bytes) -> bytes:
    """Return r‖s, 64 bytes, of a DER sequence of two integers. ValueError for anything else."""
    if der[:1] != b"\x30" or der[1:2] != bytes((len(der) - 2,)):
        raise ValueError("no DER sequence")
    numbers, rest = [], der[2:]
    for _ in range(2):
        if rest[:1] != b"\x02" or not 1 <= rest[1] <= 33 or len(rest) < 2 + rest[1]:
            raise ValueError("no DER integer")
        numbers.append(int.from_bytes(rest[2 : 2 + rest[1]], signed=True))
        rest = rest[2 + rest[1] :]
    if rest:
        raise ValueError("bytes behind the signature")
    try:
        return b"".join(number.to_bytes(32) for number in numbers)
    except OverflowError:
        raise ValueError("a number that is no scalar") from None
