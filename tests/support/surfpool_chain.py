"""A Surfpool node as `support.hub_solana` drives a chain: transactions, accounts and time, over its RPC."""

import base64
import contextlib
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import orjson
import urllib3
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from support.litesvm import (
    LAMPORTS,
    LOADER,
    MOST_UNITS,
    PACKET,
    FailedError,
    Sent,
    lookup_table,
)
from support.loop_thread import loop_thread
from support.surfpool import Surfpool, running_surfpool
from vagus.protocol import base58

__all__ = ["SurfpoolChain", "running_surfpool_chain"]

PATIENCE = 30.0


class SurfpoolChain:
    """One node with its clock stopped: a slot comes by order alone."""

    def __init__(self, node: Surfpool) -> None:
        self._node = node
        self._http = urllib3.PoolManager(retries=False, timeout=PATIENCE)
        self.genesis: str = self.call("getGenesisHash")
        self.call("surfnet_pauseClock")
        self.hubs = self._sent = 0
        self.units = MOST_UNITS
        self.tables: list[AddressLookupTableAccount] = []

    def call(self, method: str, *params: Any) -> Any:
        """Call a method; `FailedError` where a transaction fails."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        try:
            answer = self._http.request(
                "POST",
                self._node.rpc,
                body=orjson.dumps(request),
                headers={"Content-Type": "application/json"},
            )
        except urllib3.exceptions.HTTPError as error:
            raise AssertionError(f"{method}: {error}. {self._node.last_words()}") from error
        found = orjson.loads(answer.data)
        if "error" not in found:
            return found["result"]
        data = found["error"].get("data") or {}
        if isinstance(data, dict) and data.get("err"):
            raise _failed(data["err"], data.get("logs") or [])
        raise AssertionError(found["error"])

    @property
    def now(self) -> int:
        """The chain's time."""
        clock = self.account(Pubkey.from_string("SysvarC1ock11111111111111111111111111111111"))
        assert clock is not None
        return int.from_bytes(clock.data[32:40], "little", signed=True)

    def at(self, timestamp: int) -> None:
        """Let the next transaction happen at this time."""
        if timestamp != self.now:
            self.call("surfnet_timeTravel", {"absoluteTimestamp": timestamp * 1000})
            self.call("surfnet_pauseClock")
        deadline = time.monotonic() + PATIENCE
        while self.now != timestamp:
            assert time.monotonic() < deadline, f"the clock says {self.now}, not {timestamp}"

    def fund(self, key: Pubkey, lamports: int = 100 * LAMPORTS) -> None:
        """Give an account lamports."""
        self.call("surfnet_setAccount", str(key), {"lamports": lamports})

    def account(self, key: Pubkey) -> Account | None:
        """An account as it is now."""
        found = self.call(
            "getAccountInfo", str(key), {"encoding": "base64", "commitment": "processed"}
        )["value"]
        if found is None:
            return None
        data = base64.b64decode(found["data"][0])
        return Account(
            found["lamports"], data, Pubkey.from_string(found["owner"]), found["executable"]
        )

    def rent(self, size: int) -> int:
        """The least that an account of this size has, by the node's own word."""
        return self.call("getMinimumBalanceForRentExemption", size)

    def look_up(self, keys: Sequence[Pubkey]) -> None:
        """Let all transactions name these accounts through a lookup table."""
        key, account = lookup_table(keys)
        self.put(key, account)
        self.tables.append(AddressLookupTableAccount(key, list(keys)))

    def put(self, key: Pubkey, account: Account) -> None:
        """Put an account in place, whatever was there."""
        values = {
            "lamports": account.lamports,
            "owner": str(account.owner),
            "data": bytes(account.data).hex(),
        }
        self.call("surfnet_setAccount", str(key), values)

    def program(self, key: Pubkey, code: bytes, authority: Pubkey | None) -> None:
        """Put a program in place, as the upgradeable loader keeps it."""
        data_key, _ = Pubkey.find_program_address([bytes(key)], LOADER)
        self.call("surfnet_writeProgram", str(key), code.hex(), 0)
        self.call("surfnet_setProgramAuthority", str(key), authority and str(authority))
        assert self.account(data_key) is not None

    def send(self, instructions: Sequence[Instruction], signers: Sequence[Keypair]) -> Sent:
        """Execute instructions in one transaction, in the slot that is now."""
        self._sent += 1
        latest = self.call("getLatestBlockhash", {"commitment": "processed"})["value"]
        message = MessageV0.try_compile(
            signers[0].pubkey(),
            # The clock stands still, and with it the blockhash: alike calls have to differ somehow.
            [set_compute_unit_limit(self.units - self._sent % 10_000), *instructions],
            self.tables,
            Hash.from_string(latest["blockhash"]),
        )
        unique = list({bytes(key.pubkey()): key for key in signers}.values())
        raw = bytes(VersionedTransaction(message, unique))
        assert len(raw) <= PACKET, "over the size of a transaction"
        options = {"encoding": "base64", "preflightCommitment": "processed"}
        signature = self.call("sendTransaction", base64.b64encode(raw).decode(), options)
        meta = self._meta(signature)
        if meta["err"]:
            raise _failed(meta["err"], meta["logMessages"])
        returned = (meta.get("returnData") or {}).get("data", ["", ""])[0]
        return Sent(
            logs=meta["logMessages"],
            units=meta["computeUnitsConsumed"],
            size=len(raw),
            returned=base64.b64decode(returned),
            inner=[
                base58.decode(each["data"])
                for group in meta["innerInstructions"]
                for each in group["instructions"]
            ],
        )

    def _meta(self, signature: str) -> dict[str, Any]:
        options = {
            "encoding": "base64",
            "commitment": "confirmed",
            "maxSupportedTransactionVersion": 0,
        }
        deadline = time.monotonic() + PATIENCE
        while (found := self.call("getTransaction", signature, options)) is None:
            assert time.monotonic() < deadline, f"{signature} was taken and is not there"
        meta: dict[str, Any] = found["meta"]
        return meta


def _failed(err: Any, logs: list[str]) -> FailedError:
    """The failure as LiteSVM would say it: its instruction, and the program's code or the runtime's name."""
    place, inner = err["InstructionError"] if isinstance(err, dict) else (None, err)
    code = inner.get("Custom") if isinstance(inner, dict) else None
    return FailedError(
        SimpleNamespace(index=place, err=SimpleNamespace(code=code, name=inner)), logs
    )


@contextlib.contextmanager
def running_surfpool_chain() -> Iterator[SurfpoolChain]:
    """A fresh node, gone at the end."""
    with loop_thread() as thread:
        yield SurfpoolChain(thread.enter(running_surfpool(50)))
