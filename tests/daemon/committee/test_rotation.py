"""Proposals and approvals as documents: what is signed is what EIP-712 says, and nothing else counts."""

import asyncio
import json
from pathlib import Path

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_utils.crypto import keccak
from pydantic import ValidationError

from support.committees import (
    HUB_A,
    HUB_B,
    NOW,
    address_of,
    approval,
    hub_state,
    key_of,
    member,
    proposal,
    roster,
    typed_digest,
)
from vagus.adapters.base import Block
from vagus.adapters.signers.local import LocalKey
from vagus.daemon.committee.applying import Standing, standing
from vagus.daemon.committee.approving import approve, hubs_to_sign
from vagus.daemon.committee.changes import bound, cautions, differences, set_changes
from vagus.daemon.committee.proposing import OptionError, changed, propose
from vagus.daemon.committee.rotation import (
    WINDOW,
    HubChange,
    Proposal,
    read_approval,
    read_proposal,
    read_rotation_body,
    rotation_body,
    signatures_of,
)
from vagus.protocol import Refuse, SignerSet

CURRENT = hub_state(1, 2, 3, threshold=2, epoch=7)
OTHER = hub_state(1, 2, 3, threshold=2, epoch=4)
STATES = {HUB_A: CURRENT, HUB_B: OTHER}
NEXT = proposal(1, 2, 4, 5, threshold=3)


# What is signed


def test_what_a_member_signs_for_a_hub_is_the_rotations_eip_712_digest() -> None:
    for hub in (HUB_A, HUB_B):
        assert NEXT.digest(hub) == typed_digest(NEXT, hub)
    assert NEXT.digest(HUB_A) != NEXT.digest(HUB_B)


def test_a_proposals_id_is_that_of_its_canonical_json() -> None:
    text = json.dumps(json.loads(NEXT.document()), sort_keys=True, separators=(",", ":"))
    assert NEXT.id == keccak(text.encode())
    assert read_proposal(json.dumps(json.loads(text), indent=1).encode()) == NEXT


def test_a_quorum_of_the_current_set_is_handed_to_the_hub_ascending() -> None:
    given = [approval(number, NEXT) for number in (3, 5, 1, 2)]
    found = signatures_of(NEXT, HUB_A, CURRENT.current, given)
    digest = typed_digest(NEXT, HUB_A)
    signers = [Account._recover_hash(digest, signature=each).lower() for each in found]
    assert len(signers) == 2
    assert signers == sorted(signers)
    assert {bytes.fromhex(each[2:]) for each in signers} < {address_of(at) for at in (1, 2, 3)}


def test_who_is_missing_is_named() -> None:
    with pytest.raises(Refuse, match="1 of 2 approvals by members of its set") as raised:
        signatures_of(NEXT, HUB_A, CURRENT.current, [approval(1, NEXT), approval(1, NEXT)])
    assert key_of(2).address.lower() in raised.value.reason
    assert key_of(3).address.lower() in raised.value.reason
    assert key_of(1).address.lower() not in raised.value.reason


def test_a_strangers_and_a_new_members_approvals_are_none_of_the_quorum() -> None:
    given = [approval(number, NEXT) for number in (1, 4, 9)]
    with pytest.raises(Refuse, match="1 of 2 approvals"):
        signatures_of(NEXT, HUB_A, CURRENT.current, given)


def test_an_approval_of_another_proposal_is_refused() -> None:
    other = proposal(1, 2, 4, 5, threshold=4)
    with pytest.raises(Refuse, match=r"is of proposal 0x.* have this one approved"):
        signatures_of(NEXT, HUB_A, CURRENT.current, [approval(1, NEXT), approval(2, other)])


