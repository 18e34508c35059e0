"""Every account of every instruction, replaced by another of each kind, is rejected."""

import hashlib

import pytest
from solders.instruction import AccountMeta
from solders.pubkey import Pubkey

from support.hub import word
from support.hub_solana import person
from support.solana_scene import NAMES, Scene


def by_runtime(name: str, place: int) -> bool:
    """Whether the runtime is first: a program asks for a signature that there is not."""
    return name == "register" or (name, place) == ("retry", 6)


@pytest.mark.parametrize("name", NAMES)
def test_the_call_as_it_should_be_succeeds(scene: Scene, name: str):
    assert scene.failure(name, list(scene.calls[name][0].accounts)) is None


@pytest.mark.parametrize("name", NAMES)
def test_another_account_in_any_place_is_rejected(scene: Scene, name: str):
    accounts = scene.calls[name][0].accounts
    for place, right in enumerate(accounts):
        if name == "register" and place == 0:
            continue  # the puppet's target: the hub itself
        for what, key in scene.pool.items():
            if key != right.pubkey:
                meta = AccountMeta(key, False, right.is_writable)
                failure = scene.failure(name, [*accounts[:place], meta, *accounts[place + 1 :]])
                assert failure is not None, f"{what} in place {place}"
                if not by_runtime(name, place):
                    assert scene.reason(failure), (what, place, failure)


@pytest.mark.parametrize("name", NAMES)
def test_an_account_that_does_not_sign_or_may_not_be_written_is_rejected(scene: Scene, name: str):
    accounts = scene.calls[name][0].accounts
    for place, right in enumerate(accounts):
        weaker = []
        if right.is_writable:
            weaker.append(AccountMeta(right.pubkey, right.is_signer, False))
        if right.is_signer:
            weaker.append(AccountMeta(right.pubkey, False, right.is_writable))
        for meta in weaker:
            # The same account may have two places: it is as strong as the stronger one.
            changed = [meta if each.pubkey == meta.pubkey else each for each in accounts]
            failure = scene.failure(name, changed)
            weak = (
                "account does not sign"
                if right.is_signer > meta.is_signer
                else "account not writable"
            )
            if not by_runtime(name, place):
                assert scene.reason(failure) == weak, (place, meta, failure)
            assert failure is not None


@pytest.mark.parametrize("name", NAMES)
def test_fewer_accounts_are_rejected(scene: Scene, name: str):
    accounts = list(scene.calls[name][0].accounts)
    for count in range(len(accounts)):
        failure = scene.failure(name, accounts[:count])
        if name == "register":
            assert failure is not None
        else:
            assert scene.reason(failure) == "too few accounts", (count, failure)


def made(scene: Scene) -> dict[str, tuple[str, list[bytes]]]:
    """The instructions that make an account: its name there, and its seeds."""
    hub = scene.hub
    node, alice = word(hub.node), word(hub.alice)
    fresh = hub.intent_id(hub.intent(seq=2))
    return {
        "initialize": ("config", [b"config"]),
        "request": ("intent", [b"intent", alice, len(hub.nonces).to_bytes(8, "little")]),
        "open_credit": ("credit", [b"credit", bytes(person("creditor").pubkey())]),
        "deliver": ("delivery", [b"delivery", fresh]),
        "rotate": ("next_signer_set", [b"signers", (hub.epoch + 1).to_bytes(8, "little")]),
        "stage_open": ("staging", [b"staging", node, (99).to_bytes(8, "little")]),
    }


@pytest.mark.parametrize(
    "name", ["initialize", "request", "open_credit", "deliver", "rotate", "stage_open"]
)
def test_an_account_of_the_right_seeds_at_another_bump_is_rejected(scene: Scene, name: str):
    called, seeds = made(scene)[name]
    call = scene.calls[name][0]
    places = [each["name"] for each in scene.hub.program.instructions[name]["accounts"]]
    place = places.index(called)
    right, bump = Pubkey.find_program_address(seeds, call.program_id)
    assert call.accounts[place].pubkey == right
    # Half of all bumps give an address on the curve, which no program has.
    others = [hashed(seeds, each, call.program_id) for each in range(bump)]
    tried = [key for key in others if not key.is_on_curve()]
    assert tried
    for key in tried[-3:]:
        meta = AccountMeta(key, False, True)
        accounts = [*call.accounts[:place], meta, *call.accounts[place + 1 :]]
        failure = scene.failure(name, accounts)
        assert scene.reason(failure) == "wrong account"


def hashed(seeds: list[bytes], bump: int, program: Pubkey) -> Pubkey:
    """The address of seeds and a bump, as Solana hashes it."""
    parts = [*seeds, bytes([bump]), bytes(program), b"ProgramDerivedAddress"]
    return Pubkey(hashlib.sha256(b"".join(parts)).digest())
