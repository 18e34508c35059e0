"""`vagus hub deploy` where it works, and what it says that cost; where it can't, it costs nothing."""

import asyncio
import json
from base64 import b64decode, b64encode
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.keypairs import PrivateKey
from eth_account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from support.node import vagus
from support.node_devnet import Devnet
from support.solana_idl import Program
from support.worlds.client import KINDS
from vagus.protocol.bech32 import encode

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("worlds"),
]

SIGNER = "0x" + "11" * 20
GIVEN = {
    "eip155": (),
    "solana": ("--kind", "solana"),
    "cosmos": ("--kind", "cosmos", "--denom", "stake"),
}
PAIRS = [(kind, other) for kind in KINDS for other in KINDS if kind != other]


async def deploy(devnet: Devnet, kind: str, node: str, *more: str) -> tuple[int, str, str]:
    """As one kind of chain, on the node of one."""
    keys = devnet.folder / "keys"
    (rpc,) = [each["rpc"] for each in devnet.chains if each["caip2"].startswith(f"{node}:")]
    return await vagus(
        *("hub", "deploy", "--rpc", rpc, "--signer", SIGNER),
        *("--keystore", keys / "user.json", "--password-file", keys / "password"),
        *(*GIVEN[kind], *more),
    )


@pytest.mark.parametrize(("kind", "node"), PAIRS)
async def test_a_node_of_another_kind_of_chain_is_said_to_be_one(
    devnet: Devnet, kind: str, node: str
) -> None:
    code, out, err = await deploy(devnet, kind, node)
    assert (code, out) == (2, "")
    assert err.startswith(f"vagus: --kind {kind}: http://127.0.0.1:")
    assert f" does not speak {kind}'s methods: " in err
    assert f"--kind {node}" in err.partition("methods: ")[2]
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        *((kind, ("--min-fee", "-1"), "--min-fee: -1") for kind in KINDS),
        *((kind, ("--grace", str(10**20)), "--grace: 1000") for kind in KINDS),
        *((kind, ("--threshold", "2"), "--threshold: 2") for kind in KINDS),
        ("cosmos", ("--gas-price", "nan"), "--gas-price: 'nan'"),
        (
            "cosmos",
            ("--guardian", encode("juno", b"\x07" * 20)),
            "--guardian: its prefix is juno, and this chain's is wasm",
        ),
    ],
)
async def test_a_refused_deployment_has_sent_nothing(
    devnet: Devnet, kind: str, more: tuple[str, ...], said: str
) -> None:
    before = await asyncio.to_thread(standing, devnet, kind)
    code, out, err = await deploy(devnet, kind, kind, *more)
    assert (code, out) == (2, "")
    assert err.startswith(f"vagus: {said}")
    assert err.count("\n") == 1
    assert await asyncio.to_thread(standing, devnet, kind) == before


def lines(out: str) -> dict[str, str]:
    """What a deployment prints, by its first words."""
    return dict(line.split(maxsplit=1) for line in out.splitlines())


async def test_a_hub_on_solana_costs_what_is_said(devnet: Devnet) -> None:
    before = await asyncio.to_thread(standing, devnet, "solana")
    code, out, err = await deploy(devnet, "solana", "solana", "--min-fee", "7")
    assert code == 0, err
    said = lines(out)
    assert said.keys() == {"hub", "tx", "cost", "height"}
    after = await asyncio.to_thread(standing, devnet, "solana")
    cost, coin = said["cost"].split()
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert (coin, Decimal(cost) * 10**9) == ("SOL", before - after)
    (chain,) = [each for each in devnet.chains if each["caip2"].startswith("solana:")]
    caip2, _, address = said["hub"].rpartition(":")
    assert caip2 == chain["caip2"]
    assert said["hub"] != chain["hub"]
    program = Program(Pubkey.from_string(address))

    def account(key: Pubkey) -> bytes:
        options = {"encoding": "base64", "commitment": "confirmed"}
        found = ask(chain["rpc"], "getAccountInfo", str(key), options)["value"]
        assert found["owner"] == address
        return b64decode(found["data"][0])

    config = program.record("Config", account(program.address(b"config")))
    assert config["min_fee"] == 7
    epoch = config["epoch"].to_bytes(8, "little")
    signers = program.record("SignerSet", account(program.address(b"signers", epoch)))
    assert signers["rest"] == bytes.fromhex(SIGNER[2:])
    options = {"commitment": "confirmed", "maxSupportedTransactionVersion": 0, "encoding": "json"}
    found = ask(chain["rpc"], "getTransaction", said["tx"], options)
    assert (found["meta"]["err"], str(found["slot"])) == (None, said["height"])


