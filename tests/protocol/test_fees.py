"""The default fee formula: worked by hand, and properties that hold for every input."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.protocol import MAX_PAYOUTS, MAX_SIGNERS, FeeFormula, Payout, Status, settlement

EXECUTOR, DELIVERER = b"\x0e" * 32, b"\x0d" * 32
ALICE, BOB, CAROL = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
# base 1,000 + 500 × 1.2 + gas 300 = 1,900
FORMULA = FeeFormula(base=1_000, markup_bps=12_000)
ARGUMENTS: dict[str, Any] = {
    "status": Status.FULFILLED,
    "max_fee": 10_000,
    "compute_cost": 500,
    "gas_allowance": 300,
    "executor": EXECUTOR,
    "deliverer": DELIVERER,
    "signers": [ALICE, BOB, CAROL],
}


def shares(**changes: Any) -> tuple[int, dict[bytes, int]]:
    fee, payouts = settlement(FORMULA, **{**ARGUMENTS, **changes})
    return fee, {payout.payee: payout.amount for payout in payouts}


def test_a_fee_is_shared_as_worked_by_hand() -> None:
    # The rest is 1,100: 550 to three signers is 183 each, the odd one goes to the executor.
    assert shares() == (
        1_900,
        {ALICE: 183, BOB: 183, CAROL: 183, DELIVERER: 300, EXECUTOR: 500 + 550 + 1},
    )


def test_the_price_is_what_a_quote_says() -> None:
    assert FORMULA.price(500, 300) == 1_900
    assert FORMULA.price(1, 0) == 1_001  # 1.2 rounds down
    assert FeeFormula(0, 10_000).price(0, 0) == 0


def test_max_fee_takes_from_the_rest_then_the_compute_cost_then_the_gas() -> None:
    assert shares(max_fee=806)[1] == {ALICE: 1, BOB: 1, CAROL: 1, DELIVERER: 300, EXECUTOR: 503}
    assert shares(max_fee=800)[1] == {DELIVERER: 300, EXECUTOR: 500}
    assert shares(max_fee=301)[1] == {DELIVERER: 300, EXECUTOR: 1}
    assert shares(max_fee=299) == (299, {DELIVERER: 299})
    assert shares(max_fee=0) == (0, {})


def test_an_outside_deliverer_gets_nothing_and_the_requester_keeps_the_allowance() -> None:
    fee, paid = shares(deliverer=None)
    assert fee == 1_600
    assert paid == {ALICE: 183, BOB: 183, CAROL: 183, EXECUTOR: 1_051}


def test_a_payee_of_many_roles_is_paid_once_with_the_sum() -> None:
    assert shares(executor=ALICE, deliverer=ALICE, signers=[ALICE]) == (1_900, {ALICE: 1_900})
    assert shares(signers=[ALICE, ALICE, EXECUTOR])[1] == {
        ALICE: 366,
        DELIVERER: 300,
        EXECUTOR: 1_051 + 183,
    }


@pytest.mark.parametrize("status", [Status.REFUSED, Status.FAILED])
def test_refused_and_failed_intents_cost_nothing(status: Status) -> None:
    assert shares(status=status) == (0, {})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"executor": bytes(32)}, "zero"),
        ({"deliverer": bytes(32)}, "zero"),
        ({"signers": [ALICE, bytes(32)]}, "zero"),
        ({"signers": [bytes(20)]}, "32 bytes"),
        ({"signers": []}, "1 to 32 signers, not 0"),
        ({"signers": [ALICE] * 33}, "1 to 32 signers, not 33"),
        ({"max_fee": -1}, "max_fee"),
        ({"max_fee": 2**256}, "max_fee"),
        ({"compute_cost": -1}, "compute_cost"),
        ({"compute_cost": 0.5}, "compute_cost"),
        ({"gas_allowance": True}, "gas_allowance"),
        ({"gas_allowance": -1, "deliverer": None}, "gas_allowance"),
    ],
)
def test_what_makes_no_settlement_is_a_value_error(changes: dict[str, Any], reason: str) -> None:
    for status in Status:
        with pytest.raises(ValueError, match=reason):
            shares(status=status, **changes)


@pytest.mark.parametrize(("base", "markup"), [(-1, 0), (0, -1), (0, 1.2), (True, 0)])
def test_a_formula_is_of_natural_numbers(base: Any, markup: Any) -> None:
    with pytest.raises(ValueError, match=r"^(base|markup_bps) "):
        FeeFormula(base, markup)


AMOUNTS = st.integers(0, 10_000) | st.integers(0, 2**256 - 1)
PAYEES = st.integers(1, 40).map(lambda n: n.to_bytes(32, "big"))


@given(
    formula=st.builds(FeeFormula, AMOUNTS, st.integers(0, 100_000)),
    max_fee=AMOUNTS,
    compute_cost=AMOUNTS,
    gas_allowance=AMOUNTS,
    executor=PAYEES,
    deliverer=st.none() | PAYEES,
    signers=st.lists(PAYEES, min_size=1, max_size=MAX_SIGNERS),
)
def test_every_settlement_can_be_settled(
    formula: FeeFormula,
    max_fee: int,
    compute_cost: int,
    gas_allowance: int,
    executor: bytes,
    deliverer: bytes | None,
    signers: list[bytes],
) -> None:
    def run(signers: list[bytes]) -> tuple[int, tuple[Payout, ...]]:
        return settlement(
            formula,
            status=0,
            max_fee=max_fee,
            compute_cost=compute_cost,
            gas_allowance=gas_allowance,
            executor=executor,
            deliverer=deliverer,
            signers=signers,
        )

    fee, payouts = run(signers)
    gas = gas_allowance if deliverer else 0
    assert fee == min(max_fee, formula.price(compute_cost, gas))
    assert sum(payout.amount for payout in payouts) == fee
    assert all(payout.amount > 0 for payout in payouts)
    assert len(payouts) <= MAX_PAYOUTS
    payees = [payout.payee for payout in payouts]
    assert payees == sorted(set(payees))
    assert set(payees) <= {executor, *signers} | ({deliverer} if deliverer else set())
    assert run(signers[::-1]) == (fee, payouts)


@given(
    st.integers(0, 5_000), st.integers(0, 2_000), st.integers(0, 2_000), st.integers(1, MAX_SIGNERS)
)
def test_each_share_is_the_exact_one_but_for_rounding_to_the_executor(
    max_fee: int, compute_cost: int, gas_allowance: int, count: int
) -> None:
    signers = [bytes(31) + bytes([i + 1]) for i in range(count)]
    fee, paid = shares(
        max_fee=max_fee, compute_cost=compute_cost, gas_allowance=gas_allowance, signers=signers
    )
    exact_rest = Fraction(max(0, fee - gas_allowance - compute_cost))
    exact_each = exact_rest / 2 / count
    gas = min(fee, gas_allowance)
    assert paid.get(DELIVERER, 0) == gas
    for signer in signers:
        assert exact_each - 2 < paid.get(signer, 0) <= exact_each
    exact_executor = min(compute_cost, fee - gas) + exact_rest / 2
    assert exact_executor <= paid.get(EXECUTOR, 0) < exact_executor + 1 + count
