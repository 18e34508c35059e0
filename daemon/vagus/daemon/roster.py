"""The committee's roster: who its members are, what they serve, where they are paid, what gas is worth.

Every member has the same roster; its digest is the hub's rosterHash. It has no epoch: one roster is
signed for several hubs, each of which counts its own.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    model_validator,
)

from vagus.compute.money import UNIT
from vagus.daemon.member import Chain, Member
from vagus.daemon.strict_json import read_json
from vagus.protocol import (
    MAX_SIGNERS,
    FeeFormula,
    Refuse,
    agent_digest,
    agent_id,
    canonical,
    keccak256,
)
from vagus.protocol.envelope import network_id

__all__ = ["MAX_ROSTER", "UNIT", "AgentEntry", "Member", "Roster", "is_roster", "read_roster"]

MAX_ROSTER = 65_536
"""Bytes of a roster's document: 32 members with an address on six chains each, and their agents."""


def _agent(name: str) -> str:
    agent_id(name)
    return name


def _ascending(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """One committee has one document."""
    return tuple(sorted(members, key=lambda member: member.signer))


# As JSON a decimal string: amounts pass what a JSON number carries.
Amount = Annotated[int, Field(ge=0, lt=1 << 256), PlainSerializer(str, when_used="json")]


class AgentEntry(BaseModel):
    """An agent as the committee serves it: its full version, and its whole config.

    Name, version and config are what agentDigest is of, so the config has its defaults written out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9A-Za-z-]+)*$", max_length=64)]
    config: dict[str, JsonValue] = {}


class Roster(BaseModel):
    """A network's name and members, its agents, what deliveries may cost, what coins are worth.

    `agents` is by `name@major`; where it has any, all members serve these and no others.
    `gas_allowance` is by the destination's CAIP-2, in the committee's unit of account, as agents'
    fees and compute costs are. `rates` says by CAIP-2 how many of the smallest unit of a chain's coin
    are worth 10^18 of it; a chain without a rate has 10^18, as EVM chains' coins do. A rate of 10^9
    makes a lamport worth a gwei. Every member has the same ones, so that all compute one fee.
    `before` is the rosterHash of the one that it replaced: members who come later settle by that what
    was delivered earlier.

    Members are in the order of their signers, in whichever they were given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] = "vagus-devnet"
    members: Annotated[tuple[Member, ...], AfterValidator(_ascending)]
    agents: dict[Annotated[str, AfterValidator(_agent)], AgentEntry] = {}
    gas_allowance: dict[Chain, Amount] = {}
    rates: dict[Chain, Annotated[Amount, Field(ge=1)]] = {}
    before: Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _is_a_committee(self) -> Self:
        if not 1 <= len(self.members) <= MAX_SIGNERS:
            raise ValueError(f"a committee has 1 to {MAX_SIGNERS} members")
        signers = [member.signer for member in self.members]
        transports = [member.transport for member in self.members if member.transport is not None]
        for what, keys in (("signer", signers), ("transport key", transports)):
            if twice := {key for key in keys if keys.count(key) > 1}:
                raise ValueError(f"the {what} {min(twice)} is there more than once")
        if both := set(signers) & set(transports):
            raise ValueError(
                f"{min(both)} is a signer and a transport key: give each a key of its own"
            )
        if len(signers) > 1 and len(transports) < len(signers):
            without = next(each.signer for each in self.members if each.transport is None)
            raise ValueError(
                f"{without} has no transport key, and members of a committee of {len(signers)} talk: "
                "`vagus committee member` prints it"
            )
        for name, entry in self.agents.items():
            if entry.version.split(".")[0] != name.split("@")[1]:
                raise ValueError(f"version {entry.version} is none of {name}")
        # A config that has no canonical form has no digest.
        if len(canonical(self.model_dump(mode="json"))) > MAX_ROSTER:
            raise ValueError(f"a roster has at most {MAX_ROSTER} bytes")
        return self

    @property
    def network(self) -> bytes:
        """Which committee an envelope belongs to, 32 bytes: the Keccak-256 of its name."""
        return network_id(self.name)

    @property
    def signers(self) -> tuple[bytes, ...]:
        """The members' signers, 20 bytes each, ascending: the set that hubs are to have."""
        return tuple(member.address for member in self.members)

    @property
    def follows(self) -> bytes | None:
        """The rosterHash of the roster before this one, 32 bytes; None for a first one."""
        return None if self.before is None else bytes.fromhex(self.before[2:])

    def agent_digest(self, name: str) -> bytes:
        """Return the agentDigest of `name@major`, 32 bytes; Refuse where the roster has no such agent."""
        if name not in self.agents:
            raise Refuse(f"the roster has no agent {name}")
        entry = self.agents[name]
        return agent_digest(name.split("@", maxsplit=1)[0], entry.version, entry.config)

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
            if member.address == signer:
                return member
        raise Refuse(f"0x{signer.hex()} is not in the roster")

    def deliverer(self, chain: str, packed: bytes) -> Member | None:
        """Return the member who delivers from a packed address on a chain; None for a stranger."""
        for member in self.members:
            if chain in member.addresses and member.payee(chain) == packed:
                return member
        return None

    def document(self) -> bytes:
        """Return the document that the digest is of: RFC 8785 JSON, null for what is not given.

        A first roster has no key `before`.
        """
        written: dict[str, Any] = self.model_dump(mode="json")
        if self.before is None:
            del written["before"]
        return canonical(written)

    def digest(self) -> bytes:
        """Return the rosterHash, 32 bytes."""
        return keccak256(self.document())


def is_roster(document: bytes) -> bool:
    """Whether these bytes are a roster's document: what its digest is of, and nothing else."""
    try:
        return read_roster(document).document() == document
    except ValueError:
        return False


def read_roster(data: bytes) -> Roster:
    """Read a roster's JSON, whatever its layout. Raises ValueError; pydantic's names the places."""
    return Roster.model_validate(read_json(data, MAX_ROSTER))
