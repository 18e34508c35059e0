"""A real Cosmos node for tests: a steered wasmd, driven from synchronous code by cosmpy's own types.

The chain stands still between a test's calls, so a test says what time it is and each transaction
has a block to itself. Keys, messages and transactions are cosmpy's: nothing is encoded by our code.
"""

import base64
import contextlib
import gzip
import json
import math
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosmpy.aerial.tx import SigningCfg, Transaction, TxFee
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.address import Address
from cosmpy.crypto.keypairs import PrivateKey
from cosmpy.protos.cosmos.auth.v1beta1.auth_pb2 import BaseAccount
from cosmpy.protos.cosmos.auth.v1beta1.query_pb2 import QueryAccountRequest, QueryAccountResponse
from cosmpy.protos.cosmos.bank.v1beta1.query_pb2 import QueryBalanceRequest, QueryBalanceResponse
from cosmpy.protos.cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmpy.protos.cosmos.base.v1beta1.coin_pb2 import Coin
from cosmpy.protos.cosmwasm.wasm.v1.query_pb2 import (
    QueryCodeRequest,
    QueryCodeResponse,
    QuerySmartContractStateRequest,
    QuerySmartContractStateResponse,
)
from cosmpy.protos.cosmwasm.wasm.v1.tx_pb2 import (
    MsgExecuteContract,
    MsgInstantiateContract,
    MsgMigrateContract,
    MsgStoreCode,
)

from support.contracts import RevertError
from support.loop_thread import LoopThread, loop_thread
from vagus.adapters.cosmos.devnet import DENOM, DEV_KEYS, GAS_PRICE, PREFIX, Wasmd
from vagus.daemon.wasmd import wasmd_path

__all__ = ["Chain", "Result", "RevertError", "contract_of", "running_wasmd", "short"]

GAS = 5_000_000
_ACCOUNT = "/cosmos.auth.v1beta1.Query/Account"
# What a node puts around a contract's own words.
_REASON = re.compile(
    r"message index: \d+: (?:dispatch: submessages: )*(.*): (?:execute|instantiate) wasm contract"
)

Result = dict[str, Any]


