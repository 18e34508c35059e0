"""The hub on Solana: its calls as instructions. No I/O.

A call's arguments follow the instruction's byte in Borsh, or lie in a staging account of the caller where
they don't fit a transaction. Accounts are those of docs/hub-solana.md, in their order. Encoders raise
ValueError for what no hub would take.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from vagus.adapters.base import HubParameters, Question
from vagus.adapters.solana import codec
from vagus.adapters.solana.loader import program_data
from vagus.adapters.solana.records import STAGED_AT, Places, Registered
from vagus.protocol import (
    MAX_OUTPUT,
    MAX_PAYLOAD,
    MAX_PAYOUTS,
    MAX_SIGNERS,
    MAX_TERMS,
    ZERO32,
    Attestation,
    Intent,
    Payout,
    Receipt,
    Rotation,
)

__all__ = [
    "DELIVER",
    "DELIVERS_DELIVERY",
    "REQUEST",
    "REQUESTS_INTENT",
    "STAGED",
    "STAGE_CLOSE",
    "STAGE_OPEN",
    "STAGE_WRITE",
    "Found",
    "Order",
    "Staging",
    "call",
    "deliver",
    "open_credit",
    "refund",
    "request",
    "retry",
    "rotate",
    "settle",
    "withdraw",
]

SYSTEM = Pubkey.default()
REQUEST = bytes((1,))
REQUESTS_INTENT = 4
"""The place of the intent's account among those of `request`."""
DELIVER = bytes((7,))
STAGED, DELIVERS_DELIVERY = 1, 4
"""The places of the staging account and of the delivery's among those of `deliver`."""
STAGE_OPEN, STAGE_WRITE, STAGE_CLOSE = bytes((16,)), bytes((17,)), bytes((18,))

_INITIALIZE, _REQUEST, _SETTLE, _REFUND, _WITHDRAW, _OPEN_CREDIT = range(6)
_DELIVER, _RETRY, _ROTATE = 7, 8, 11
_SIGNATURE = 65
_GROWTH = 10_240


class Order(msgspec.Struct, frozen=True, array_like=True):
    """A call as the adapter keeps it: the instruction, its arguments, and what names its accounts.

    A request's arguments lack the nonce in front, which a lane gives. `retry` are the arguments of
    the callback that follows a delivery, empty where there is none.
    """

    kind: int
    arguments: bytes
    intent_id: bytes = b""
    callback: bytes = b""
    epoch: int = 0
    payees: tuple[bytes, ...] = ()
    retry: bytes = b""


class Found(msgspec.Struct, frozen=True, array_like=True):
    """What an order needs of the chain.

    Where its intent lies and whose it is, what a consumer has registered, and whose credit is to be
    opened first.
    """

    account: bytes = b""
    requester: bytes = b""
    registered: tuple[Registered, ...] = ()
    unopened: tuple[bytes, ...] = ()


# Orders


def request(question: Question) -> Order:
    """Encode `request`; payer and requester are one."""
    _bound("payload", question.payload, MAX_PAYLOAD)
    _bound("terms", question.terms, MAX_TERMS)
    arguments = b"".join(
        (
            question.agent_id,
            question.model_digest,
            codec.u64(question.min_signers),
            question.dest_hub,
            question.callback,
            codec.u64(question.callback_gas),
            codec.u64(question.deadline),
            codec.u64(question.fee),
            codec.byte_string(question.payload),
            codec.byte_string(question.terms),
        )
    )
    return Order(_REQUEST, arguments)


def deliver(
    intent: Intent, attestation: Attestation, output: bytes, signatures: Sequence[bytes]
) -> Order:
    """Encode `deliver`, and the callback behind it; signatures are ascending by their signers."""
    _bound("output", output, MAX_OUTPUT)
    arguments = b"".join(
        (
            codec.intent(intent),
            codec.attestation(attestation),
            codec.byte_string(output),
            _signatures(signatures),
        )
    )
    called = intent.callback != ZERO32
    return Order(
        _DELIVER,
        arguments,
        intent.id,
        intent.callback if called else b"",
        attestation.epoch,
        retry=_retry(intent, output) if called else b"",
    )


