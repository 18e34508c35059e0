"""The upgradeable loader's instructions, as bincode has them, and where it keeps a program's code.

Addresses of programs and buffers are derived from who pays (createAccountWithSeed): no key but the
wallet's is needed, and a deployment that was broken off finds again what it wrote.
"""

from __future__ import annotations

import struct

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountWithSeedParams, create_account_with_seed

__all__ = [
    "BUFFER_HEAD",
    "CODE_AT",
    "LOADER",
    "PROGRAM_SIZE",
    "deploy",
    "derived",
    "drop_authority",
    "make",
    "open_buffer",
    "program_data",
    "write_buffer",
]

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
CODE_AT = 45
"""Where the code begins in a ProgramData account."""
BUFFER_HEAD = 37
"""Where it begins in a buffer."""
PROGRAM_SIZE = 36

_SYSTEM = Pubkey.default()
_RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
_CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
_INITIALIZE, _WRITE, _DEPLOY, _SET_AUTHORITY = 0, 1, 2, 4


def derived(payer: Pubkey, seed: str) -> Pubkey:
    """Return the loader's account of a payer and a seed."""
    return Pubkey.create_with_seed(payer, seed, LOADER)


def make(payer: Pubkey, seed: str, size: int, lamports: int) -> Instruction:
    """Make a derived account that the loader owns."""
    return create_account_with_seed(
        CreateAccountWithSeedParams(
            from_pubkey=payer,
            to_pubkey=derived(payer, seed),
            base=payer,
            seed=seed,
            lamports=lamports,
            space=size,
            owner=LOADER,
        )
    )


def program_data(program: Pubkey) -> Pubkey:
    """Return where a program's code is."""
    return Pubkey.find_program_address([bytes(program)], LOADER)[0]


def open_buffer(buffer: Pubkey, authority: Pubkey) -> Instruction:
    """Make an account a buffer that the authority writes."""
    accounts = [_meta(buffer, writable=True), _meta(authority)]
    return Instruction(LOADER, struct.pack("<I", _INITIALIZE), accounts)


def write_buffer(buffer: Pubkey, authority: Pubkey, offset: int, data: bytes) -> Instruction:
    """Write bytes at an offset of the code."""
    written = struct.pack("<IIQ", _WRITE, offset, len(data)) + data
    accounts = [_meta(buffer, writable=True), _meta(authority, signer=True)]
    return Instruction(LOADER, written, accounts)


def deploy(payer: Pubkey, program: Pubkey, buffer: Pubkey, size: int) -> Instruction:
    """Make a program of a buffer, which gives its lamports back to the payer."""
    accounts = [
        _meta(payer, signer=True, writable=True),
        _meta(program_data(program), writable=True),
        _meta(program, writable=True),
        _meta(buffer, writable=True),
        _meta(_RENT),
        _meta(_CLOCK),
        _meta(_SYSTEM),
        _meta(payer, signer=True),
    ]
    return Instruction(LOADER, struct.pack("<IQ", _DEPLOY, size), accounts)


def drop_authority(program: Pubkey, authority: Pubkey) -> Instruction:
    """Let nobody change a program any more."""
    accounts = [_meta(program_data(program), writable=True), _meta(authority, signer=True)]
    return Instruction(LOADER, struct.pack("<I", _SET_AUTHORITY), accounts)


def _meta(key: Pubkey, *, signer: bool = False, writable: bool = False) -> AccountMeta:
    return AccountMeta(key, signer, writable)
