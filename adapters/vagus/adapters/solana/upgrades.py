"""Who could change a hub's code: nobody, where it is this package's build and has no upgrade authority.

The upgradeable loader keeps a program's code in a ProgramData account: u32 3, u64 slot of the last
deployment, then an authority (a byte that says whether there is one, 32 bytes) and at byte 45 the code, which
may have zeros behind it.
"""

from solders.pubkey import Pubkey

from vagus.adapters.base import Block
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana.accounts import Account, read_accounts
from vagus.adapters.solana.artifacts import program as built
from vagus.adapters.solana.loader import CODE_AT, LOADER, PROGRAM_SIZE
from vagus.adapters.solana.rpc import Rpc
from vagus.adapters.solana.views import At

__all__ = ["why_upgradeable"]

_PROGRAM = bytes((2, 0, 0, 0))
_PROGRAM_DATA = bytes((3, 0, 0, 0))
_AUTHORITY_AT = 12


async def why_upgradeable(quorum: Quorum[Rpc], program: Pubkey, final: Block) -> str | None:
    """Say in words what could change the program's code, as a quorum has it at finality."""
    at = At("finalized", final.height)
    found = await _account(quorum, program, at)
    if found is None or not found.executable:
        return f"there is no program at {program}"
    if found.owner != bytes(LOADER):
        return f"unknown: {program} belongs to the loader {Pubkey(found.owner)}"
    if found.data[:4] != _PROGRAM or len(found.data) != PROGRAM_SIZE:
        return f"unknown: {program} is no program of the upgradeable loader"
    data = await _account(quorum, Pubkey(found.data[4:]), at)
    if data is None or data.owner != bytes(LOADER) or data.data[:4] != _PROGRAM_DATA:
        return f"unknown: {program} has no ProgramData"
    if data.data[_AUTHORITY_AT]:
        authority = Pubkey(data.data[_AUTHORITY_AT + 1 : CODE_AT])
        return f"its upgrade authority is {authority}"
    code = built("hub")
    if data.data[CODE_AT:].rstrip(b"\0") != code.rstrip(b"\0"):
        size = len(data.data) - CODE_AT
        return f"unknown: its {size} bytes of code are no hub that this version of vagus builds"
    return None


async def _account(quorum: Quorum[Rpc], key: Pubkey, at: At) -> Account | None:
    async def ask(rpc: Rpc) -> Account | None:
        return (await read_accounts(rpc, [key], *at)).accounts[0]

    # Anyone may send lamports to an address: they say nothing.
    found = await quorum.alike(
        ask,
        "the hub's program",
        key=lambda each: each and (each.owner, each.data, each.executable),
    )
    return found[0]
