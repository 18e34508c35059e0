"""A call of each of the Solana hub's instructions, and an account of each kind: for tests that bend them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from support.hub import members, word
from support.hub_solana import SolanaHub, new_solana_hub, person
from support.litesvm import FailedError, LiteChain
from support.puppet import PUPPET, placed, register, registering
from support.solana_idl import build, idl

__all__ = ["NAMES", "Scene", "new_scene"]

# An end of a pause takes what a pause takes, and the view takes nothing.
NAMES = [i["name"] for i in idl()["instructions"] if i["name"] not in ("unpause", "digest")]
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
SYSTEM = Pubkey.default()
NEXT = members(3, "next")
Recorded = tuple[Instruction, tuple[str, ...]]


class RecordedError(Exception):
    """Instead of sending: the instruction that was to be sent, and who signs."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__()
        self.recorded = recorded


def recorded(hub: SolanaHub, name: str, act: Callable[[], Any]) -> Recorded:
    """The instruction of a name that an act would send; what it sends before is sent."""
    send = hub.execute
    byte = hub.program.instructions[name]["discriminator"][0]

    def execute(instructions: Any, *signers: str) -> Any:
        for each in instructions:
            if each.data[0] == byte:
                raise RecordedError((each, signers))
        return send(instructions, *signers)

    hub.execute = execute
    with pytest.raises(RecordedError) as caught:
        act()
    hub.execute = send
    return caught.value.recorded


@dataclass
class Scene:
    """A call of each instruction that succeeds, and an account of each kind to put in their places."""

    chain: LiteChain
    hub: SolanaHub
    calls: dict[str, Recorded]
    pool: dict[str, Pubkey]

    def failure(self, name: str, accounts: list[AccountMeta]) -> FailedError | None:
        """How a call fails with these accounts. Somebody else pays, and so signs and is written."""
        call, signers = self.calls[name]
        signing = {meta.pubkey for meta in accounts if meta.is_signer}
        pairs = [self.hub.people[who] for who in signers]
        changed = Instruction(call.program_id, call.data, accounts)
        pairs = [person("payer"), *(pair for pair in pairs if pair.pubkey() in signing)]
        return self.chain.attempt([changed], pairs)

    def reason(self, failure: FailedError | None) -> str | None:
        """The hub's reason for a failure, None where there is no failure or the runtime's own."""
        code = failure.code if failure else None
        return None if code is None else self.hub.program.reasons.get(code)


def new_scene() -> Scene:
    """A hub in which all has happened once."""
    chain = LiteChain()
    chain.fund(person("payer").pubkey())
    hub = new_solana_hub(chain, chain.program, members(4), 3)
    placed(chain)
    register(hub, [])
    carol = word(hub.carol)
    unsettled, settled = (hub.ask(deadline=hub.now + 61) for _ in range(2))
    hub.settle(settled, [(carol, 10)])
    over = hub.intent(deadline=hub.now + 1)
    hub.deliver(over)
    hub.at(hub.now + 8 * 86_400)
    asked, called = hub.ask(), hub.intent(callback=bytes(PUPPET))
    hub.deliver(called)
    mine, others = hub.stage(hub.node, b"1234"), hub.stage(hub.alice, b"1234")
    hub.send("offerGuardian", hub.bob, sender=hub.guardian)
    second = SolanaHub(chain, person("second").pubkey(), members(4), 3)
    chain.program(second.program.id, build("hub"), person("authority").pubkey())

    def staging(name: str, place: Pubkey, **arguments: Any) -> Callable[[], Any]:
        accounts = {"writer": hub.key(hub.node), "staging": place}
        return lambda: hub.call(name, hub.node, accounts, **arguments)

    new = hub.pda(b"staging", word(hub.node), 99)
    acts: dict[str, Callable[[], Any]] = {
        "request": hub.ask,
        "settle": lambda: hub.settle(asked, [(carol, 10)]),
        "refund": lambda: hub.refund(unsettled),
        "withdraw": lambda: hub.send("withdraw", sender=hub.carol),
        "open_credit": lambda: hub.open_credit(bytes(person("creditor").pubkey())),
        "close_intent": lambda: hub.close_intent(settled),
        "deliver": lambda: hub.deliver(hub.intent(seq=2)),
        "retry": lambda: hub.retry(called),
        "close_delivery": lambda: hub.close_delivery(over),
        "rotate": lambda: hub.rotate(NEXT, 2),
        "pause": lambda: hub.send("pause", sender=hub.guardian),
        "offer_guardian": lambda: hub.send("offerGuardian", hub.bob, sender=hub.guardian),
        "accept_guardian": lambda: hub.send("acceptGuardian", sender=hub.bob),
        "stage_open": staging("stage_open", new, id=99, size=4),
        "stage_write": staging("stage_write", mine, offset=0, bytes=b"12"),
        "stage_close": staging("stage_close", mine),
    }
    calls = {name: recorded(hub, name, act) for name, act in acts.items()}
    calls["initialize"] = recorded(second, "initialize", second.initialize)
    calls["register"] = registering(hub, []), (hub.bob,)
    requester = word(hub.alice)
    pool = {
        "the config": hub.pda(b"config"),
        "a signer set": hub.signers_of(hub.epoch),
        "an open intent": hub.place(hub.intent_id(asked), requester),
        "another open intent": hub.place(hub.intent_id(unsettled), requester),
        "a settled intent": hub.place(hub.intent_id(settled), requester),
        "a delivery": hub.pda(b"delivery", hub.intent_id(over)),
        "another delivery": hub.pda(b"delivery", hub.intent_id(called)),
        "a credit": hub.credit_of(requester),
        "another credit": hub.credit_of(carol),
        "a staging account": mine,
        "another writer's staging account": others,
        "a registry": hub.pda(b"registry", bytes(PUPPET)),
        "a consumer": PUPPET,
        "the hub": hub.program.id,
        "the system program": SYSTEM,
        "the clock": CLOCK,
        "nothing": person("nobody").pubkey(),
        "a person": hub.key(hub.authority),
    }
    return Scene(chain, hub, calls, pool | forged(chain, pool))


def forged(chain: LiteChain, pool: dict[str, Pubkey]) -> dict[str, Pubkey]:
    """The same bytes at other addresses, in accounts of another program."""
    copies = {}
    for what, key in pool.items():
        account = chain.account(key)
        if account is not None and not account.executable:
            copies[f"{what}, forged"] = copy = person(f"copy of {what}").pubkey()
            chain.svm.set_account(copy, Account(account.lamports, bytes(account.data), PUPPET))
    return copies
