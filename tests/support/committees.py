"""Committees for tests: members with keys of their own, and what others compute of a rotation."""

from __future__ import annotations

from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from vagus.adapters.base import Block, HubState
from vagus.daemon.committee.rotation import Approval, HubChange, Proposal
from vagus.daemon.member import Member
from vagus.daemon.roster import Roster
from vagus.protocol import SignerSet

__all__ = ["approval", "hub_state", "key_of", "member", "proposal", "roster", "typed_digest"]

HUB_A = "eip155:31337:0x" + "a1" * 20
HUB_B = "eip155:31338:0x" + "b2" * 20
NOW = 1_800_000_000
ROTATION = [
    {"name": "epoch", "type": "uint64"},
    {"name": "signersHash", "type": "bytes32"},
    {"name": "threshold", "type": "uint64"},
    {"name": "validFrom", "type": "uint64"},
    {"name": "rosterHash", "type": "bytes32"},
]


def key_of(number: int) -> Any:
    """The signer of a member: eth_account's own account."""
    return Account.from_key(bytes([number]) * 32)


def address_of(number: int) -> bytes:
    return bytes.fromhex(key_of(number).address[2:])


def member(number: int, **changes: Any) -> Member:
    own = {
        "signer": key_of(number).address.lower(),
        "transport": Account.from_key(bytes([number + 100]) * 32).address.lower(),
        "addresses": {"eip155:31337": key_of(number).address.lower()},
    }
    return Member.model_validate(own | changes)


def roster(*numbers: int, **changes: Any) -> Roster:
    return Roster.model_validate(
        {"name": "test", "members": [member(number) for number in numbers]} | changes
    )


def proposal(*numbers: int, threshold: int, **changes: Any) -> Proposal:
    """The next epochs of both hubs: 8 on one, 5 on the other."""
    table: dict[str, Any] = {
        "roster": roster(*numbers),
        "threshold": threshold,
        "hubs": (
            HubChange(hub=HUB_A, epoch=8, valid_from=NOW),
            HubChange(hub=HUB_B, epoch=5, valid_from=NOW + 7),
        ),
    }
    return Proposal.model_validate(table | changes)


def typed_digest(found: Proposal, hub: str) -> bytes:
    """A rotation's digest by EIP-712, as eth_account reads it, from the proposal's own fields."""
    change = next(each for each in found.hubs if each.hub == hub)
    signers = sorted(bytes.fromhex(each.signer[2:]) for each in found.roster.members)
    message = encode_typed_data(
        full_message={
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "salt", "type": "bytes32"},
                ],
                "Rotation": ROTATION,
            },
            "primaryType": "Rotation",
            "domain": {"name": "vagus", "version": "1", "salt": keccak(hub.encode())},
            "message": {
                "epoch": change.epoch,
                "signersHash": keccak(b"".join(bytes(12) + each for each in signers)),
                "threshold": found.threshold,
                "validFrom": change.valid_from,
                "rosterHash": keccak(found.roster.document()),
            },
        }
    )
    digest: bytes = keccak(b"\x19" + message.version + message.header + message.body)
    return digest


def approval(number: int, found: Proposal, *hubs: str) -> Approval:
    """What eth_account signs as a member."""
    key = key_of(number)
    return Approval(
        proposal="0x" + keccak(found.document()).hex(),
        signer=key.address.lower(),
        signatures={
            hub: "0x" + bytes(key.unsafe_sign_hash(typed_digest(found, hub)).signature).hex()
            for hub in hubs or (each.hub for each in found.hubs)
        },
    )


def hub_state(*numbers: int, threshold: int, epoch: int, **changes: Any) -> HubState:
    """A hub's state as an adapter would read it."""
    signers = tuple(sorted(address_of(number) for number in numbers))
    values: dict[str, Any] = {
        "at": Block(100, b"\x01" * 32, NOW + 100),
        "next_seq": 1,
        "current": SignerSet(epoch, signers, threshold),
        "roster_hash": roster(*numbers).digest(),
        "previous": None,
        "previous_until": 0,
        "min_fee": 0,
        "min_ttl": 60,
        "max_ttl": 86_400,
        "grace": 3_600,
        "max_callback_gas": 10**6,
        "paused": False,
    }
    return HubState(**(values | changes))
