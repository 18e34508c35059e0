"""The program of the tests that does as it is told, contracts/solana/puppet."""

from collections.abc import Sequence
from pathlib import Path

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from support.hub_solana import SolanaHub, person
from support.litesvm import LiteChain, Sent

__all__ = ["FAIL", "PUPPET", "Listed", "calling", "placed", "register", "registering"]

PUPPET = person("puppet").pubkey()
FAIL = b"fail"
AUTHORITY, _ = Pubkey.find_program_address([b"vagus"], PUPPET)
Listed = list[tuple[Pubkey, bool]]


def placed(chain: LiteChain) -> Pubkey:
    """Put the program in place; its address."""
    code = Path(__file__).parents[1] / "solana" / "hub" / "puppet.so"
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
