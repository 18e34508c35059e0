"""Transactions, addresses and wire formats against cosmpy and protobuf, over random values."""

import copy
import pickle

import pytest
from coincurve import PrivateKey
from cosmpy.aerial.tx import SigningCfg, Transaction, TxFee
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.address import Address
from cosmpy.crypto.keypairs import PrivateKey as CosmosKey
from cosmpy.crypto.keypairs import PublicKey
from cosmpy.protos.cosmos.base.v1beta1.coin_pb2 import Coin
from cosmpy.protos.cosmos.tx.v1beta1.tx_pb2 import SignDoc, TxRaw
from cosmpy.protos.cosmwasm.wasm.v1.tx_pb2 import MsgExecuteContract
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.adapters.cosmos.protobuf import fields, fixed64, message, text, varint
from vagus.adapters.cosmos.tx import CosmosTx, packed, tx_hash
from vagus.adapters.cosmos.wallet import Wallet

KEYS = st.binary(min_size=32, max_size=32).filter(
    lambda key: 0 < int.from_bytes(key, "big") < 2**256 - 2**130
)
U60 = st.integers(0, 2**60)


@settings(max_examples=100, deadline=None)
@given(
    key=KEYS,
    data=st.binary(max_size=300),
    sequence=U60,
    number=U60,
    gas=st.integers(1, 2**60),
    fee=st.integers(1, 2**128),
    timeout=st.integers(0, 2**60),
    value=st.integers(0, 2**128),
)
async def test_a_transaction_is_cosmpys_to_the_byte(
    key: bytes,
    data: bytes,
    sequence: int,
    number: int,
    gas: int,
    fee: int,
    timeout: int,
    value: int,
) -> None:
    wallet, theirs = Wallet(PrivateKey(key)), LocalWallet(CosmosKey(key), prefix="wasm")
    sender = str(theirs.address())
    funds = [Coin(denom="stake", amount=str(value))] if value else []
    call = MsgExecuteContract(sender=sender, contract="wasm1x", msg=data, funds=funds)
    tx = CosmosTx(packed(call), sequence, gas, fee, "stake", timeout)
    raw = await tx.sign(wallet, "vagus-1", number)

    oracle = Transaction()
    oracle.add_message(call)
    cost = TxFee(f"{fee}stake", gas_limit=gas)
    oracle.seal(SigningCfg.direct(theirs.public_key(), sequence), cost, timeout_height=timeout)
    oracle.sign(theirs.signer(), "vagus-1", number, deterministic=True)
    signed = oracle.complete().tx
    ours = TxRaw.FromString(raw)
    assert ours.body_bytes == signed.body.SerializeToString()
    assert ours.auth_info_bytes == signed.auth_info.SerializeToString()
    document = SignDoc(
        body_bytes=ours.body_bytes,
        auth_info_bytes=ours.auth_info_bytes,
        chain_id="vagus-1",
        account_number=number,
    ).SerializeToString()
    assert PublicKey(wallet.public_key).verify(document, ours.signatures[0])
    assert list(ours.signatures) == list(signed.signatures)
    assert CosmosTx.decode(raw) == tx


@settings(max_examples=50, deadline=None)
@given(KEYS)
def test_an_account_has_cosmpys_address(key: bytes) -> None:
    ours, theirs = Wallet(PrivateKey(key)), LocalWallet(CosmosKey(key), prefix="wasm")
    assert ours.address == bytes(theirs.address())
    assert ours.public_key == theirs.public_key().public_key_bytes
    assert ours.account == bytes(Address(str(theirs.address()))).rjust(32, b"\0")


def test_a_wallet_shows_its_address_and_never_its_key() -> None:
    wallet = Wallet(PrivateKey(b"\x42" * 32))
    assert wallet.address.hex() in repr(wallet)
    assert (b"\x42" * 32).hex() not in repr(wallet)
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            leak(wallet)


@pytest.mark.parametrize("raw", [b"", b"\xff", b"\x0a\x02\x0a", b"\x0a\x00\x12\x00\x1a\x00"])
def test_bytes_that_are_no_transaction_of_ours_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a"):
        CosmosTx.decode(raw)


def test_a_transaction_is_named_as_the_chain_names_it() -> None:
    empty = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
    assert tx_hash(b"") == empty


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_fields_or_a_value_error(body: bytes) -> None:
    try:
        found = list(fields(body))
    except ValueError:
        return
    assert all(isinstance(value, int | bytes) for _, value in found)


@settings(max_examples=100, deadline=None)
@given(denom=st.text(max_size=40), amount=st.text(max_size=40))
def test_fields_are_written_and_read_as_protobuf_does(denom: str, amount: str) -> None:
    theirs = Coin(denom=denom, amount=amount).SerializeToString()
    assert text(1, denom) + text(2, amount) == theirs
    found = dict(fields(theirs))
    assert found.get(1, b"") == denom.encode()
    assert found.get(2, b"") == amount.encode()


@settings(max_examples=100, deadline=None)
@given(number=st.integers(0, 2**63 - 1), signed=st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_read_back_as_they_were_written(number: int, signed: int) -> None:
    body = varint(1 << 3) + varint(number) + message(3, b"x") + fixed64(2, signed)
    found = dict(fields(body))
    assert found[1] == number
    assert found[3] == b"x"
    assert int.from_bytes(found.get(2, bytes(8)), "little", signed=True) == signed  # type: ignore[arg-type]
