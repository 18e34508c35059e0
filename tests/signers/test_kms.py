"""A key in AWS KMS, through botocore itself and a server of the tests."""

import asyncio
import logging
import traceback
from pathlib import Path

import pytest
from coincurve import PrivateKey
from eth_account import Account

from support.kms_server import KmsServer
from vagus.adapters.errors import WalletError
from vagus.adapters.signers import KmsKey, Scheme, Signer
from vagus.adapters.signers.kms import AT_ONCE, KmsSigner
from vagus.protocol import Retry, keccak256

from .conftest import SECRET

HALF = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
KEY = PrivateKey(b"\x17" * 32)


async def made(kms: KmsServer, name: str = "alias/vagus") -> Signer:
    kms.keys.setdefault("alias/vagus", KEY)
    return await asyncio.to_thread(KmsSigner, kms.key(name))


async def test_a_digest_is_signed_as_a_digest_and_recovered_by_eth_account(kms: KmsServer) -> None:
    signer = await made(kms)
    theirs = Account.from_key(KEY.secret)
    assert signer.address == bytes.fromhex(theirs.address[2:])
    for number in range(8):
        digest = keccak256(number.to_bytes(32))
        signature = await signer.sign_digest(digest)
        assert int.from_bytes(signature[32:64]) <= HALF
        assert Account._recover_hash(digest, signature=signature) == theirs.address
    asked = [each["operation"] for each in kms.requests]
    assert asked == ["GetPublicKey"] + ["Sign"] * 8


async def test_so_many_are_under_way_at_once_and_no_more(kms: KmsServer) -> None:
    signer = await made(kms)
    found = await asyncio.gather(*(signer.sign_digest(keccak256(b"x")) for _ in range(40)))
    assert len(found) == 40
    assert kms.most_at_once <= AT_ONCE


@pytest.mark.parametrize(
    ("code", "words", "least"),
    [
        ("ThrottlingException", "too many requests", 1),
        ("KMSInternalException", "KMSInternalException: some words", 1),
        ("AccessDeniedException", "AccessDeniedException: some words", 30),
        ("DisabledException", "DisabledException: some words", 30),
    ],
)
async def test_a_fault_is_a_retry_in_words_and_is_asked_once(
    kms: KmsServer, code: str, words: str, least: float
) -> None:
    signer = await made(kms)
    kms.fault, before = (code, "some words"), len(kms.requests)
    with pytest.raises(Retry, match=f"KMS key alias/vagus in eu-central-1: {words}") as raised:
        await signer.sign_digest(bytes(32))
    assert raised.value.after >= least
    assert len(kms.requests) == before + 1
    kms.fault = None
    assert len(await signer.sign_digest(bytes(32))) == 65


async def test_a_kms_that_does_not_answer_is_asked_again_later(kms: KmsServer) -> None:
    signer = await made(kms)
    key = kms.key("alias/vagus")
    away = KmsServer()
    async with away.serving():
        away.keys = kms.keys
        other = await asyncio.to_thread(KmsSigner, away.key("alias/vagus"))
    with pytest.raises(Retry, match="Could not connect"):
        await other.sign_digest(bytes(32))
    with pytest.raises(Retry, match="Could not connect"):
        await asyncio.to_thread(KmsSigner, away.key("alias/vagus"))
    assert key.endpoint != away.key("x").endpoint
    async with away.serving():
        assert len(await other.sign_digest(bytes(32))) == 65
    assert len(await signer.sign_digest(bytes(32))) == 65


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x30\x00",
        bytes.fromhex("3006020101020101") + b"!",
        bytes.fromhex("3006020101020101"),
        bytes.fromhex("30060201ff0201ff"),
        bytes.fromhex("30440220") + b"\x7f" * 32 + bytes.fromhex("0220") + b"\x01" * 32,
        bytes(200),
    ],
)
async def test_what_is_no_signature_of_the_key_is_never_passed_on(
    kms: KmsServer, signature: bytes
) -> None:
    signer = await made(kms)
    kms.signature = signature or b"\0"
    with pytest.raises(Retry, match="what came back is no signature"):
        await signer.sign_digest(bytes(32))


async def test_a_signature_by_another_key_is_never_passed_on(kms: KmsServer) -> None:
    signer = await made(kms)
    kms.keys["alias/vagus"] = PrivateKey(b"\x18" * 32)
    with pytest.raises(Retry, match="what came back is no signature of its key"):
        await signer.sign_digest(bytes(32))


async def test_what_a_person_has_to_mend_ends_the_start(kms: KmsServer) -> None:
    with pytest.raises(WalletError, match="NotFoundException: Key 'alias/other' does not exist"):
        await made(kms, "alias/other")
    kms.spec = "ECC_NIST_P256"
    with pytest.raises(WalletError, match="is of ECC_NIST_P256: make one of ECC_SECG_P256K1"):
        await made(kms)


async def test_without_credentials_the_start_ends(
    kms: KmsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(WalletError, match="there are no AWS credentials here"):
        await made(kms)


async def test_a_key_of_kms_signs_no_message_of_solana(kms: KmsServer) -> None:
    signer = await made(kms)
    assert signer.scheme is Scheme.SECP256K1
    with pytest.raises(TypeError, match="ed25519 is wanted"):
        await signer.sign_message(b"a message")


@pytest.mark.parametrize("endpoint", ["ftp://kms.example", "https://user:pass@kms.example", "kms"])
def test_an_endpoint_is_a_plain_url(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint|must be a URL") as raised:
        KmsKey(key="k", region="eu-central-1", endpoint=endpoint)
    assert "user:pass" not in str(raised.value)


async def test_credentials_are_in_no_log_traceback_or_request(
    kms: KmsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signer = await made(kms)
    kms.fault = ("AccessDeniedException", "no")
    shown: list[str] = []
    for attempt in (signer.sign_digest(bytes(32)), made(kms, "alias/other")):
        try:
            await attempt
        except (Retry, WalletError) as error:
            told = traceback.TracebackException.from_exception(error, capture_locals=True)
            shown.append("".join(told.format()))
    assert len(shown) == 2
    shown += [caplog.text, repr(signer), str(kms.headers), Path("/proc/self/cmdline").read_text()]
    assert [text for text in shown if SECRET in text] == []
