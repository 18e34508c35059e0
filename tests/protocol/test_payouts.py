"""Payouts are 64 bytes each, as eth_abi writes an array of static pairs."""

from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from vagus.protocol import EMPTY_HASH, Payout, encode_payouts, payouts_hash

PAIRS = st.lists(
    st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 2**256 - 1)), max_size=34
)


@given(PAIRS)
def test_the_encoding_is_the_abis_array_body(pairs: list[tuple[bytes, int]]) -> None:
    payouts = [Payout(payee, amount) for payee, amount in pairs]
    body = abi_encode(["(bytes32,uint256)[]"], [pairs])[64:]  # after the offset and the length
    assert encode_payouts(payouts) == body
    assert payouts_hash(payouts) == keccak(body)


def test_no_payouts_hash_as_nothing() -> None:
    assert encode_payouts(()) == b""
    assert payouts_hash(()) == EMPTY_HASH == keccak(b"")


@pytest.mark.parametrize(
    ("payee", "amount", "field"),
    [
        (bytes(20), 1, "payee"),
        ("0x", 1, "payee"),
        (bytes(32), -1, "amount"),
        (bytes(32), 2**256, "amount"),
        (bytes(32), True, "amount"),
        (bytes(32), 1.0, "amount"),
    ],
)
def test_a_field_that_does_not_fit_is_a_value_error_that_names_it(
    payee: Any, amount: Any, field: str
) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        Payout(payee, amount)
