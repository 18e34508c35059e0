"""LiteSVM as a test drives it: transactions, accounts and time, in this process.

A client of a hub needs no more of a chain than this class has: another node may stand in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from solders.account import Account
from solders.address_lookup_table_account import ID, AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

__all__ = ["LAMPORTS", "MOST_UNITS", "PACKET", "FailedError", "LiteChain", "Sent", "lookup_table"]

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
LAMPORTS = 10**9
PACKET = 1232  # bytes of a transaction
MOST_UNITS = 1_400_000  # that a transaction may ask for
START = 1_800_000_000  # the chain's first second


@dataclass(frozen=True)
class Sent:
    """A transaction that succeeded."""

    logs: list[str]
    units: int
    size: int  # bytes of the transaction
    returned: bytes
    inner: list[bytes]  # the data of each instruction that a program made


class FailedError(Exception):
    """A transaction that failed: the instruction's place, and its program's code where it gave one."""

    def __init__(self, error: object, logs: list[str]) -> None:
        super().__init__(f"{error}\n" + "\n".join(logs))
        inner = getattr(error, "err", None)
        self.place: int | None = getattr(error, "index", None)
        self.code: int | None = getattr(inner, "code", None)
        self.text = str(inner if inner is not None else error)


def lookup_table(keys: Sequence[Pubkey]) -> tuple[Pubkey, Account]:
    """A lookup table of these keys, that is in use and was last extended in slot 0, by nobody."""
    table = Pubkey.find_program_address([b"".join(map(bytes, keys))[:32]], LOADER)[0]
    head = (1).to_bytes(4, "little") + b"\xff" * 8 + bytes(8) + bytes(1 + 33 + 2)
    return table, Account(LAMPORTS, head + b"".join(map(bytes, keys)), ID)


class LiteChain:
    """One chain of its own."""

    genesis = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1"  # 32 letters, as the runtime can't tell its own
    hubs = 0  # that tests have made here
    units = MOST_UNITS  # compute units that a transaction asks for

    def __init__(self) -> None:
        # The features that the public cluster has, no more.
        self.tables: list[AddressLookupTableAccount] = []
        self.svm = LiteSVM().with_mainnet_features().with_transaction_history(0)
        self.at(START)

    @property
    def now(self) -> int:
        """The chain's time."""
        return self.svm.get_clock().unix_timestamp

    def at(self, timestamp: int) -> None:
        """Let the next transaction happen at this time, a slot later."""
        clock = self.svm.get_clock()
        clock.unix_timestamp = timestamp
        clock.slot += 1
        self.svm.set_clock(clock)

    def fund(self, key: Pubkey, lamports: int = 100 * LAMPORTS) -> None:
        """Give an account lamports."""
        self.svm.airdrop(key, lamports)

    def account(self, key: Pubkey) -> Account | None:
        """An account as it is now."""
        return self.svm.get_account(key)

    def rent(self, size: int) -> int:
        """The least that an account of this size has, by the runtime's own word."""
        return self.svm.minimum_balance_for_rent_exemption(size)

    def put(self, key: Pubkey, account: Account) -> None:
        """Put an account in place, whatever was there."""
        self.svm.set_account(key, account)

    def program(self, key: Pubkey, code: bytes, authority: Pubkey | None) -> None:
        """Put a program in place, as the upgradeable loader keeps it."""
        data_key, _ = Pubkey.find_program_address([bytes(key)], LOADER)
        may = b"\0" + bytes(32) if authority is None else b"\1" + bytes(authority)
        data = (3).to_bytes(4, "little") + bytes(8) + may + code
        self.svm.set_account(data_key, Account(LAMPORTS, data, LOADER))
        body = (2).to_bytes(4, "little") + bytes(data_key)
        self.svm.set_account(key, Account(LAMPORTS, body, LOADER, True))

    def look_up(self, keys: Sequence[Pubkey]) -> None:
        """Let all transactions name these accounts through a lookup table."""
        table, account = lookup_table(keys)
        self.svm.set_account(table, account)
        self.tables.append(AddressLookupTableAccount(table, list(keys)))

    def transaction(
        self, instructions: Sequence[Instruction], signers: Sequence[Keypair]
    ) -> VersionedTransaction:
        """A signed transaction that the first signer pays for."""
        self.svm.expire_blockhash()
        message = MessageV0.try_compile(
            signers[0].pubkey(),
            [set_compute_unit_limit(self.units), *instructions],
            self.tables,
            self.svm.latest_blockhash(),
        )
        unique = list({bytes(key.pubkey()): key for key in signers}.values())
        return VersionedTransaction(message, unique)

    def attempt(
        self, instructions: Sequence[Instruction], signers: Sequence[Keypair]
    ) -> FailedError | None:
        """Say how instructions would fail, if they would; nothing changes."""
        done = self.svm.simulate_transaction(self.transaction(instructions, signers))
        if isinstance(done, FailedTransactionMetadata):
            return FailedError(done.err(), done.meta().logs())
        return None

    def send(self, instructions: Sequence[Instruction], signers: Sequence[Keypair]) -> Sent:
        """Execute instructions in one transaction."""
        transaction = self.transaction(instructions, signers)
        size = len(bytes(transaction))
        assert size <= PACKET, "over the size of a transaction"
        done = self.svm.send_transaction(transaction)
        if isinstance(done, FailedTransactionMetadata):
            raise FailedError(done.err(), done.meta().logs())
        return Sent(
            logs=done.logs(),
            units=done.compute_units_consumed(),
            size=size,
            returned=bytes(done.return_data().data),
            inner=[bytes(i.instruction().data) for each in done.inner_instructions() for i in each],
        )