def test_an_approval_of_a_roster_that_was_altered_afterwards_is_refused() -> None:
    """Payout addresses are in the roster, and the roster's hash is signed."""
    robbed = changed(NEXT.roster, [member(4, addresses={"eip155:31337": "0x" + "66" * 20})])
    altered = NEXT.model_copy(update={"roster": robbed})
    given = [approval(1, NEXT), approval(2, NEXT)]
    with pytest.raises(Refuse, match="is of proposal"):
        signatures_of(altered, HUB_A, CURRENT.current, given)
    forged = [each.model_copy(update={"proposal": f"0x{altered.id.hex()}"}) for each in given]
    with pytest.raises(Refuse, match="is signed by 0x"):
        signatures_of(altered, HUB_A, CURRENT.current, forged)


def test_a_signature_of_one_hub_is_none_of_another() -> None:
    own = approval(1, NEXT)
    crossed = own.model_copy(
        update={
            "signatures": {
                HUB_A: own.signatures[HUB_B],
                HUB_B: own.signatures[HUB_A],
            }
        }
    )
    with pytest.raises(Refuse, match=f"for {HUB_A} is signed by 0x"):
        crossed.require(NEXT)


def test_an_approval_is_carried_by_an_envelope_with_what_it_approves() -> None:
    own = approval(2, NEXT)
    body = rotation_body(NEXT, own)
    assert read_rotation_body(body) == (NEXT, own)
    with pytest.raises(Refuse, match="is of proposal"):
        rotation_body(proposal(1, 2, threshold=2), own)
    table = json.loads(body)
    table["proposal"]["threshold"] = 4
    with pytest.raises(ValueError, match="is of proposal"):
        read_rotation_body(json.dumps(table).encode())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threshold": 2}, "threshold 2 of 4 is no majority"),
        ({"threshold": 5}, "threshold 5 is outside 1..4"),
        ({"threshold": 0}, "greater than or equal to 1"),
        ({"version": 2}, "version"),
        ({"hubs": []}, "at least 1 item"),
        ({"hubs": NEXT.hubs[::-1]}, "once each, in the order of their ids"),
        ({"hubs": [NEXT.hubs[0]] * 2}, "once each, in the order of their ids"),
        ({"hubs": [{"hub": "eip155:1", "epoch": 1, "valid_from": 0}]}, "hubs.0.hub"),
        ({"hubs": [{"hub": HUB_A.upper(), "epoch": 1, "valid_from": 0}]}, "hub"),
        ({"hubs": [{"hub": HUB_A, "epoch": 2**53, "valid_from": 0}]}, "epoch"),
        ({"hubs": [{"hub": HUB_A, "epoch": 1, "valid_from": -1}]}, "valid_from"),
        ({"fee": 1}, "fee"),
    ],
)
def test_what_no_hub_takes_is_no_proposal(change: dict[str, object], said: str) -> None:
    table = {**NEXT.model_dump(), **change}
    with pytest.raises(ValidationError) as raised:
        Proposal.model_validate(table)
    assert said in str(raised.value)


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_what_is_cut_off_is_a_value_error(cut: int) -> None:
    for document, read in (
        (NEXT.document(), read_proposal),
        (approval(1, NEXT).document(), read_approval),
        (rotation_body(NEXT, approval(1, NEXT)), read_rotation_body),
    ):
        with pytest.raises(ValueError, match="is no JSON"):
            read(document[:-cut])  # type: ignore[operator]


# What is proposed


def test_a_proposal_has_the_next_epoch_of_each_hub_that_lacks_it() -> None:
    new = changed(roster(1, 2, 3), [member(4)], [key_of(3).address])
    there = hub_state(1, 2, 4, threshold=2, epoch=9)
    found = propose(
        new, 2, {**STATES, "eip155:1:0x" + "11" * 20: there}, profile="testnet", after=5
    )
    assert found.hubs == (
        HubChange(hub=HUB_A, epoch=8, valid_from=NOW + 105),
        HubChange(hub=HUB_B, epoch=5, valid_from=NOW + 105),
    )
    assert set(found.roster.signers) == {address_of(each) for each in (1, 2, 4)}
    with pytest.raises(Refuse, match="every hub has this set, threshold and roster already"):
        propose(new, 2, {HUB_A: there}, profile="testnet", after=0)