def retry(intent: Intent, output: bytes) -> Order:
    """Encode `retry`."""
    _bound("output", output, MAX_OUTPUT)
    return Order(_RETRY, _retry(intent, output), intent.id, intent.callback)


def settle(receipt: Receipt, payouts: Sequence[Payout], signatures: Sequence[bytes]) -> Order:
    """Encode `settle`; signatures are ascending by their signers."""
    _bound("payouts", payouts, MAX_PAYOUTS)
    arguments = codec.receipt(receipt) + codec.payouts(payouts) + _signatures(signatures)
    payees = tuple(each.payee for each in payouts)
    return Order(_SETTLE, arguments, receipt.intent_id, epoch=receipt.epoch, payees=payees)


def refund(intent_id: bytes) -> Order:
    """Encode `refund`."""
    return Order(_REFUND, intent_id, intent_id)


def withdraw() -> Order:
    """Encode `withdraw`."""
    return Order(_WITHDRAW, b"")


def rotate(rotation: Rotation, signers: Sequence[bytes], signatures: Sequence[bytes]) -> Order:
    """Encode `rotate`; signers are 20-byte addresses, ascending."""
    _bound("signers", signers, MAX_SIGNERS)
    arguments = codec.rotation(rotation) + codec.items(signers) + _signatures(signatures)
    return Order(_ROTATE, arguments, epoch=rotation.epoch)


def following(order: Order) -> Order | None:
    """Return the callback that follows a delivery; None where none does."""
    if not order.retry:
        return None
    return Order(_RETRY, order.retry, order.intent_id, order.callback)


def _retry(intent: Intent, output: bytes) -> bytes:
    return codec.intent(intent) + codec.byte_string(output)


def _signatures(signatures: Sequence[bytes]) -> bytes:
    _bound("signatures", signatures, MAX_SIGNERS)
    for each in signatures:
        if len(each) != _SIGNATURE:
            raise ValueError(f"a signature is {_SIGNATURE} bytes, not {len(each)}")
    return codec.byte_string(b"".join(signatures))


def _bound(name: str, items: Sequence[object], limit: int) -> None:
    if len(items) > limit:
        raise ValueError(f"{name}: {len(items)}, and the hub takes {limit} at most")


# Instructions


def arguments_of(order: Order, nonce: int) -> bytes:
    """Return an order's arguments as the hub reads them."""
    return codec.u64(nonce) + order.arguments if order.kind == _REQUEST else order.arguments


def delivers(order: Order) -> bool:
    """Whether an order delivers."""
    return order.kind == _DELIVER


def rotates(order: Order) -> bool:
    """Whether an order names the next signer set."""
    return order.kind == _ROTATE


def works_paused(order: Order) -> bool:
    """Whether a paused hub takes an order."""
    return order.kind in (_REFUND, _WITHDRAW, _ROTATE)


def needs_intent(order: Order) -> bool:
    """Whether an order's accounts are those of an intent that was asked here."""
    return order.kind in (_SETTLE, _REFUND)


def retries(order: Order) -> bool:
    """Whether an order calls back, with the accounts that a consumer has registered."""
    return order.kind == _RETRY


