"""What an attacker hands to the Solana hub, on any chain: each is rejected by name, or changes nothing.

An act ends with the transaction of the attack. Every account that a rejected transaction names is
compared, before and after: nothing may have moved but the fee that its payer owes the cluster.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from support.contracts import RevertError
from support.hub import DAY, Message, members, word
from support.hub_cases.table import Case, Cases
from support.hub_solana import SolanaHub, person, snake
from support.litesvm import LAMPORTS, FailedError, Sent
from support.puppet import PUPPET, calling, placed, register
from support.solana_idl import build

__all__ = ["ATTACKS", "tried"]

ATTACKS = Cases()
SIGNATURE = 5_000  # lamports that the cluster takes for each
SYSTEM = Pubkey.default()
SYSVAR = Pubkey.from_string("Sysvar1111111111111111111111111111111111111")
THIEF = members(1, "thief")


def tried(hub: SolanaHub, monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """Try an attack: it is rejected for its reason, the hub's or the runtime's, and nothing moves."""
    rejected = watched(hub, monkeypatch)
    if case.reason is None:
        case.act(hub)
        assert rejected == []
        return
    with pytest.raises((RevertError, FailedError)):
        case.act(hub)
    (error,) = rejected
    if error.code is None:
        assert case.reason in error.text
    else:
        assert hub.program.reasons[error.code] == case.reason


def watched(hub: SolanaHub, monkeypatch: pytest.MonkeyPatch) -> list[FailedError]:
    """Hold each rejected transaction from now on against the accounts that it names; the rejected ones."""
    send = hub.chain.send
    rejected: list[FailedError] = []

    def found(keys: Sequence[Pubkey]) -> dict[Pubkey, tuple[int, bytes, Pubkey] | None]:
        accounts = {key: hub.chain.account(key) for key in keys}
        return {key: a and (a.lamports, bytes(a.data), a.owner) for key, a in accounts.items()}

    def watching(instructions: Sequence[Instruction], signers: Sequence[Keypair]) -> Sent:
        named = {meta.pubkey for each in instructions for meta in each.accounts}
        payer = signers[0].pubkey()
        before = found([*named, payer])
        try:
            return send(instructions, signers)
        except FailedError as error:
            after = found([*named, payer])
            had, left = before.pop(payer), after.pop(payer)
            assert had is not None
            assert left is not None
            # A node that simulates first takes nothing at all.
            assert had[0] - left[0] in (0, SIGNATURE * len(set(signers)))
            assert had[1:] == left[1:]
            assert after == before
            rejected.append(error)
            raise

    monkeypatch.setattr(hub.chain, "send", watching)
    return rejected


def forged(hub: SolanaHub, key: Pubkey, changes: dict[int, bytes] | None = None) -> Pubkey:
    """A copy of an account, of another program, with other bytes in some places."""
    account = hub.chain.account(key)
    assert account
    data = bytearray(account.data)
    for at, part in (changes or {}).items():
        data[at : at + len(part)] = part
    copy = Pubkey(hashlib.sha256(b"copy of " + bytes(key)).digest())
    hub.chain.put(copy, Account(10 * LAMPORTS, bytes(data), PUPPET))
    return copy


def delivery(hub: SolanaHub, **changes: Any) -> tuple[dict[str, Pubkey], bytes, Message]:
    """The accounts and the arguments of a right delivery, and its intent."""
    intent = hub.intent(**changes)
    attestation = hub.attestation(intent)
    accounts = {
        "config": hub.pda(b"config"),
        "deliverer": hub.key(hub.node),
        "signer_set": hub.signers_of(hub.epoch),
        "delivery": hub.pda(b"delivery", hub.intent_id(intent)),
    }
    values = {
        "intent": snake(intent),
        "attestation": snake(attestation),
        "output": b"answer",
        "signatures": b"".join(hub.sign("Attestation", attestation)),
    }
    return accounts, hub.program.arguments("deliver", values), intent


def staged(hub: SolanaHub, accounts: dict[str, Pubkey], staging: Pubkey) -> Sent:
    """Deliver what is staged."""
    call = hub.program.call("deliver", accounts | {"staging": staging})
    return hub.execute([call], hub.node)


# Accounts of the wrong owner.


@ATTACKS.rejected("wrong account", "a signer set of another program, with the thief for its signer")
def _(hub: SolanaHub) -> None:
    one = {2: b"\1\1", 48: bytes.fromhex(THIEF[0].address[2:])}
    intent = hub.intent()
    attestation = hub.attestation(intent)
    accounts, _, _ = delivery(hub)
    values = {
        "intent": snake(intent),
        "attestation": snake(attestation),
        "output": b"answer",
        "signatures": b"".join(hub.sign("Attestation", attestation, THIEF)),
    }
    accounts["signer_set"] = forged(hub, hub.signers_of(hub.epoch), one)
    hub.call("deliver", hub.node, accounts, **values)


@ATTACKS.rejected(
    "wrong account", "a config of another program, in which the thief is the guardian"
)
def _(hub: SolanaHub) -> None:
    config = forged(hub, hub.pda(b"config"), {104: word(hub.bob)})
    hub.call("pause", hub.bob, {"guardian": hub.key(hub.bob), "config": config})


@ATTACKS.rejected("no credit", "a credit of another program, of which the thief is the owner")
def _(hub: SolanaHub) -> None:
    hub.ask()
    credit = forged(hub, hub.credit_of(word(hub.alice)), {8: word(hub.bob), 40: b"\xff"})
    hub.call("withdraw", hub.bob, {"owner": hub.key(hub.bob), "credit": credit})


@ATTACKS.rejected("intent not open", "an intent of another program, open again")
def _(hub: SolanaHub) -> None:
    intent = hub.ask()
    hub.settle(intent, [])
    place = hub.place(hub.intent_id(intent), intent["requester"])
    escrow = forged(hub, place, {2: b"\1", 80: (5000).to_bytes(8, "little")})
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    credit = hub.credit_of(intent["requester"])
    accounts = {"intent": escrow, "credit": credit}
    hub.call("refund", hub.bob, accounts, intent_id=hub.intent_id(intent))


# Dust at addresses where nothing is yet.


def lamports(hub: SolanaHub, key: Pubkey) -> int:
    """What an account has."""
    account = hub.chain.account(key)
    assert account
    return account.lamports


@ATTACKS.accepted("dust at the address of every account that is about to be made")
def _(hub: SolanaHub) -> None:
    answered = hub.intent()
    carol = hub.credit_of(word(hub.carol))
    for key in (
        hub.pda(b"intent", word(hub.alice), len(hub.nonces)),
        hub.credit_of(word(hub.alice)),
        carol,
        hub.pda(b"delivery", hub.intent_id(answered)),
        hub.signers_of(hub.epoch + 1),
        hub.pda(b"staging", word(hub.node), hub.staged + 1),
    ):
        hub.chain.fund(key, 10**6)
    intent = hub.ask(fee=7000)
    escrow = hub.escrow(intent)
    assert escrow
    assert escrow["amount"] == 7000
    hub.settle(intent, [(word(hub.carol), 6000)])
    assert (hub.credit(hub.carol), hub.credit(hub.alice)) == (6000, 1000)
    before, held = lamports(hub, hub.key(hub.carol)), lamports(hub, carol)
    hub.send("withdraw", sender=hub.carol)
    assert lamports(hub, hub.key(hub.carol)) == before + 6000 - SIGNATURE
    assert lamports(hub, carol) == held - 6000
    hub.deliver(answered, output=bytes(2000))
    assert hub.delivery(answered)
    hub.rotate(hub.keys[:3], 2)


# Staging.


@ATTACKS.rejected("another writer's staging", "a right delivery that somebody else staged")
def _(hub: SolanaHub) -> None:
    accounts, data, _ = delivery(hub)
    staged(hub, accounts, hub.stage(hub.alice, data))


@ATTACKS.rejected("another writer's staging", "other bytes in another writer's staging account")
def _(hub: SolanaHub) -> None:
    staging = hub.stage(hub.alice, b"1234")
    accounts = {"writer": hub.key(hub.bob), "staging": staging}
    hub.call("stage_write", hub.bob, accounts, offset=0, bytes=b"5")


@ATTACKS.rejected("another writer's staging", "the rent of another writer's staging account")
def _(hub: SolanaHub) -> None:
    staging = hub.stage(hub.alice, b"1234")
    hub.call("stage_close", hub.bob, {"writer": hub.key(hub.bob), "staging": staging})


# Callbacks.


def called(hub: SolanaHub, order: bytes, listed: list[tuple[Pubkey, bool]]) -> None:
    """Let the puppet's callback do as it is ordered, with these accounts."""
    placed(hub.chain)
    register(hub, listed)
    intent = hub.intent(callback=bytes(PUPPET))
    hub.deliver(intent, output=order)
    hub.retry(intent, order)