def test_a_rotation_to_the_same_set_ends_the_one_before_and_is_asked_for() -> None:
    with pytest.raises(Refuse, match="every hub has this"):
        propose(roster(1, 2, 3), 2, STATES, profile="testnet", after=0)
    found = propose(roster(1, 2, 3), 2, STATES, profile="testnet", after=0, again=True)
    assert [(each.hub, each.epoch) for each in found.hubs] == [(HUB_A, 8), (HUB_B, 5)]


def test_a_new_url_alone_is_a_new_roster_and_so_a_rotation() -> None:
    moved = changed(roster(1, 2, 3), [member(3, url="https://three.example")])
    found = propose(moved, None, STATES, profile="mainnet", after=0)
    assert found.threshold == 2
    assert len(found.hubs) == 2
    assert list(set_changes(CURRENT.current, found)) == []
    assert list(differences(roster(1, 2, 3), moved)) == [
        f"~ {key_of(3).address.lower()} url none -> https://three.example"
    ]


@pytest.mark.parametrize(
    ("numbers", "threshold", "profile", "said"),
    [
        ((1, 2, 3, 4), 2, "devnet", "threshold 2 of 4 is no majority.*: give --threshold 3$"),
        ((1, 2, 3), 4, "devnet", "threshold 4 is outside 1..3.*: give --threshold 2$"),
        ((1,), 1, "mainnet", "profile mainnet wants a threshold of two or more"),
    ],
)
def test_a_threshold_that_is_none_is_not_proposed(
    numbers: tuple[int, ...], threshold: int, profile: str, said: str
) -> None:
    with pytest.raises(Refuse, match=said):
        propose(roster(*numbers), threshold, STATES, profile=profile, after=0)


def test_what_an_option_got_wrong_ends_as_usage_does() -> None:
    with pytest.raises(OptionError, match="give --threshold 3") as error:
        propose(roster(1, 2, 3, 4), None, STATES, profile="devnet", after=0)
    assert error.value.exit_code == 2
    with pytest.raises(OptionError, match="--remove 0xab is no member"):
        changed(roster(1, 2, 3), remove=["0xab"])


def test_hubs_that_cannot_be_read_or_differ_in_threshold_are_not_guessed() -> None:
    with pytest.raises(Refuse, match=f"{HUB_B} cannot be read: it sleeps"):
        propose(roster(1, 2), 2, {**STATES, HUB_B: "it sleeps"}, profile="devnet", after=0)
    three = hub_state(1, 2, 3, threshold=3, epoch=4)
    with pytest.raises(Refuse, match="thresholds of 2, 3: give one"):
        propose(roster(1, 2, 3), None, {**STATES, HUB_B: three}, profile="devnet", after=0)


@pytest.mark.parametrize(
    ("add", "remove", "said"),
    [
        ([member(4, transport=None)], [], "has no transport key"),
        ([member(4, transport=member(1).transport)], [], "is there more than once"),
        ([member(4, transport=key_of(1).address.lower())], [], "a signer and a transport key"),
        ([], [key_of(9).address], "is no member"),
        ([], [key_of(at).address for at in (1, 2, 3)], "1 to 32 members"),
    ],
)
def test_members_that_make_no_committee_are_not_proposed(
    add: list[object], remove: list[str], said: str
) -> None:
    with pytest.raises(Refuse, match=said):
        changed(roster(1, 2, 3), add, remove)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("members", "threshold", "words"),
    [
        (1, 1, "1 of 1: who has that key has the hub"),
        (3, 2, "2 of 3: stands no liar, and, if nobody lies, 1 member away"),
        (4, 3, "3 of 4: stands 1 liar, and, if nobody lies, 1 member away"),
        (4, 4, "4 of 4: stands no liar, and, if nobody lies, nobody away"),
        (7, 5, "5 of 7: stands 2 liars, and, if nobody lies, 2 members away"),
    ],
)
def test_the_bound_is_said_in_words(members: int, threshold: int, words: str) -> None:
    assert bound(members, threshold) == words


