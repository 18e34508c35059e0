"""Calls and accounts as bytes, held against a client that knows the IDL and Borsh alone."""

from dataclasses import replace
from typing import Any

import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from support.solana_idl import Program
from vagus.adapters.base import Question
from vagus.adapters.solana import codec, hub
from vagus.adapters.solana.hub import Found, Order, Staging
from vagus.adapters.solana.records import (
    Places,
    Registered,
    read_config,
    read_delivery,
    read_escrow,
    read_registry,
    read_signers,
)
from vagus.protocol import Attestation, Intent, Payout, Receipt, Rotation

WORDS = st.binary(min_size=32, max_size=32)
NUMBERS = st.integers(0, 2**64 - 1)
AMOUNTS = st.integers(0, 2**256 - 1)
PROGRAM = Program(Pubkey(b"\x09" * 32))
PLACES = Places(PROGRAM.id)
PAYER = Pubkey(b"\x08" * 32)
SIGNATURES = st.lists(st.binary(min_size=65, max_size=65), max_size=3)
intents = st.builds(
    Intent,
    WORDS,
    NUMBERS,
    WORDS,
    WORDS,
    WORDS,
    WORDS,
    WORDS,
    NUMBERS,
    WORDS,
    WORDS,
    NUMBERS,
    WORDS,
    AMOUNTS,
    NUMBERS,
)
attestations = st.builds(
    Attestation, WORDS, WORDS, NUMBERS, WORDS, WORDS, WORDS, WORDS, NUMBERS, NUMBERS
)
receipts = st.builds(Receipt, WORDS, WORDS, NUMBERS, WORDS, AMOUNTS, NUMBERS, NUMBERS)
rotations = st.builds(Rotation, st.integers(1, 2**64 - 1), WORDS, NUMBERS, NUMBERS, WORDS)
payouts = st.lists(st.builds(Payout, WORDS, AMOUNTS), max_size=3)


def fields(message: Any) -> dict[str, Any]:
    """A message as the IDL has it: amounts are 32 bytes."""
    found = {name: getattr(message, name) for name in message.__slots__}
    wide = {"max_fee", "fee"} & set(found)
    return found | {name: found[name].to_bytes(32, "big") for name in wide}


def made(order: Order, nonce: int = 0, found: Found = Found()) -> Instruction:  # noqa: B008 - frozen
    return hub.call(PLACES, order, PAYER, nonce, found, None)


def expected(name: str, accounts: dict[str, Pubkey], more: Any = (), **values: Any) -> Instruction:
    return PROGRAM.call(name, accounts, PROGRAM.arguments(name, values), more)


def pda(*seeds: bytes) -> Pubkey:
    return PROGRAM.address(*seeds)


def number(value: int) -> bytes:
    return value.to_bytes(8, "little")


CONFIG = pda(b"config")


@given(intents, attestations, st.binary(max_size=100), SIGNATURES)
def test_deliver_is_as_the_idl_has_it(
    intent: Intent, attestation: Attestation, output: bytes, signatures: list[bytes]
) -> None:
    assert made(hub.deliver(intent, attestation, output, signatures)) == expected(
        "deliver",
        {
            "deliverer": PAYER,
            "config": CONFIG,
            "signer_set": pda(b"signers", number(attestation.epoch)),
            "delivery": pda(b"delivery", intent.id),
        },
        intent=fields(intent),
        attestation=fields(attestation),
        output=output,
        signatures=b"".join(signatures),
    )


@given(receipts, payouts, SIGNATURES, WORDS, WORDS)
def test_settle_is_as_the_idl_has_it(
    receipt: Receipt, paid: list[Payout], signatures: list[bytes], account: bytes, requester: bytes
) -> None:
    order = hub.settle(receipt, paid, signatures)
    assert made(order, 0, Found(account, requester)) == expected(
        "settle",
        {
            "caller": PAYER,
            "config": CONFIG,
            "signer_set": pda(b"signers", number(receipt.epoch)),
            "intent": Pubkey(account),
            "credit": pda(b"credit", requester),
        },
        [AccountMeta(pda(b"credit", each.payee), False, True) for each in paid],
        receipt=fields(receipt),
        payouts=[{"payee": each.payee, "amount": each.amount.to_bytes(32, "big")} for each in paid],
        signatures=b"".join(signatures),
    )


@given(rotations, st.lists(st.binary(min_size=20, max_size=20), max_size=4), SIGNATURES)
def test_rotate_is_as_the_idl_has_it(
    rotation: Rotation, signers: list[bytes], signatures: list[bytes]
) -> None:
    assert made(hub.rotate(rotation, signers, signatures)) == expected(
        "rotate",
        {
            "payer": PAYER,
            "config": CONFIG,
            "signer_set": pda(b"signers", number(rotation.epoch - 1)),
            "next_signer_set": pda(b"signers", number(rotation.epoch)),
        },
        rotation=fields(rotation),
        signers=signers,
        signatures=b"".join(signatures),
    )


