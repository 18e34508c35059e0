"""Who makes a hub of a program, once, and of what."""

from typing import Any

import pytest
from solders.account import Account
from solders.instruction import AccountMeta
from solders.pubkey import Pubkey

from support.contracts import RevertError
from support.hub import DAY, members
from support.hub_solana import SolanaHub, person, solana_hub_id
from support.litesvm import LAMPORTS, LOADER, LiteChain
from support.solana_idl import build

HUB = person("hub").pubkey()


@pytest.fixture
def bare(chain: LiteChain) -> SolanaHub:
    """A hub's program that is not initialized."""
    chain.program(HUB, build("hub"), person("authority").pubkey())
    return SolanaHub(chain, HUB, members(4), 3)


def test_a_hub_knows_its_id_its_settings_and_its_first_set(bare: SolanaHub):
    sent = bare.initialize(grace=7200)
    config = bare.config
    assert config["hubId"] == bare.id == solana_hub_id(bare.chain.genesis, HUB)
    assert config["genesis"] == bare.chain.genesis.encode()
    assert config["grace"] == 7200
    assert config["firstEpoch"] == config["epoch"] == bare.now
    assert config["firstSeq"] == config["nextSeq"] == (bare.now << 20) + 1
    assert config["previousUntil"] == 0
    found = bare.read("SignerSet", bare.signers_of(bare.epoch))
    assert found
    assert (found["threshold"], found["size"]) == (3, 4)
    addresses = [bytes.fromhex(key.address[2:]) for key in bare.keys]
    assert found["rest"] == b"".join(addresses)
    (rotated, first), (changed, guardian) = bare.program.events(sent.logs)
    assert (rotated, changed) == ("Rotated", "GuardianChanged")
    assert first["signers"] == addresses
    assert first["previous_until"] == 0
    assert guardian == {"previous": bytes(32), "guardian": bytes(bare.key(bare.guardian))}


@pytest.mark.parametrize("seed", range(8))
def test_the_id_is_the_hash_of_the_caip_10_id_of_any_address(chain: LiteChain, seed: int):
    program = person(f"hub {seed}").pubkey()
    chain.program(program, build("hub"), person("authority").pubkey())
    hub = SolanaHub(chain, program, members(4), 3)
    hub.initialize()
    assert hub.config["hubId"] == solana_hub_id(chain.genesis, program)


@pytest.mark.parametrize("zeros", [1, 2, 5])
def test_the_id_of_an_address_with_zeros_in_front_is_that_of_its_text(chain: LiteChain, zeros: int):
    program = Pubkey(bytes(zeros) + bytes(range(1, 33 - zeros)))
    chain.program(program, build("hub"), person("authority").pubkey())
    hub = SolanaHub(chain, program, members(4), 3)
    hub.initialize()
    assert str(program).startswith("1" * zeros)
    assert hub.config["hubId"] == solana_hub_id(chain.genesis, program)


@pytest.mark.parametrize("age", [-1, 121, -(2**62)])
def test_a_first_epoch_ahead_or_long_past_is_rejected(bare: SolanaHub, age: int):
    with pytest.raises(RevertError, match="first epoch not now"):
        bare.initialize(epoch=bare.now - age)


def forged(monkeypatch: pytest.MonkeyPatch, bare: SolanaHub, key: Pubkey) -> None:
    """Initialize with another ProgramData account."""
    call = bare.call

    def bent(name: str, sender: str, places: dict[str, Pubkey], **arguments: Any) -> Any:
        return call(name, sender, places | {"program_data": key}, **arguments)

    monkeypatch.setattr(bare, "call", bent)
    bare.initialize(authority=bare.alice)


def data_of(authority: Pubkey, kind: int = 3) -> bytes:
    """A ProgramData account's bytes."""
    return kind.to_bytes(4, "little") + bytes(8) + b"\1" + bytes(authority) + b"code"


def test_a_forged_program_data_account_is_rejected(
    bare: SolanaHub, chain: LiteChain, monkeypatch: pytest.MonkeyPatch
):
    mine = data_of(bare.key(bare.alice))
    key = person("forged").pubkey()
    for owner in (LOADER, bare.program.id, Pubkey.default()):
        chain.svm.set_account(key, Account(LAMPORTS, mine, owner))
        with monkeypatch.context() as bent, pytest.raises(RevertError, match="wrong account"):
            forged(bent, bare, key)


def test_another_programs_program_data_is_rejected(
    bare: SolanaHub, chain: LiteChain, monkeypatch: pytest.MonkeyPatch
):
    other = person("other program").pubkey()
    chain.program(other, build("consumer"), bare.key(bare.alice))
    key, _ = Pubkey.find_program_address([bytes(other)], LOADER)
    with pytest.raises(RevertError, match="wrong account"):
        forged(monkeypatch, bare, key)


def test_32_signers_fit_the_transaction(bare: SolanaHub):
    bare.keys, bare.threshold = members(32), 17
    bare.initialize()
    found = bare.read("SignerSet", bare.signers_of(bare.epoch))
    assert found
    assert len(found["rest"]) == 32 * 20


def test_a_chain_without_a_time_has_no_hub(bare: SolanaHub):
    bare.at(0)
    with pytest.raises(RevertError, match="clock unset"):
        bare.initialize()


def test_time_comes_from_the_runtime_and_not_from_an_account(hub: SolanaHub, chain: LiteChain):
    """A clock of another time is named behind all other accounts, as a sysvar would be."""
    key = person("clock").pubkey()
    late = hub.now + 2 * DAY
    clock = bytes(32) + late.to_bytes(8, "little")
    chain.svm.set_account(
        key,
        Account(LAMPORTS, clock, Pubkey.from_string("Sysvar1111111111111111111111111111111111111")),
    )
    intent = hub.ask()
    intent_id = hub.intent_id(intent)
    accounts = {
        "intent": hub.place(intent_id, intent["requester"]),
        "credit": hub.credit_of(intent["requester"]),
    }
    with pytest.raises(RevertError, match="refund too early"):
        hub.call("refund", hub.bob, accounts, [AccountMeta(key, False, False)], intent_id=intent_id)
