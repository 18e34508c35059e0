"""EIP-1559 transactions against eth-account, over random values."""

import pytest
from coincurve import PrivateKey
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.adapters.evm.tx import EvmTx, tx_hash
from vagus.adapters.signers.local import LocalKey

U64 = st.integers(0, 2**64 - 1)
FEES = st.integers(0, 2**128 - 1)
KEYS = st.binary(min_size=32, max_size=32).filter(
    lambda key: 0 < int.from_bytes(key, "big") < 2**256 - 2**130
)
TRANSACTIONS = st.builds(
    EvmTx,
    chain_id=st.integers(1, 2**53),
    nonce=U64,
    tip=FEES,
    max_fee=FEES,
    gas=st.integers(21_000, 2**64 - 1),
    to=st.one_of(st.just(b""), st.binary(min_size=20, max_size=20)),
    value=st.integers(0, 2**256 - 1),
    data=st.one_of(st.binary(max_size=3), st.binary(min_size=50, max_size=400)),
)


def oracle(tx: EvmTx, key: bytes) -> bytes:
    fields = {
        "type": 2,
        "chainId": tx.chain_id,
        "nonce": tx.nonce,
        "maxPriorityFeePerGas": tx.tip,
        "maxFeePerGas": tx.max_fee,
        "gas": tx.gas,
        "value": tx.value,
        "data": tx.data,
    }
    if tx.to:
        fields["to"] = tx.to
    return bytes(Account.sign_transaction(fields, key).raw_transaction)


@settings(max_examples=500, deadline=None)
@given(TRANSACTIONS, KEYS)
async def test_a_transaction_is_signed_as_by_eth_account(tx: EvmTx, key: bytes) -> None:
    raw = await tx.sign(LocalKey(PrivateKey(key)))
    assert raw == oracle(tx, key)
    assert EvmTx.decode(raw) == tx
    assert Account.recover_transaction(raw) == Account.from_key(key).address


@pytest.mark.parametrize("size", [54, 55, 56, 57, 255, 256, 257, 65_535, 65_536])
async def test_the_lengths_where_rlp_changes_its_form(size: int) -> None:
    tx = EvmTx(1, 0, 0, 0, 21_000, b"\x05" * 20, 0, b"\x80" * size)
    raw = await tx.sign(LocalKey(PrivateKey(b"\x01" * 32)))
    assert raw == oracle(tx, b"\x01" * 32)
    assert EvmTx.decode(raw) == tx


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_a_value_error(noise: bytes) -> None:
    for raw in (noise, b"\x02" + noise):
        with pytest.raises(ValueError):  # noqa: PT011 - any: which check finds it depends on the noise
            EvmTx.decode(raw)


async def test_the_hash_is_the_chains() -> None:
    tx = EvmTx(1, 0, 1, 2, 21_000, b"\x05" * 20, 3, b"")
    signed = Account.sign_transaction(
        {
            "type": 2,
            "chainId": 1,
            "nonce": 0,
            "maxPriorityFeePerGas": 1,
            "maxFeePerGas": 2,
            "gas": 21_000,
            "to": b"\x05" * 20,
            "value": 3,
        },
        b"\x01" * 32,
    )
    assert tx_hash(await tx.sign(LocalKey(PrivateKey(b"\x01" * 32)))) == bytes(signed.hash)