@given(
    st.builds(
        Question,
        WORDS,
        st.binary(max_size=50),
        WORDS,
        st.binary(max_size=9),
        NUMBERS,
        WORDS,
        WORDS,
        NUMBERS,
        NUMBERS,
        NUMBERS,
    ),
    NUMBERS,
)
def test_request_is_as_the_idl_has_it(question: Question, nonce: int) -> None:
    values = {name: getattr(question, name) for name in question.__slots__}
    assert made(hub.request(question), nonce) == expected(
        "request",
        {
            "payer": PAYER,
            "config": CONFIG,
            "requester": PAYER,
            "intent": pda(b"intent", bytes(PAYER), number(nonce)),
            "credit": pda(b"credit", bytes(PAYER)),
        },
        nonce=nonce,
        **values,
    )


@given(intents, st.binary(max_size=50), st.lists(st.tuples(WORDS, st.booleans()), max_size=4))
def test_retry_is_as_the_idl_has_it(
    intent: Intent, output: bytes, listed: list[tuple[bytes, bool]]
) -> None:
    found = Found(registered=tuple(Registered(*each) for each in listed))
    assert made(hub.retry(intent, output), 0, found) == expected(
        "retry",
        {
            "caller": PAYER,
            "config": CONFIG,
            "delivery": pda(b"delivery", intent.id),
            "registry": pda(b"registry", intent.callback),
            "consumer": Pubkey(intent.callback),
            "callback_signer": pda(b"callback", intent.callback),
        },
        [AccountMeta(Pubkey(key), False, writable) for key, writable in listed],
        intent=fields(intent),
        output=output,
    )


@given(WORDS, WORDS, WORDS)
def test_refund_withdraw_and_open_credit_are_as_the_idl_has_them(
    intent_id: bytes, account: bytes, requester: bytes
) -> None:
    credit = pda(b"credit", requester)
    refund = made(hub.refund(intent_id), 0, Found(account, requester))
    places = {"config": CONFIG, "intent": Pubkey(account), "credit": credit}
    assert refund == expected("refund", places, intent_id=intent_id)
    mine = pda(b"credit", bytes(PAYER))
    assert made(hub.withdraw()) == expected("withdraw", {"owner": PAYER, "credit": mine})
    assert hub.open_credit(PLACES, PAYER, requester) == expected(
        "open_credit", {"payer": PAYER, "owner": Pubkey(requester), "credit": credit}
    )


@given(NUMBERS, st.binary(min_size=1, max_size=12_288))
def test_staging_is_as_the_idl_has_it(staging_id: int, arguments: bytes) -> None:
    staging = Staging(PLACES, PAYER, staging_id, arguments)
    key = pda(b"staging", bytes(PAYER), number(staging_id))
    accounts = {"writer": PAYER, "staging": key}
    opened = expected("stage_open", accounts, id=staging_id, size=len(arguments))
    assert staging.open() == [opened] * (1 if len(arguments) <= 10_192 else 2)
    written = expected("stage_write", accounts, offset=7, bytes=arguments[:900])
    assert staging.write(7, arguments[:900]) == written
    assert staging.close() == expected("stage_close", accounts)


@given(intents)
def test_intents_are_read_back(intent: Intent) -> None:
    assert codec.read_intent(codec.intent(intent)) == intent


PAYLOAD, TERMS = b'{"prompt":"x"}', b"{}"


def escrow(intent: Intent, payload: bytes, terms: bytes) -> bytes:
    """An open intent's account, laid out as docs/hub-solana.md has it."""
    head = bytes((3, 255, 1)) + bytes(5 + 8 + 32) + intent.id + bytes(16)
    strings = [len(each).to_bytes(4, "little") + each for each in (payload, terms)]
    return head + codec.intent(intent) + b"".join(strings)


@given(intents)
def test_an_intents_account_gives_no_other_payload_or_terms_than_its_own(intent: Intent) -> None:
    intent = replace(intent, payload_hash=keccak(PAYLOAD), terms_hash=keccak(TERMS))
    found = read_escrow(escrow(intent, PAYLOAD, TERMS), intent.origin_hub)
    assert (found.intent, found.payload, found.terms) == (intent, PAYLOAD, TERMS)
    for payload, terms, wrong in (
        (b"another", TERMS, "a payload that is not the intent's"),
        (b"", TERMS, "a payload that is not the intent's"),
        (PAYLOAD, b"another", "terms that are not the intent's"),
        (PAYLOAD, b"", "terms that are not the intent's"),
    ):
        with pytest.raises(ValueError, match=wrong):
            read_escrow(escrow(intent, payload, terms), intent.origin_hub)


READERS = {
    "config": read_config,
    "signers": read_signers,
    "escrow": lambda data: read_escrow(data, b"\x01" * 32),
    "delivery": lambda data: read_delivery(data, b"\x01" * 32),
    "registry": lambda data: read_registry(data, b"\x01" * 32),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
@given(kind=st.integers(0, 9), data=st.binary(max_size=1_000))
def test_no_bytes_but_the_hubs_are_an_account(read: Any, kind: int, data: bytes) -> None:
    """Whatever comes is a ValueError, or reads as what it says."""
    try:
        read(bytes((kind,)) + data)
    except ValueError:
        return