class Chain:
    """One running node. Accounts are named as their 20 bytes in hex, with 0x in front."""

    def __init__(self, node: Wasmd, thread: LoopThread) -> None:
        self.node = node
        self.chain_id = node.chain_id
        self._thread = thread
        keys = [PrivateKey(bytes.fromhex(key.removeprefix("0x"))) for key in DEV_KEYS]
        wallets = [LocalWallet(key, prefix=PREFIX) for key in keys]
        self._wallets = {short(str(wallet.address())): wallet for wallet in wallets}
        self.accounts = list(self._wallets)
        self._codes: dict[Path, Result] = {}

    # Blocks and their time

    @property
    def now(self) -> int:
        """The newest block's time in whole seconds, as contracts see it."""
        from datetime import datetime

        text = self.rpc("block")["block"]["header"]["time"]
        return int(datetime.fromisoformat(text[:19] + "+00:00").timestamp())

    def at(self, timestamp: int) -> None:
        """Let the next block but one, which has the next transaction, have this time."""
        self._thread.run(self.node.at(timestamp))

    # What the node is asked

    def rpc(self, method: str, **params: Any) -> Any:
        """The result of one call of CometBFT's JSON-RPC; RuntimeError on an error."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.node.rpc, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def ask(self, path: str, question: Any, answer: Any) -> Any:
        """One gRPC query of the state at the newest block; RuntimeError on an error."""
        found = self.rpc("abci_query", path=path, data=question.SerializeToString().hex())
        response = found["response"]
        if response["code"]:
            raise RuntimeError(response["log"])
        return answer.FromString(base64.b64decode(response["value"] or ""))

    def query(self, contract: str, message: Any) -> Any:
        """A contract's answer."""
        answer = self.ask(
            "/cosmwasm.wasm.v1.Query/SmartContractState",
            QuerySmartContractStateRequest(
                address=contract, query_data=json.dumps(message).encode()
            ),
            QuerySmartContractStateResponse,
        )
        return json.loads(answer.data)

    def balance(self, address: str, denom: str = DENOM) -> int:
        """What an account has of a denom; `address` in bech32."""
        question = QueryBalanceRequest(address=address, denom=denom)
        answer = self.ask("/cosmos.bank.v1beta1.Query/Balance", question, QueryBalanceResponse)
        return int(answer.balance.amount)

    def bech32(self, account: str) -> str:
        """An account's address as the chain spells it; contracts are spelt so already."""
        if not account.startswith("0x"):
            return account
        return str(Address(bytes.fromhex(account[2:]), prefix=PREFIX))

    # Transactions

    def store(self, wasm: Path) -> int:
        """The code id of a contract's build, stored once a chain."""
        return int(attribute(self.uploaded(wasm), "store_code", "code_id"))

    def uploaded(self, wasm: Path) -> Result:
        """The transaction that stored a contract's build."""
        if wasm not in self._codes:
            code = gzip.compress(wasm.read_bytes(), mtime=0)
            message = MsgStoreCode(sender=self.bech32(self.accounts[0]), wasm_byte_code=code)
            self._codes[wasm] = self.send(message, self.accounts[0], gas=20_000_000)
        return self._codes[wasm]

    def create(
        self,
        wasm: Path,
        message: Any,
        admin: str | None = None,
        funds: dict[str, int] | None = None,
    ) -> Result:
        """The transaction that made a new contract, by the first account."""
        sender = self.accounts[0]
        create = MsgInstantiateContract(
            sender=self.bech32(sender),
            admin=self.bech32(admin) if admin else "",
            code_id=self.store(wasm),
            label="test",
            msg=json.dumps(message).encode(),
            funds=_coins(funds),
        )
        return self.send(create, sender)

    def instantiate(self, wasm: Path, message: Any) -> str:
        """A new contract's address."""
        return contract_of(self.create(wasm, message))

    def migrate(self, contract: str, wasm: Path, sender: str) -> Result:
        """Replace a contract's code; the transaction's result, or `RevertError`."""
        change = MsgMigrateContract(
            sender=self.bech32(sender), contract=contract, code_id=self.store(wasm), msg=b"{}"
        )
        return self.send(change, sender)

    def code_hash(self, code_id: int) -> str:
        """The sha256 of a stored code, in hex."""
        question = QueryCodeRequest(code_id=code_id)
        answer = self.ask("/cosmwasm.wasm.v1.Query/Code", question, QueryCodeResponse)
        return answer.code_info.data_hash.hex()

    def execute(
        self,
        contract: str,
        message: Any,
        sender: str,
        funds: dict[str, int] | None = None,
        gas: int = GAS,
    ) -> Result:
        """Call a contract; its transaction's result, or `RevertError`."""
        return self.execute_many(contract, [message], sender, funds, gas)

    def execute_many(
        self,
        contract: str,
        messages: list[Any],
        sender: str,
        funds: dict[str, int] | None = None,
        gas: int = 40 * GAS,
    ) -> Result:
        """Call a contract several times in one transaction, each time with the same coins."""
        calls = [
            MsgExecuteContract(
                sender=self.bech32(sender),
                contract=contract,
                msg=message if isinstance(message, bytes) else json.dumps(message).encode(),
                funds=_coins(funds),
            )
            for message in messages
        ]
        return self.send(calls, sender, gas)

    def pay(self, address: str, amount: int, denom: str = DENOM, payer: str | None = None) -> None:
        """Send an account coins, from the first one unless told otherwise."""
        payer = payer or self.accounts[0]
        coins = _coins({denom: amount})
        message = MsgSend(from_address=self.bech32(payer), to_address=address, amount=coins)
        self.send(message, payer)

    def send(self, messages: Any, sender: str, gas: int = GAS) -> Result:
        """Put a transaction into the next block: its result with height and fee, or `RevertError`."""
        wallet = self._wallets[sender]
        path, question = _ACCOUNT, QueryAccountRequest(address=str(wallet.address()))
        found = self.ask(path, question, QueryAccountResponse)
        account = BaseAccount.FromString(found.account.value)
        transaction = Transaction()
        for message in messages if isinstance(messages, list) else [messages]:
            transaction.add_message(message)
        fee = math.ceil(gas * float(GAS_PRICE))
        signing = SigningCfg.direct(wallet.public_key(), account.sequence)
        transaction.seal(signing, TxFee(f"{fee}{DENOM}", gas_limit=gas))
        transaction.sign(wallet.signer(), self.chain_id, account.account_number)
        raw = transaction.complete().tx.SerializeToString()
        checked = self.rpc("broadcast_tx_sync", tx=base64.b64encode(raw).decode())
        if checked["code"]:
            raise RuntimeError(checked["log"])
        self._thread.run(self.node.advance())
        (result,) = self.results(self.node.height)
        if result["code"]:
            said = _REASON.search(result["log"])
            raise RevertError(said[1] if said else result["log"])
        return result | {"height": self.node.height, "fee": fee}

    def results(self, height: int) -> list[Result]:
        """What the transactions of a block came to."""
        return self.rpc("block_results", height=str(height))["txs_results"] or []


def _coins(funds: dict[str, int] | None) -> list[Coin]:
    return [Coin(denom=denom, amount=str(n)) for denom, n in sorted((funds or {}).items())]


def contract_of(created: Result) -> str:
    """The address of the contract that a transaction made."""
    return attribute(created, "instantiate", "_contract_address")


def attribute(result: Result, kind: str, key: str) -> str:
    """The one attribute of a result's events of a kind."""
    (value,) = {
        found["value"]
        for event in result["events"]
        if event["type"] == kind
        for found in event["attributes"]
        if found["key"] == key
    }
    return value


def short(address: str) -> str:
    """A bech32 address as its bytes in hex, with 0x in front."""
    return "0x" + bytes(Address(address)).hex()


@contextlib.contextmanager
def running_wasmd(chain_id: str = "vagus-1") -> Iterator[Chain]:
    """A fresh chain, gone at the end."""
    with loop_thread() as thread:
        yield Chain(thread.enter(Wasmd(wasmd_path(), chain_id, steered=True)), thread)
