"""What an account's key refuses to sign, on each kind of chain: all but calls of its own hub."""

import hashlib
from typing import Any

import pytest
from coincurve import PrivateKey
from cosmpy.protos.cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmpy.protos.cosmos.tx.v1beta1.tx_pb2 import SignDoc, TxRaw
from cosmpy.protos.cosmwasm.wasm.v1.tx_pb2 import MsgExecuteContract
from ecdsa import SECP256k1, VerifyingKey
from eth_account import Account
from solders.compute_budget import set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from support.softhsm import SoftHsm
from vagus.adapters.cosmos.tx import CosmosTx, packed
from vagus.adapters.cosmos.wallet import Wallet as CosmosWallet
from vagus.adapters.evm.tx import EvmTx
from vagus.adapters.evm.wallet import Wallet as EvmWallet
from vagus.adapters.signers import KeyConfig
from vagus.adapters.solana.wallet import Wallet as SolanaWallet
from vagus.protocol import Refuse

KEY = PrivateKey(b"\x31" * 32)
HUB = b"\xaa" * 20


def evm_tx(**changes: Any) -> EvmTx:
    values: dict[str, Any] = {
        "chain_id": 1,
        "nonce": 0,
        "tip": 1,
        "max_fee": 2,
        "gas": 100_000,
        "to": HUB,
        "value": 0,
        "data": b"\1\2\3\4",
    }
    return EvmTx(**(values | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"to": b"\xbb" * 20},
        {"to": b"\xbb" * 20, "data": b"", "value": 1},
        {"to": b""},
        {"to": b"", "data": b"\x60\x00"},
        {"chain_id": 2},
        {"to": EvmWallet(KEY).address, "data": b"\1"},
        {"to": EvmWallet(KEY).address, "data": b"", "value": 1},
    ],
    ids=["contract", "transfer", "nowhere", "deployment", "chain", "call of itself", "to itself"],
)
async def test_an_evm_account_signs_nothing_but_calls_of_its_hub(changes: dict[str, Any]) -> None:
    wallet = EvmWallet(KEY).bound(1, HUB)
    with pytest.raises(Refuse, match=f"signs calls of {HUB.hex()} alone"):
        await wallet.sign(evm_tx(**changes))
    for allowed in ({}, {"value": 5}, {"to": wallet.address, "data": b""}):
        raw = await wallet.sign(evm_tx(**allowed))
        assert Account.recover_transaction(raw) == Account.from_key(KEY.secret).address


PROGRAM, BLOCKHASH = Pubkey(b"\xaa" * 32), bytes(32)


def solana_call(program: Pubkey = PROGRAM, *more: Pubkey) -> Instruction:
    payer = SolanaWallet(b"\x32" * 32).key
    accounts = [AccountMeta(payer, is_signer=True, is_writable=True)]
    accounts += [AccountMeta(each, is_signer=False, is_writable=True) for each in more]
    return Instruction(program, b"\1", accounts)


async def test_a_solana_account_signs_nothing_but_calls_of_its_hub() -> None:
    wallet = SolanaWallet(b"\x32" * 32).bound(PROGRAM)
    other, price = Pubkey(b"\xbb" * 32), set_compute_unit_price(7)
    sent = transfer(TransferParams(from_pubkey=wallet.key, to_pubkey=other, lamports=1))
    for instructions in (
        [sent],
        [price, solana_call(), sent],
        [solana_call(other)],
        [solana_call(), solana_call(other, PROGRAM)],
        [price],
    ):
        with pytest.raises(Refuse, match=f"signs calls of {PROGRAM} alone"):
            await wallet.sign(instructions, BLOCKHASH)
    signed = await wallet.sign([price, solana_call(), solana_call()], BLOCKHASH)
    assert signed.verify_with_results() == [True]


def executing(contract: str = "wasm1hub", count: int = 1) -> CosmosTx:
    call = MsgExecuteContract(sender="wasm1me", contract=contract, msg=b'{"deliver":{}}')
    return CosmosTx(packed(call), 3, 100_000, 500, "stake", 90)


async def test_a_cosmos_account_signs_nothing_but_calls_of_its_hub() -> None:
    wallet = CosmosWallet(KEY).bound("vagus-1", "wasm1hub")
    paid = CosmosTx(
        packed(MsgSend(from_address="wasm1me", to_address="wasm1x")), 3, 1, 1, "stake", 9
    )
    for tx, chain in (
        (paid, "vagus-1"),
        (executing("wasm1other"), "vagus-1"),
        (executing(), "other-1"),
    ):
        with pytest.raises(Refuse, match="signs calls of wasm1hub alone"):
            await tx.sign(wallet, chain, 7)
    raw = TxRaw.FromString(await executing().sign(wallet, "vagus-1", 7))
    document = SignDoc.FromString(SignDoc(body_bytes=raw.body_bytes).SerializeToString())
    # A second message beside the hub's call, and bytes that are no document.
    document.body_bytes, document.chain_id = raw.body_bytes * 2, "vagus-1"
    for hostile in (document.SerializeToString(), b"\xff" * 40):
        with pytest.raises(Refuse, match="signs calls of wasm1hub alone"):
            await wallet.sign(hostile)


async def test_a_cosmos_account_signs_with_a_key_on_a_token(hsm: SoftHsm) -> None:
    point = hsm.pair("vagus", "cosmos")
    wallet = CosmosWallet.configured(KeyConfig(pkcs11=hsm.key("vagus", "cosmos")))
    assert wallet is not None
    theirs = VerifyingKey.from_string(point[3:], SECP256k1)
    assert wallet.public_key == theirs.to_string("compressed")
    raw = TxRaw.FromString(await executing().sign(wallet.bound("c-1", "wasm1hub"), "c-1", 7))
    document = SignDoc(
        body_bytes=raw.body_bytes,
        auth_info_bytes=raw.auth_info_bytes,
        chain_id="c-1",
        account_number=7,
    )
    [signature] = raw.signatures
    assert theirs.verify(signature, document.SerializeToString(), hashfunc=hashlib.sha256)
