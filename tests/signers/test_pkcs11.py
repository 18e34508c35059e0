"""A key on a real PKCS#11 token: it signs what the token was handed, and its PIN shows nowhere."""

import asyncio
import itertools
import logging
import traceback
from pathlib import Path

import pytest
from coincurve import PublicKey
from eth_keys.datatypes import PublicKey as EthPublicKey
from eth_keys.datatypes import Signature as EthSignature
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from support.softhsm import PIN, SoftHsm
from vagus.adapters.errors import WalletError
from vagus.adapters.signers import Pkcs11Key, Scheme, Signer
from vagus.adapters.signers.pkcs11 import Pkcs11Signer
from vagus.protocol import Retry, keccak256

HALF = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_names = itertools.count()


def pair(hsm: SoftHsm, token: str = "vagus", curve: str = "secp256k1") -> tuple[Pkcs11Key, bytes]:
    """A new key pair: what a config has of it, and its point as the token has it."""
    label = f"pair {next(_names)}"
    return hsm.key(token, label), hsm.pair(token, label, curve)


async def made(key: Pkcs11Key, scheme: Scheme = Scheme.SECP256K1) -> Signer:
    return await asyncio.to_thread(Pkcs11Signer, key, scheme)


async def test_a_digest_is_signed_with_the_low_s_and_recovered_by_eth_keys(hsm: SoftHsm) -> None:
    key, point = pair(hsm)
    signer = await made(key)
    theirs = EthPublicKey(point[3:])
    assert signer.address == theirs.to_canonical_address()
    assert signer.public_key == theirs.to_compressed_bytes()
    for number in range(24):
        digest = keccak256(number.to_bytes(32))
        signature = await signer.sign_digest(digest)
        assert int.from_bytes(signature[32:64]) <= HALF
        found = EthSignature(signature[:64] + bytes((signature[64] - 27,)))
        assert found.recover_public_key_from_msg_hash(digest) == theirs


@pytest.mark.parametrize("curve", ["ed25519", "edwards25519"])
async def test_a_message_is_signed_with_ed25519_as_nacl_verifies_it(
    hsm: SoftHsm, curve: str
) -> None:
    key, point = pair(hsm, curve=curve)
    signer = await made(key, Scheme.ED25519)
    assert signer.public_key == point[2:]
    for message in (b"", b"short", bytes(1_200)):
        signature = await signer.sign_message(message)
        VerifyKey(signer.public_key).verify(message, signature)
        with pytest.raises(BadSignatureError):
            VerifyKey(signer.public_key).verify(message + b"!", signature)


async def test_many_sign_at_once_with_keys_of_two_tokens(hsm: SoftHsm) -> None:
    hsm.token("second")
    signers = [await made(pair(hsm)[0]), await made(pair(hsm, "second")[0])]
    digest = keccak256(b"at once")
    found = await asyncio.gather(*(signers[at % 2].sign_digest(digest) for at in range(64)))
    recovered = [
        PublicKey.from_signature_and_message(
            each[:64] + bytes((each[64] - 27,)), digest, hasher=None
        ).format()
        for each in found
    ]
    assert recovered == [signers[at % 2].public_key for at in range(64)]


async def test_a_key_of_one_scheme_signs_nothing_of_the_other(hsm: SoftHsm) -> None:
    key, _ = pair(hsm)
    with pytest.raises(TypeError, match="key of secp256k1, and ed25519 is wanted"):
        await (await made(key)).sign_message(b"a message")
    with pytest.raises(WalletError, match=r"no such key pair|another curve: ed25519 is wanted"):
        await made(key, Scheme.ED25519)


async def test_a_token_that_went_away_is_waited_for_and_found_again(hsm: SoftHsm) -> None:
    hsm.token("comes and goes")
    here, there = await made(pair(hsm)[0]), await made(pair(hsm, "comes and goes")[0])
    digest = keccak256(b"again")
    before = await there.sign_digest(digest)
    gone = hsm.folder / "gone"
    hsm.tokens.rename(gone)
    try:
        for signer in (there, here, there):
            with pytest.raises(Retry, match=r"of PKCS#11 token .* cannot be used") as raised:
                await signer.sign_digest(digest)
            assert raised.value.after > 0
    finally:
        gone.rename(hsm.tokens)
    after = [await signer.sign_digest(digest) for signer in (there, here, there)]
    assert {len(each) for each in (before, *after)} == {65}


async def test_a_node_whose_token_is_missing_at_the_start_may_start_later(hsm: SoftHsm) -> None:
    key = hsm.key("not plugged in", "any")
    with pytest.raises(Retry, match="key 'any' of PKCS#11 token 'not plugged in' cannot be used"):
        await made(key)
    hsm.token("not plugged in")
    hsm.pair("not plugged in", "any")
    assert len(await (await made(key)).sign_digest(bytes(32))) == 65


async def test_a_wrong_pin_is_told_and_never_tried_again(hsm: SoftHsm, tmp_path: Path) -> None:
    hsm.token("locks itself")
    hsm.pair("locks itself", "any")
    pin = tmp_path / "pin"
    pin.write_text("wrong-pin\n")
    pin.chmod(0o600)
    key = hsm.key("locks itself", "any").model_copy(update={"pin_file": pin})
    for _ in range(12):
        with pytest.raises(WalletError, match="does not take the PIN") as raised:
            await made(key)
    assert "wrong-pin" not in str(raised.value)
    assert len(await (await made(hsm.key("locks itself", "any"))).sign_digest(bytes(32))) == 65


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": "nobody's"}, "no such key pair: store a key pair of secp256k1"),
        ({"module": Path("/nowhere/libp11.so")}, "is no file: name the vendor's PKCS#11 library"),
        ({"pin_file": Path("/nowhere/pin")}, "pin cannot be read"),
    ],
)
async def test_what_a_person_has_to_mend_is_said(
    hsm: SoftHsm, changes: dict[str, object], words: str
) -> None:
    key = hsm.key("vagus", "any").model_copy(update=changes)
    with pytest.raises(WalletError, match=words):
        await made(key)


async def test_a_pin_file_that_others_can_read_is_refused(hsm: SoftHsm, tmp_path: Path) -> None:
    pin = tmp_path / "open"
    pin.write_text(PIN)
    pin.chmod(0o644)
    with pytest.raises(WalletError, match="others can read it: run chmod 600"):
        await made(hsm.key("vagus", "any").model_copy(update={"pin_file": pin}))


async def test_a_key_on_another_curve_is_refused(hsm: SoftHsm) -> None:
    with pytest.raises(WalletError, match="is on another curve: secp256k1 is wanted here"):
        await made(pair(hsm, curve="secp256r1")[0])


async def test_the_pin_is_in_no_log_traceback_or_process_list(
    hsm: SoftHsm, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hsm.token("quiet")
    key, _ = pair(hsm, "quiet")
    signer = await made(key)
    gone = hsm.folder / "gone"
    hsm.tokens.rename(gone)
    shown: list[str] = []
    try:
        for attempt in (signer.sign_digest(bytes(32)), made(hsm.key("quiet", "other"))):
            try:
                await attempt
            except (Retry, WalletError) as error:
                told = traceback.TracebackException.from_exception(error, capture_locals=True)
                shown.append("".join(told.format()))
    finally:
        gone.rename(hsm.tokens)
    assert len(shown) == 2
    shown += [caplog.text, repr(signer), repr(key), Path("/proc/self/cmdline").read_text()]
    shown.append(Path("/proc/self/environ").read_text())
    assert [text for text in shown if PIN in text] == []