async def test_a_hub_on_a_cosmos_chain_costs_what_is_said(devnet: Devnet) -> None:
    (chain,) = [each for each in devnet.chains if each["caip2"].startswith("cosmos:")]
    secret = bytes.fromhex(chain["private_key"].removeprefix("0x"))
    payer = str(LocalWallet(PrivateKey(secret), prefix=chain["prefix"]).address())
    held = f"/cosmos/bank/v1beta1/balances/{payer}/by_denom?denom=stake"

    def balance() -> int:
        return int(fetched(chain, held)["balance"]["amount"])

    before = await asyncio.to_thread(balance)
    code, out, err = await deploy(devnet, "cosmos", "cosmos", "--min-fee", "7")
    assert code == 0, err
    said = lines(out)
    assert said.keys() == {"hub", "code_id", "tx", "gas", "fee", "height"}
    assert int(said["fee"].removesuffix("stake")) == before - await asyncio.to_thread(balance)
    caip2, _, address = said["hub"].rpartition(":")
    assert caip2 == chain["caip2"]
    assert said["hub"] != chain["hub"]

    def asked(question: str) -> Any:
        query = b64encode(json.dumps({question: {}}).encode()).decode()
        return fetched(chain, f"/cosmwasm/wasm/v1/contract/{address}/smart/{quote(query)}")["data"]

    assert (await asyncio.to_thread(asked, "config"))["min_fee"] == "7"
    committee = await asyncio.to_thread(asked, "committee")
    assert (committee["signers"], committee["threshold"]) == ([SIGNER[2:]], "1")
    contract = await asyncio.to_thread(fetched, chain, f"/cosmwasm/wasm/v1/contract/{address}")
    assert contract["contract_info"]["code_id"] == said["code_id"]
    assert contract["contract_info"]["admin"] == ""
    made = await asyncio.to_thread(fetched, chain, f"/cosmos/tx/v1beta1/txs/{said['tx']}")
    found = made["tx_response"]
    assert (found["height"], found["code"]) == (said["height"], 0)


def fetched(chain: dict[str, str], path: str) -> Any:
    """A Cosmos node's answer over REST."""
    with urlopen(f"{chain['rest']}{path}") as answer:
        return json.load(answer)


def standing(devnet: Devnet, kind: str) -> object:
    """What the account that would pay has sent, or what it has: any transaction changes it."""
    (chain,) = [each for each in devnet.chains if each["caip2"].startswith(f"{kind}:")]
    secret = bytes.fromhex(chain["private_key"].removeprefix("0x"))
    if kind == "eip155":
        return ask(
            chain["rpc"], "eth_getTransactionCount", Account.from_key(secret).address, "latest"
        )
    if kind == "solana":
        key = str(Keypair.from_seed(secret).pubkey())
        return ask(chain["rpc"], "getBalance", key, {"commitment": "processed"})["value"]
    stored = fetched(chain, "/cosmwasm/wasm/v1/code")["code_infos"]
    address = str(LocalWallet(PrivateKey(secret), prefix=chain["prefix"]).address())
    account = fetched(chain, f"/cosmos/auth/v1beta1/accounts/{address}")["account"]
    return account["sequence"], stored


def ask(rpc: str, method: str, *params: object) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(rpc, json.dumps(body).encode(), headers)) as answer:
        return json.load(answer)["result"]
