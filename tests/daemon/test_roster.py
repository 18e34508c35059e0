"""The committee's roster."""

import pytest
from eth_utils.crypto import keccak
from pydantic import ValidationError

from vagus.daemon.roster import Member, Roster
from vagus.protocol import FeeFormula, Refuse

SIGNER = "0x" + "ab" * 20
HOME = "0x" + "cd" * 20
A, B = "eip155:31337", "eip155:31338"


def roster(**changes: object) -> Roster:
    table = {
        "members": [{"signer": SIGNER, "addresses": {A: HOME}}],
        "gas_allowance": {A: 10**20},
    }
    return Roster.model_validate({**table, **changes})


def test_a_member_is_found_by_its_signer_and_a_stranger_is_not() -> None:
    assert roster().member(bytes.fromhex("ab" * 20)).signer == SIGNER
    with pytest.raises(Refuse, match=r"0xcd.* is not in the roster"):
        roster().member(bytes.fromhex("cd" * 20))


def test_a_member_is_paid_at_its_address_on_the_origin() -> None:
    member = roster().members[0]
    assert member.payee(A) == bytes(12) + bytes.fromhex("cd" * 20)
    with pytest.raises(Refuse, match=f"no address of {SIGNER} on {B}"):
        member.payee(B)


def test_a_deliverer_is_known_by_its_address_on_the_destination() -> None:
    packed = bytes(12) + bytes.fromhex("cd" * 20)
    found = roster().deliverer(A, packed)
    assert found is not None
    assert found.signer == SIGNER
    assert roster().deliverer(A, b"\x01" * 32) is None
    assert roster().deliverer(B, packed) is None


def test_the_roster_hash_is_that_of_its_canonical_json() -> None:
    # Written by hand by RFC 8785: keys in order, no blanks, amounts as decimal strings.
    document = (
        f'{{"gas_allowance":{{"{A}":"100000000000000000000"}},'
        f'"members":[{{"addresses":{{"{A}":"{HOME}"}},"signer":"{SIGNER}"}}],"rates":{{}}}}'
    )
    assert roster().digest() == keccak(document.encode())


@pytest.mark.parametrize(
    "signer", ["", SIGNER[2:], SIGNER.upper(), SIGNER + "0", "0x" + "zz" * 20, "0x" + "AB" * 20]
)
def test_a_signer_that_is_no_lower_case_address_is_rejected(signer: str) -> None:
    with pytest.raises(ValidationError):
        Member(signer=signer)


@pytest.mark.parametrize(
    "changes",
    [
        {"members": []},
        {"members": [{"signer": f"0x{number:040x}"} for number in range(1, 34)]},
        {"gas_allowance": {A: -1}},
        {"gas_allowance": {A: 1 << 256}},
        {"gas_allowance": {"mainnet": 1}},
        {"quorum": 1},
    ],
)
def test_a_roster_that_cannot_be_is_rejected(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        roster(**changes)


def test_an_address_that_the_chain_does_not_have_is_rejected_where_it_is_written() -> None:
    with pytest.raises(ValidationError):
        Member(signer=SIGNER, addresses={A: "0x12"})


def test_a_member_is_listed_once() -> None:
    with pytest.raises(ValidationError):
        roster(members=[{"signer": SIGNER}, {"signer": SIGNER}])


def test_a_fee_is_the_same_worth_in_the_coin_it_is_paid_in() -> None:
    """A coin of 10^9 units, worth half of one of 10^18."""
    solana = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"
    priced = roster(rates={solana: 2 * 10**9}, gas_allowance={A: 3 * 10**15})
    formula = FeeFormula(base=10**15, markup_bps=12_000)
    assert priced.fee(formula, A) == formula
    assert priced.fee(formula, solana) == FeeFormula(base=2 * 10**6, markup_bps=12_000)
    assert priced.allowance(A, A) == 3 * 10**15
    assert priced.allowance(A, solana) == 6 * 10**6
    assert priced.from_coin(solana, 6 * 10**6) == 3 * 10**15
    assert priced.to_coin(solana, 499_999_999) == 0  # rounded down: never more than maxFee pays


def test_no_gas_is_spent_on_a_destination_without_an_allowance() -> None:
    with pytest.raises(Refuse, match="allows no gas"):
        roster().allowance("eip155:99", A)


def test_a_rate_of_nothing_is_rejected() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        roster(rates={A: 0})