@ATTACKS.rejected("callback account signs", "a consumer that asks for the fee payer's rights")
def _(hub: SolanaHub) -> None:
    called(hub, b"answer", [(SYSTEM, False), (hub.key(hub.node), True)])


@ATTACKS.rejected("ReentrancyNotAllowed", "a callback that reenters")
def _(hub: SolanaHub) -> None:
    values = {"kind": 5, "hub_id": bytes(32), "message": bytes(4)}
    view = hub.program.call("digest", {}, hub.program.arguments("digest", values))
    called(hub, calling([], bytes(view.data)), [(hub.program.id, False)])


@ATTACKS.rejected("callback account of the hub", "a consumer that asks for another one's credit")
def _(hub: SolanaHub) -> None:
    hub.ask()
    called(hub, b"answer", [(hub.credit_of(word(hub.alice)), True)])


# Time and who may upgrade.


@ATTACKS.rejected("refund too early", "a clock of another time, as a sysvar would be")
def _(hub: SolanaHub) -> None:
    intent = hub.ask()
    late = hub.now + 2 * DAY
    clock = person("clock").pubkey()
    hub.chain.put(clock, Account(LAMPORTS, bytes(32) + late.to_bytes(8, "little"), SYSVAR))
    accounts = {
        "intent": hub.place(hub.intent_id(intent), intent["requester"]),
        "credit": hub.credit_of(intent["requester"]),
    }
    more = [AccountMeta(clock, False, False)]
    hub.call("refund", hub.bob, accounts, more, intent_id=hub.intent_id(intent))


