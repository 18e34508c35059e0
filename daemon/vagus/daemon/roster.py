"""The committee's roster: who its members are, where they are paid, what gas is worth.

Every member has the same roster; its digest is the hub's rosterHash.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from vagus.protocol import Refuse, caip2, document_hash, pack_address

__all__ = ["Member", "Roster"]


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

    def payee(self, chain: str) -> bytes:
        """Return the member's packed address on a chain; Refuse where the roster has none."""
        if chain not in self.addresses:
            raise Refuse(f"the roster has no address of {self.signer} on {chain}")
        return pack_address(chain, self.addresses[chain])


class Roster(BaseModel):
    """The members, and per destination what a delivery's gas is allowed to cost.

    `gas_allowance` is in the smallest unit of the origin's coin, by the destination's CAIP-2.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: Annotated[tuple[Member, ...], Field(min_length=1, max_length=32)]
    gas_allowance: dict[Chain, Amount] = {}

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
