"""Arguments over one transaction: only their writer writes, uses and closes them."""

import pytest
from solders.pubkey import Pubkey

from support.contracts import RevertError
from support.hub import members, word
from support.hub_solana import SolanaHub, snake
from support.litesvm import LiteChain


def opened(hub: SolanaHub, who: str, place: Pubkey, number: int, size: int) -> None:
    """Open a staging account, or change its size."""
    accounts = {"writer": hub.key(who), "staging": place}
    hub.call("stage_open", who, accounts, id=number, size=size)


def written(hub: SolanaHub, who: str, place: Pubkey, offset: int, data: bytes) -> None:
    """Write into a staging account."""
    accounts = {"writer": hub.key(who), "staging": place}
    hub.call("stage_write", who, accounts, offset=offset, bytes=data)


def closed(hub: SolanaHub, who: str, place: Pubkey) -> None:
    """Close a staging account."""
    hub.call("stage_close", who, {"writer": hub.key(who), "staging": place})


def held(hub: SolanaHub, place: Pubkey) -> bytes:
    """What a staging account holds."""
    found = hub.read("Staging", place)
    assert found
    return found["rest"]


def test_parts_are_written_in_any_order(hub: SolanaHub):
    place = hub.pda(b"staging", word(hub.node), 5)
    opened(hub, hub.node, place, 5, 2000)
    data = bytes(i % 251 for i in range(2000))
    for offset in (1500, 0, 500, 1000):
        written(hub, hub.node, place, offset, data[offset : offset + 500])
    assert held(hub, place) == data
    written(hub, hub.node, place, 3, b"again")
    assert held(hub, place) == data[:3] + b"again" + data[8:]


def test_an_account_grows_by_what_an_instruction_may_add(hub: SolanaHub, chain: LiteChain):
    place = hub.pda(b"staging", word(hub.node), 5)
    opened(hub, hub.node, place, 5, 12_288)
    assert len(held(hub, place)) == 10_240 - 48
    opened(hub, hub.node, place, 5, 12_288)
    assert held(hub, place) == bytes(12_288)
    account = chain.account(place)
    assert account
    assert account.lamports == chain.svm.minimum_balance_for_rent_exemption(48 + 12_288)
    written(hub, hub.node, place, 12_000, b"x" * 288)
    opened(hub, hub.node, place, 5, 10)
    assert held(hub, place) == bytes(10)
    opened(hub, hub.node, place, 5, 12_288)
    assert held(hub, place)[10:] == bytes(10_240)


def test_bounds_of_size_and_offset(hub: SolanaHub):
    place = hub.pda(b"staging", word(hub.node), 5)
    with pytest.raises(RevertError, match="staging too long"):
        opened(hub, hub.node, place, 5, 12_289)
    opened(hub, hub.node, place, 5, 100)
    written(hub, hub.node, place, 90, b"x" * 10)
    for offset, length in ((91, 10), (100, 1), (2**32 - 1, 1)):
        with pytest.raises(RevertError, match="arguments malformed"):
            written(hub, hub.node, place, offset, b"x" * length)
    assert held(hub, place) == bytes(90) + b"x" * 10


def test_nobody_else_opens_writes_or_closes(hub: SolanaHub):
    place = hub.pda(b"staging", word(hub.node), 5)
    with pytest.raises(RevertError, match="wrong account"):
        opened(hub, hub.alice, place, 5, 100)
    opened(hub, hub.node, place, 5, 100)
    with pytest.raises(RevertError, match="another writer's staging"):
        opened(hub, hub.alice, place, 5, 200)
    with pytest.raises(RevertError, match="another writer's staging"):
        written(hub, hub.alice, place, 0, b"x")
    with pytest.raises(RevertError, match="another writer's staging"):
        closed(hub, hub.alice, place)
    assert held(hub, place) == bytes(100)


def test_closing_gives_all_lamports_back_and_the_place_can_be_opened_again(
    hub: SolanaHub, chain: LiteChain
):
    place = hub.pda(b"staging", word(hub.node), 5)
    opened(hub, hub.node, place, 5, 3000)
    before, there = chain.account(hub.key(hub.node)), chain.account(place)
    assert before
    assert there
    closed(hub, hub.node, place)
    after = chain.account(hub.key(hub.node))
    assert after
    assert after.lamports == before.lamports + there.lamports - 5000
    opened(hub, hub.node, place, 5, 10)
    assert held(hub, place) == bytes(10)


def test_a_call_takes_no_arguments_of_another_writer(hub: SolanaHub):
    """Right arguments, which somebody else staged for a delivery of their own."""
    intent = hub.intent()
    attestation = hub.attestation(intent)
    data = hub.program.arguments(
        "deliver",
        {
            "intent": snake(intent),
            "attestation": snake(attestation),
            "output": b"answer",
            "signatures": b"".join(hub.sign("Attestation", attestation)),
        },
    )
    accounts = {
        "config": hub.pda(b"config"),
        "deliverer": hub.key(hub.node),
        "signer_set": hub.signers_of(hub.epoch),
        "delivery": hub.pda(b"delivery", hub.intent_id(intent)),
    }
    others = hub.stage(hub.alice, data)
    with pytest.raises(RevertError, match="another writer's staging"):
        hub.execute([hub.program.call("deliver", accounts | {"staging": others})], hub.node)
    mine = hub.stage(hub.node, data)
    with pytest.raises(RevertError, match="arguments malformed"):
        # Both staged and inline: which of them is meant is not for the hub to choose.
        hub.execute([hub.program.call("deliver", accounts | {"staging": mine}, data)], hub.node)
    hub.execute([hub.program.call("deliver", accounts | {"staging": mine})], hub.node)
    assert hub.delivery(intent)


@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_staging_account_of_another_size_than_the_arguments_is_rejected(
    hub: SolanaHub, wrong: int
):
    intent = hub.ask()
    receipt = hub.receipt(intent, [])
    data = hub.program.arguments(
        "settle",
        {
            "receipt": snake(receipt),
            "payouts": [],
            "signatures": b"".join(hub.sign("Receipt", receipt)),
        },
    )
    staging = hub.stage(hub.node, data + b"\0" if wrong > 0 else data[:-1])
    accounts = {
        "config": hub.pda(b"config"),
        "caller": hub.key(hub.node),
        "staging": staging,
        "signer_set": hub.signers_of(hub.epoch),
        "intent": hub.place(receipt["intentId"], intent["requester"]),
        "credit": hub.credit_of(intent["requester"]),
    }
    with pytest.raises(RevertError, match="arguments malformed"):
        hub.execute([hub.program.call("settle", accounts)], hub.node)


def test_the_largest_delivery_there_can_be(hub: SolanaHub):
    """8,192 bytes of output and 32 signatures: 10,848 bytes of arguments."""
    keys = members(32, "many")
    hub.rotate(keys, 17)
    intent = hub.intent()
    attestation = hub.attestation(intent, bytes(8192))
    signatures = hub.sign("Attestation", attestation, keys)
    hub.deliver(intent, attestation, bytes(8192), signatures)
    found = hub.delivery(intent)
    assert found
    assert found["signers"] == 2**32 - 1
    assert hub.units < 1_400_000