@ATTACKS.rejected("wrong account", "a ProgramData that names the thief as the upgrade authority")
def _(hub: SolanaHub) -> None:
    other = SolanaHub(hub.chain, person("another hub").pubkey(), hub.keys, hub.threshold)
    hub.chain.program(other.program.id, build("hub"), other.key(other.authority))
    bob = hub.key(hub.bob)
    mine = (3).to_bytes(4, "little") + bytes(8) + b"\1" + bytes(bob) + b"code"
    data = person("program data").pubkey()
    hub.chain.put(data, Account(LAMPORTS, mine, other.program.id))
    call = other.call

    def bent(name: str, sender: str, places: dict[str, Pubkey], **arguments: Any) -> Sent:
        return call(name, sender, places | {"program_data": data}, **arguments)

    other.call = bent  # type: ignore[method-assign]
    other.initialize(authority=hub.bob)


# Signers.


def unsigned(hub: SolanaHub, name: str, place: int, accounts: dict[str, Pubkey], data: bytes = b""):
    """A call in which an account that must sign does not: bob pays."""
    call = hub.program.call(name, {"config": hub.pda(b"config")} | accounts, data)
    metas = list(call.accounts)
    metas[place] = AccountMeta(metas[place].pubkey, False, metas[place].is_writable)
    hub.execute([Instruction(call.program_id, bytes(call.data), metas)], hub.bob)


