"""The default fee formula: integers only, no clock and no local price, so every node agrees.

Amounts are in the smallest unit of the origin's fee asset. The compute cost is the evidence's,
converted by the roster's rates before it comes here; the gas allowance is the roster's for the
destination.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vagus.protocol.hashing import ZERO32
from vagus.protocol.limits import MAX_SIGNERS
from vagus.protocol.messages import Status
from vagus.protocol.payouts import Payout
from vagus.protocol.words import UINT256_MAX, WORD, require_bytes, require_uint

BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class FeeFormula:
    """fee = base + compute cost × markup + gas allowance; `markup_bps` of 10,000 is cost as is."""

    base: int
    markup_bps: int

    def __post_init__(self) -> None:
        require_uint("base", self.base, UINT256_MAX)
        require_uint("markup_bps", self.markup_bps, UINT256_MAX)

    def price(self, compute_cost: int, gas_allowance: int) -> int:
        """Return the fee before maxFee caps it, rounded down: what a quote says."""
        require_uint("compute_cost", compute_cost, UINT256_MAX)
        require_uint("gas_allowance", gas_allowance, UINT256_MAX)
        return self.base + compute_cost * self.markup_bps // BASIS_POINTS + gas_allowance


def settlement(
    formula: FeeFormula,
    *,
    status: int,
    max_fee: int,
    compute_cost: int,
    gas_allowance: int,
    executor: bytes,
    deliverer: bytes | None,
    signers: Sequence[bytes],
) -> tuple[int, tuple[Payout, ...]]:
    """Return the receipt's fee and payouts, which sum to it.

    Payees are packed addresses on the origin chain: the executor's, the deliverer's (None if it is
    outside the roster) and one for each signer of the attestation, doubled where two signers share
    one. The fee is the formula's price, at most `max_fee`, and is shared in this order, each
    share at most what is left: the gas allowance to the deliverer, the compute cost to the
    executor, half of the rest (rounded down) to the signers in equal parts, all else to the
    executor. So under a tight `max_fee` the rest goes first, then the compute cost, then the gas. An
    outside deliverer's allowance is no part of the fee: the requester keeps it. A status other
    than FULFILLED costs nothing.

    A payee appears once, with the sum of its shares, ascending and never with 0. ValueError for a
    malformed or zero payee, no or over 32 signers, or an amount outside uint256.
    """
    require_uint("max_fee", max_fee, UINT256_MAX)
    require_uint("gas_allowance", gas_allowance, UINT256_MAX)
    payees = [executor, *signers] if deliverer is None else [executor, deliverer, *signers]
    for payee in payees:
        require_bytes("a payee", payee, WORD)
        if payee == ZERO32:
            raise ValueError("a payee is zero")
    if not 1 <= len(signers) <= MAX_SIGNERS:
        raise ValueError(f"an attestation has 1 to {MAX_SIGNERS} signers, not {len(signers)}")
    gas = gas_allowance if deliverer is not None else 0
    price = formula.price(compute_cost, gas)
    if status != Status.FULFILLED:
        return 0, ()

    fee = min(max_fee, price)
    gas = min(gas, fee)
    compute = min(compute_cost, fee - gas)
    rest = fee - gas - compute
    each = rest // 2 // len(signers)
    shares: Counter[bytes] = Counter()
    for signer in signers:
        shares[signer] += each
    shares[executor] += fee - gas - each * len(signers)
    if deliverer is not None:
        shares[deliverer] += gas
    return fee, tuple(Payout(payee, shares[payee]) for payee in sorted(shares) if shares[payee])
