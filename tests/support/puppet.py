"""The program of the tests that does as it is told, contracts/solana/puppet."""

from collections.abc import Sequence
from pathlib import Path

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from support.hub_solana import Chain, SolanaHub, person
from support.litesvm import Sent

__all__ = [
    "AUTHORITY",
    "FAIL",
    "PUPPET",
    "SPIN",
    "Listed",
    "calling",
    "placed",
    "register",
    "registering",
    "through",
]

PUPPET = person("puppet").pubkey()
FAIL = b"fail"
SPIN = b"spin"  # until all compute units are gone
AUTHORITY, _ = Pubkey.find_program_address([b"vagus"], PUPPET)
Listed = list[tuple[Pubkey, bool]]


def placed(chain: Chain) -> Pubkey:
    """Put the program in place, once a chain; its address."""
    code = Path(__file__).parents[1] / "solana" / "hub" / "puppet.so"
    # Surfpool 1.2.0 panics where a program that nobody may upgrade is written again.
    if chain.account(PUPPET) is None:
        chain.program(PUPPET, code.read_bytes(), None)
    return PUPPET


def calling(metas: Sequence[AccountMeta], data: bytes) -> bytes:
    """The order to call the account behind the first ones with accounts of these flags."""
    flags = bytes(meta.is_writable + 2 * meta.is_signer for meta in metas)
    return b"call" + bytes([len(flags)]) + flags + data


def through(inner: Instruction) -> Instruction:
    """An instruction that the puppet makes, its own authority signing."""
    signs = [
        AccountMeta(m.pubkey, m.is_signer and m.pubkey != AUTHORITY, m.is_writable)
        for m in inner.accounts
    ]
    metas = [AccountMeta(inner.program_id, False, False), *signs]
    return Instruction(PUPPET, calling(inner.accounts, inner.data), metas)


def registering(hub: SolanaHub, listed: Listed, consumer: Pubkey = PUPPET) -> Instruction:
    """The puppet's call that registers accounts for the callback of a consumer."""
    accounts = {
        "payer": hub.key(hub.bob),
        "authority": AUTHORITY,
        "consumer": consumer,
        "registry": hub.pda(b"registry", bytes(consumer)),
    }
    fields = [{"key": bytes(key), "writable": writable} for key, writable in listed]
    data = hub.program.arguments("register", {"accounts": fields})
    return through(hub.program.call("register", accounts, data))


def register(hub: SolanaHub, listed: Listed) -> Sent:
    """Register accounts for the puppet's callback."""
    return hub.execute([registering(hub, listed)], hub.bob)