@ATTACKS.rejected("account does not sign", "a pause in the guardian's name without its signature")
def _(hub: SolanaHub) -> None:
    unsigned(hub, "pause", 0, {"guardian": hub.key(hub.guardian)})


@ATTACKS.rejected("account does not sign", "a withdrawal that its owner did not sign")
def _(hub: SolanaHub) -> None:
    hub.settle(hub.ask(), [(word(hub.carol), 10)])
    credit = hub.credit_of(word(hub.carol))
    unsigned(hub, "withdraw", 0, {"owner": hub.key(hub.carol), "credit": credit})


@ATTACKS.rejected("account does not sign", "a question in a requester's name, which bob pays for")
def _(hub: SolanaHub) -> None:
    alice, nonce = hub.key(hub.alice), len(hub.nonces)
    values = {
        "nonce": nonce,
        "agent_id": bytes(32),
        "model_digest": bytes(32),
        "min_signers": 0,
        "dest_hub": hub.id,
        "callback": bytes(32),
        "callback_gas": 0,
        "deadline": hub.now + 3600,
        "fee": 5000,
        "payload": b"question",
        "terms": b"",
    }
    accounts = {
        "payer": hub.key(hub.bob),
        "requester": alice,
        "intent": hub.pda(b"intent", bytes(alice), nonce),
        "credit": hub.credit_of(bytes(alice)),
    }
    unsigned(hub, "request", 3, accounts, hub.program.arguments("request", values))


# Bumps.


def elsewhere(hub: SolanaHub, *seeds: bytes) -> Pubkey:
    """An address of these seeds at another bump than the canonical one."""
    _, bump = Pubkey.find_program_address(list(seeds), hub.program.id)
    for other in range(bump - 1, -1, -1):
        parts = [*seeds, bytes([other]), bytes(hub.program.id), b"ProgramDerivedAddress"]
        key = Pubkey(hashlib.sha256(b"".join(parts)).digest())
        if not key.is_on_curve():
            return key
    raise AssertionError("no other bump")


@ATTACKS.rejected("wrong account", "a second credit of one owner, at another bump")
def _(hub: SolanaHub) -> None:
    owner = hub.key(hub.carol)
    credit = elsewhere(hub, b"credit", bytes(owner))
    accounts = {"payer": hub.key(hub.bob), "owner": owner, "credit": credit}
    hub.call("open_credit", hub.bob, accounts)


@ATTACKS.rejected("wrong account", "a second delivery of one intent, at another bump")
def _(hub: SolanaHub) -> None:
    accounts, data, intent = delivery(hub)
    hub.deliver(intent)
    place = elsewhere(hub, b"delivery", hub.intent_id(intent))
    staged(hub, accounts | {"delivery": place}, hub.stage(hub.node, data))


# Messages.


@ATTACKS.rejected("arguments malformed", "a message cut short in the transaction")
def _(hub: SolanaHub) -> None:
    accounts, data, _ = delivery(hub)
    call = hub.program.call("deliver", accounts, data[:300])
    hub.execute([call], hub.node)


@ATTACKS.rejected("arguments malformed", "a message cut short in the staging account")
def _(hub: SolanaHub) -> None:
    accounts, data, _ = delivery(hub)
    staged(hub, accounts, hub.stage(hub.node, data[:-1]))


@ATTACKS.rejected("fee asset unknown", "a fee that is a token and no lamports")
def _(hub: SolanaHub) -> None:
    accounts, data, _ = delivery(hub, feeAsset=bytes(person("mint").pubkey()))
    staged(hub, accounts, hub.stage(hub.node, data))
