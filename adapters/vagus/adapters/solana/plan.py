"""An order as transactions: one where it fits, else what prepares it first. No I/O.

A transaction has 1,232 bytes. Arguments that are longer are written to a staging account over several
transactions, each of which may come twice or out of order but for the first. Credits that a settlement
needs are opened in its own transaction if they fit, else before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import Instruction
from solders.signature import Signature

from vagus.adapters.solana import hub
from vagus.adapters.solana.hub import Found, Order, Staging
from vagus.adapters.solana.lifetimes import Lifetime
from vagus.adapters.solana.records import Places
from vagus.adapters.solana.wallet import Wallet
from vagus.protocol import Refuse, keccak256

__all__ = ["BASE_FEE", "Part", "Plan", "Signed"]

MAX_BYTES = 1_232
BASE_FEE = 5_000
"""Lamports of a transaction with one signature."""

_CHUNK = 860
_CREDITS = 8
_FIRST_CREDITS = 100
_OPEN_UNITS = 60_000
_WRITE_UNITS = 20_000
_CREDIT_UNITS = 30_000
_CLOSE_UNITS = 20_000
_SIGNATURE = slice(1, 65)


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """A signed transaction, and the last block height that may hold it."""

    raw: bytes
    until: int

    @property
    def tx_id(self) -> str:
        """Its first signature, which names it."""
        return str(Signature(self.raw[_SIGNATURE]))


class Part(msgspec.Struct, frozen=True):
    """A transaction that prepares a call: its number within the plan, what it does, its compute units."""

    number: int
    instructions: list[Instruction]
    units: int


class Plan:
    """How one order is carried out by one account."""

    def __init__(
        self, places: Places, wallet: Wallet, order: Order, nonce: int, found: Found
    ) -> None:
        self._places = places
        self._wallet = wallet
        self._order = order
        self._nonce = nonce
        self._found = found
        arguments = hub.arguments_of(order, nonce)
        # What is staged names its place: the same call of another process goes on with what is there.
        number = keccak256(bytes((order.kind,)) + arguments)[:8]
        self.staging = Staging(places, wallet.key, int.from_bytes(number, "little"), arguments)
        self.staged = not _fits(wallet, [self._call(staged=False)])
        """Whether the arguments are too long for the call's own transaction."""

    def calls(self) -> list[Instruction]:
        """Return the instructions of the call's transaction. Raises `Refuse` if no transaction holds them."""
        call = [self._call(staged=self.staged)]
        if self.staged:
            call.append(self.staging.close())
        if not _fits(self._wallet, call):
            accounts = len(call[0].accounts)
            raise Refuse(f"the call names {accounts} accounts, more than a transaction holds")
        opened = self._opened()
        return [*opened, *call] if _fits(self._wallet, [*opened, *call]) else call

    @property
    def opens_itself(self) -> bool:
        """Whether the call's transaction opens the credits that it needs."""
        return len(self.calls()) > 1 + self.staged or not self._found.unopened

    def credits(self) -> list[Part]:
        """Return what opens credits beforehand."""
        if self.opens_itself:
            return []
        opened, parts = self._opened(), []
        for first in range(0, len(opened), _CREDITS):
            group = opened[first : first + _CREDITS]
            number = _FIRST_CREDITS + first // _CREDITS
            parts.append(Part(number, group, _CREDIT_UNITS * len(group)))
        return parts

    def staging_parts(self, written: bytes | None) -> list[Part]:
        """Return what lacks in the staging account, of which `written` is there; None: no account."""
        wanted = self.staging.arguments
        if written is None or len(written) != len(wanted):
            opened = self.staging.open()
            first = self.staging.write(0, wanted[:_CHUNK])
            return [Part(0, [*opened, first], _OPEN_UNITS * len(opened))]
        return [
            Part(
                1 + at // _CHUNK,
                [self.staging.write(at, wanted[at : at + _CHUNK])],
                _WRITE_UNITS,
            )
            for at in range(0, len(wanted), _CHUNK)
            if written[at : at + _CHUNK] != wanted[at : at + _CHUNK]
        ]

    def transactions(self) -> int:
        """Return how many transactions it takes from nothing."""
        chunks = -(-len(self.staging.arguments) // _CHUNK) if self.staged else 0
        return 1 + chunks + len(self.credits())

    def closing(self) -> Part:
        """Return what gives the rent of the staging account back."""
        return Part(0, [self.staging.close()], _CLOSE_UNITS)

    async def sign(
        self, instructions: Sequence[Instruction], units: int, price: int, life: Lifetime
    ) -> Signed:
        """Sign a transaction. Raises `Refuse` if it is too long."""
        budgeted = _budgeted(instructions, units, price)
        raw = bytes(await self._wallet.sign(budgeted, life.blockhash))
        if len(raw) > MAX_BYTES:
            raise Refuse(f"a transaction of {len(raw)} bytes: the chain takes {MAX_BYTES}")
        return Signed(raw, life.until)

    def unsigned(
        self, instructions: Sequence[Instruction], units: int, price: int, life: Lifetime
    ) -> bytes:
        """Return a transaction as it is simulated."""
        return bytes(self._wallet.unsigned(_budgeted(instructions, units, price), life.blockhash))

    def _call(self, *, staged: bool) -> Instruction:
        staging = self.staging.key if staged else None
        return hub.call(
            self._places, self._order, self._wallet.key, self._nonce, self._found, staging
        )

    def _opened(self) -> list[Instruction]:
        return [
            hub.open_credit(self._places, self._wallet.key, owner) for owner in self._found.unopened
        ]


def _budgeted(instructions: Sequence[Instruction], units: int, price: int) -> list[Instruction]:
    return [set_compute_unit_limit(units), set_compute_unit_price(price), *instructions]


def _fits(wallet: Wallet, instructions: Sequence[Instruction]) -> bool:
    try:
        tx = wallet.unsigned(_budgeted(instructions, 1, 1), bytes(32))
    except ValueError:  # more accounts than a message can count
        return False
    return len(bytes(tx)) <= MAX_BYTES