def test_every_part_of_a_roster_that_changes_is_said() -> None:
    chat = {"chat@1": {"version": "1.0.0", "config": {"max_tokens": 64}}}
    old = roster(1, 2, agents=chat, gas_allowance={"eip155:1": 5}, rates={"eip155:1": 7})
    said = list(
        differences(
            old,
            roster(
                *(1, 3),
                name="other",
                agents={
                    "chat@1": {"version": "1.0.1", "config": {"max_tokens": 9}},
                    "choose@1": {"version": "1.0.0"},
                },
                gas_allowance={"eip155:1": 6},
            ),
        )
    )
    one, two, three = (member(at) for at in (1, 2, 3))
    assert sorted(said) == sorted(
        [
            "~ name test -> other: another network, which none of the old talks to",
            f"- member {two.signer}",
            f"+ member {three.signer}",
            f"~ {three.signer} transport none -> {three.transport}",
            f"~ {three.signer} is paid on eip155:31337 at none -> {three.signer}",
            "~ agent chat@1 version 1.0.0 -> 1.0.1",
            "~ agent chat@1 max_tokens 64 -> 9",
            "+ agent choose@1 1.0.0",
            "~ gas_allowance eip155:1 5 -> 6",
            "~ rates eip155:1 7 -> none",
        ]
    )
    assert one.signer not in "".join(said)


# Where a hub stands


@pytest.mark.parametrize(
    ("numbers", "threshold", "epoch", "time", "wanted"),
    [
        ((1, 2, 3), 2, 7, NOW, Standing.OPEN),
        ((1, 2, 3), 2, 7, NOW + WINDOW, Standing.OPEN),
        ((1, 2, 3), 2, 7, NOW - 1, Standing.EARLY),
        ((1, 2, 3), 2, 7, NOW + WINDOW + 1, Standing.LATE),
        ((1, 2, 3), 2, 6, NOW, Standing.BEHIND),
        ((1, 2, 4, 5), 3, 8, NOW, Standing.IN_FORCE),
        ((1, 2, 4, 5), 3, 9, NOW, Standing.PASSED),
        ((1, 2, 4), 3, 8, NOW, Standing.PASSED),
        ((1, 2, 4, 5), 4, 8, NOW, Standing.PASSED),
    ],
)
def test_a_hubs_state_says_what_follows(
    numbers: tuple[int, ...], threshold: int, epoch: int, time: int, wanted: Standing
) -> None:
    at = Block(1, b"\x01" * 32, time)
    state = hub_state(*numbers, threshold=threshold, epoch=epoch, at=at)
    assert standing(NEXT, HUB_A, state)[0] is wanted


def test_the_same_set_under_another_roster_is_not_what_was_proposed() -> None:
    state = hub_state(1, 2, 4, 5, threshold=3, epoch=8, roster_hash=b"\x09" * 32)
    where, words = standing(NEXT, HUB_A, state)
    assert where is Standing.PASSED
    assert "another roster" in words


# Approving


def signed(number: int, found: Proposal, kept: Path, states: object = STATES) -> object:
    signer = LocalKey(PrivateKey(bytes([number]) * 32))
    hubs = hubs_to_sign(found, signer.address, states)  # type: ignore[arg-type]
    return asyncio.run(approve(found, hubs, signer, kept))


def test_a_member_signs_as_eth_account_does(tmp_path: Path) -> None:
    assert signed(2, NEXT, tmp_path) == approval(2, NEXT)
    assert signed(2, NEXT, tmp_path) == approval(2, NEXT)


