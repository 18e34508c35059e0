"""The committee's roster: who its members are, where they are paid, what gas is worth.

Every member has the same roster; its digest is the hub's rosterHash.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from vagus.protocol import MAX_SIGNERS, FeeFormula, Refuse, caip2, document_hash, pack_address

__all__ = ["UNIT", "Member", "Roster"]

UNIT = 10**18
"""Amounts of manifests and rosters per one of the committee's unit of account: a coin of EVM chains."""


def _signer(text: str) -> str:
    if len(text) != 42 or not text.startswith("0x") or text != text.lower():
        raise ValueError("a signer is 0x and 40 lower-case hex digits: see `vagus keys show`")
    bytes.fromhex(text[2:])
    return text


Chain = Annotated[str, AfterValidator(caip2)]
# As JSON a decimal string: amounts pass what a JSON number carries.
Amount = Annotated[int, Field(ge=0, lt=1 << 256), PlainSerializer(str, when_used="json")]


class Member(BaseModel):
    """One member: its signer's Ethereum address, and an address on each chain.

    The address on a chain is where the member is paid, and from where it delivers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    signer: Annotated[str, AfterValidator(_signer)]
    addresses: dict[Chain, str] = {}

    @model_validator(mode="after")
    def _addresses_fit(self) -> Self:
        for chain, address in self.addresses.items():
            pack_address(chain, address)
        return self

    def payee(self, chain: str) -> bytes:
        """Return the member's packed address on a chain; Refuse where the roster has none."""
        if chain not in self.addresses:
            raise Refuse(f"the roster has no address of {self.signer} on {chain}")
        return pack_address(chain, self.addresses[chain])


class Roster(BaseModel):
    """The members, per destination what a delivery's gas is allowed to cost, and what coins are worth.

    `gas_allowance` is by the destination's CAIP-2, in the committee's unit of account, as agents'
    fees and compute costs are. `rates` says by CAIP-2 how many of the smallest unit of a chain's coin
    are worth 10^18 of it; a chain without a rate has 10^18, as EVM chains' coins do. A rate of 10^9
    makes a lamport worth a gwei. Every member has the same ones, so that all compute one fee.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: tuple[Member, ...]
    gas_allowance: dict[Chain, Amount] = {}
    rates: dict[Chain, Annotated[Amount, Field(ge=1)]] = {}

    @model_validator(mode="after")
    def _is_a_set(self) -> Self:
        if not 1 <= len(self.members) <= MAX_SIGNERS:
            raise ValueError(f"a committee has 1 to {MAX_SIGNERS} members")
        if len({member.signer for member in self.members}) < len(self.members):
            raise ValueError("a signer is there more than once")
        return self

    def allowance(self, dest: str, origin: str) -> int:
        """Return what delivering to `dest` may cost in the coin of `origin`; Refuse without one."""
        if dest not in self.gas_allowance:
            raise Refuse(f"the roster allows no gas on {dest}")
        return self.to_coin(origin, self.gas_allowance[dest])

    def fee(self, formula: FeeFormula, origin: str) -> FeeFormula:
        """Return an agent's formula in the coin of `origin`."""
        return FeeFormula(self.to_coin(origin, formula.base), formula.markup_bps)

    def to_coin(self, chain: str, amount: int) -> int:
        """Return an amount of the unit of account in the smallest unit of a chain's coin, rounded down."""
        return amount * self.rates.get(chain, UNIT) // UNIT

    def from_coin(self, chain: str, amount: int) -> int:
        """Return an amount of a chain's smallest unit in the unit of account, rounded down."""
        return amount * UNIT // self.rates.get(chain, UNIT)

    def member(self, signer: bytes) -> Member:
        """Return the member with this signer (20 bytes); Refuse for a stranger."""
        for member in self.members:
            if bytes.fromhex(member.signer[2:]) == signer:
                return member
        raise Refuse(f"0x{signer.hex()} is not in the roster")

    def deliverer(self, chain: str, packed: bytes) -> Member | None:
        """Return the member who delivers from a packed address on a chain; None for a stranger."""
        for member in self.members:
            if chain in member.addresses and member.payee(chain) == packed:
                return member
        return None

    def digest(self) -> bytes:
        """Return the rosterHash, 32 bytes."""
        document: dict[str, Any] = self.model_dump(mode="json")
        return document_hash(document)