def call(
    places: Places, order: Order, payer: Pubkey, nonce: int, found: Found, staging: Pubkey | None
) -> Instruction:
    """Return the call of an order, its arguments inline or in a staging account."""
    hub = places.program
    arguments = b"" if staging is not None else arguments_of(order, nonce)
    staged = [_read(hub) if staging is None else _read(staging)]
    me = AccountMeta(payer, is_signer=True, is_writable=True)
    caller = AccountMeta(payer, is_signer=True, is_writable=False)
    system = _read(SYSTEM)
    match order.kind:
        case 1:
            accounts = [
                me,
                *staged,
                _write(places.config),
                caller,
                _write(places.intent(bytes(payer), nonce)),
                _write(places.credit(bytes(payer))),
                system,
            ]
        case 2:
            accounts = [caller, *staged, _read(places.config), _read(places.signers(order.epoch))]
            accounts += [_write(Pubkey(found.account)), _write(places.credit(found.requester))]
            accounts += [_write(places.credit(payee)) for payee in order.payees]
        case 3:
            accounts = [_read(places.config), _write(Pubkey(found.account))]
            accounts += [_write(places.credit(found.requester))]
        case 4:
            accounts = [me, _write(places.credit(bytes(payer)))]
        case 7:
            accounts = [me, *staged, _read(places.config), _read(places.signers(order.epoch))]
            accounts += [_write(places.delivery(order.intent_id)), system]
        case 8:
            accounts = [caller, *staged, _read(places.config)]
            accounts += [_write(places.delivery(order.intent_id))]
            accounts += [_read(places.registry(order.callback)), _read(Pubkey(order.callback))]
            accounts += [_read(places.callback_signer(order.callback))]
            accounts += [
                AccountMeta(Pubkey(key), is_signer=False, is_writable=writable)
                for key, writable in found.registered
            ]
        case 11:
            accounts = [me, *staged, _write(places.config), _read(places.signers(order.epoch - 1))]
            accounts += [_write(places.signers(order.epoch)), system]
        case _:
            raise ValueError(f"no call has the byte {order.kind}")
    return Instruction(hub, bytes((order.kind,)) + arguments, accounts)


def open_credit(places: Places, payer: Pubkey, owner: bytes) -> Instruction:
    """Return the instruction that opens an owner's credit; it does nothing where it is open."""
    accounts = [
        AccountMeta(payer, is_signer=True, is_writable=True),
        _read(Pubkey(owner)),
        _write(places.credit(owner)),
        _read(SYSTEM),
    ]
    return Instruction(places.program, bytes((_OPEN_CREDIT,)), accounts)


def initialize(
    places: Places, payer: Pubkey, genesis: bytes, parameters: HubParameters, epoch: int
) -> Instruction:
    """Return the instruction that makes a program a hub; the payer is its upgrade authority.

    `epoch` is the hub's first: the chain's time, at most two minutes old when it is included.
    """
    _bound("signers", parameters.signers, MAX_SIGNERS)
    numbers = (
        parameters.min_fee,
        parameters.min_ttl,
        parameters.max_ttl,
        parameters.grace,
        parameters.max_callback_gas,
    )
    arguments = b"".join(
        (
            bytes((_INITIALIZE,)),
            genesis,
            codec.u64(epoch),
            parameters.guardian,
            *(codec.u64(each) for each in numbers),
            parameters.roster_hash,
            codec.u64(parameters.threshold),
            codec.items(parameters.signers),
        )
    )
    accounts = [
        AccountMeta(payer, is_signer=True, is_writable=True),
        AccountMeta(payer, is_signer=True, is_writable=False),
        _read(program_data(places.program)),
        _write(places.config),
        _write(places.signers(epoch)),
        _read(SYSTEM),
    ]
    return Instruction(places.program, arguments, accounts)


class Staging:
    """The staging account of one call's arguments: its number follows from them."""

    def __init__(self, places: Places, writer: Pubkey, number: int, arguments: bytes) -> None:
        self.key = places.staging(bytes(writer), number)
        self.arguments = arguments
        self._hub = places.program
        self._number = codec.u64(number)
        self._writer = AccountMeta(writer, is_signer=True, is_writable=True)

    def open(self) -> list[Instruction]:
        """Return what makes the account: each instruction lets it grow by 10,240 bytes at most."""
        size = len(self.arguments)
        made = STAGE_OPEN + self._number + codec.u32(size)
        accounts = [self._writer, _write(self.key), _read(SYSTEM)]
        times = -(-(size + STAGED_AT) // _GROWTH)
        return [Instruction(self._hub, made, accounts)] * times

    def write(self, offset: int, data: bytes) -> Instruction:
        """Return what writes bytes at an offset."""
        written = STAGE_WRITE + codec.u32(offset) + codec.byte_string(data)
        signs = AccountMeta(self._writer.pubkey, is_signer=True, is_writable=False)
        return Instruction(self._hub, written, [signs, _write(self.key)])

    def close(self) -> Instruction:
        """Return what gives the rent back."""
        return Instruction(self._hub, STAGE_CLOSE, [self._writer, _write(self.key)])


def _read(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=False)


def _write(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=True)