def test_a_member_signs_where_it_is_one_and_has_not_been_done(tmp_path: Path) -> None:
    done = hub_state(1, 2, 4, 5, threshold=3, epoch=8)
    assert signed(2, NEXT, tmp_path, {HUB_A: done, HUB_B: OTHER}) == approval(2, NEXT, HUB_B)
    with pytest.raises(Refuse, match="signs on none of its hubs now"):
        signed(5, NEXT, tmp_path)


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({HUB_A: CURRENT}, f"{HUB_B} is no hub of this config"),
        ({HUB_A: CURRENT, HUB_B: "timed out"}, f"{HUB_B} cannot be read: timed out"),
        ({**STATES, HUB_B: hub_state(1, 2, 3, threshold=2, epoch=3)}, "1 rotation comes before"),
        ({**STATES, HUB_B: hub_state(1, 2, 3, threshold=2, epoch=6)}, "another set has epoch 6"),
    ],
)
def test_nothing_is_signed_that_the_hubs_own_state_does_not_bear(
    tmp_path: Path, states: dict[str, object], said: str
) -> None:
    with pytest.raises(Refuse, match=said):
        signed(1, NEXT, tmp_path, states)
    assert list(tmp_path.iterdir()) == []


def test_a_member_approves_one_proposal_for_an_epoch_while_that_can_be_sent(tmp_path: Path) -> None:
    signed(1, NEXT, tmp_path / "kept")
    other = proposal(1, 2, 3, threshold=3)
    with pytest.raises(Refuse, match=r"has approved proposal 0x.* for epoch 8") as raised:
        signed(1, other, tmp_path / "kept")
    assert f"0x{NEXT.id.hex()}" in raised.value.reason
    ended = HubChange(hub=HUB_A, epoch=8, valid_from=NOW + WINDOW + 1)
    later = proposal(1, 2, 3, threshold=3, hubs=(ended,))
    assert signed(1, later, tmp_path / "kept") == approval(1, later)


def test_a_record_that_is_damaged_lets_nothing_be_signed(tmp_path: Path) -> None:
    signed(1, NEXT, tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(b"{")
    with pytest.raises(Refuse, match="is damaged"):
        signed(1, NEXT, tmp_path)


def test_a_set_is_compared_with_its_threshold() -> None:
    before = SignerSet(1, tuple(sorted(address_of(at) for at in (1, 2, 3))), 2)
    assert list(set_changes(before, proposal(1, 2, 3, threshold=3))) == [
        "~ threshold 2 of 3 -> 3 of 3"
    ]
    assert f"- signer {key_of(3).address.lower()}" in list(set_changes(before, NEXT))


def test_who_has_no_address_on_a_hubs_chain_is_named_with_the_hub() -> None:
    both = dict.fromkeys(("eip155:31337", "eip155:31338"), "0x" + "22" * 20)
    sound = [member(number, addresses=both) for number in (1, 2, 3)]
    made = proposal(1, 2, 3, threshold=2, roster=roster(members=sound))
    assert list(cautions(made)) == []
    lacking = member(3, addresses={"eip155:31337": both["eip155:31337"]})
    made = proposal(1, 2, 3, threshold=2, roster=roster(members=[*sound[:2], lacking]))
    (words,) = cautions(made)
    assert words.startswith(f"{HUB_B}: {lacking.signer} has no address on eip155:31338: ")


@pytest.mark.parametrize(
    ("numbers", "threshold", "said"),
    [
        ((1, 2, 3), 3, ["nobody may be away, else none comes; --threshold 2 stands 1 away"]),
        ((1, 2), 2, ["nobody may be away, else none comes"]),
        ((1, 2, 3), 2, []),
        ((1,), 1, []),
    ],
)
def test_a_set_that_stands_nobody_away_is_said(
    numbers: tuple[int, ...], threshold: int, said: list[str]
) -> None:
    both = dict.fromkeys(("eip155:31337", "eip155:31338"), "0x" + "22" * 20)
    members = [member(number, addresses=both) for number in numbers]
    made = proposal(*numbers, threshold=threshold, roster=roster(members=members))
    found = list(cautions(made))
    assert len(found) == len(said)
    assert all(line.endswith(part) for line, part in zip(found, said, strict=True))
