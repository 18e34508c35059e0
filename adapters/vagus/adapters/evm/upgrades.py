"""Who could change a hub's code: nobody, where it is this package's build to the byte.

Vyper writes a contract's immutables behind its code, so those bytes differ from hub to hub; they are
no code, and the hub's own views tell them. Anything else is named in words: a proxy by where it
keeps what it runs (ERC-1967, ERC-1167, EIP-7702), else code that nobody here knows.
"""

from vagus.adapters.base import Block
from vagus.adapters.evm.artifacts import artifact
from vagus.adapters.evm.rpc import Rpc
from vagus.adapters.evm.views import at_block
from vagus.adapters.quorum import Quorum
from vagus.protocol import keccak256

__all__ = ["why_upgradeable"]

_PROXY_PARTS = ("implementation", "beacon", "admin")
_CLONE = bytes.fromhex("363d3d373d3d3d363d73"), bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
_DELEGATION = bytes.fromhex("ef0100")


async def why_upgradeable(quorum: Quorum[Rpc], address: str, final: Block) -> str | None:
    """Say in words what could change the contract's code, as a quorum has it at a final block."""
    params: list[object] = [address, at_block(final)]
    code = await quorum.agree(
        lambda rpc: rpc.data("eth_getCode", params), "the hub's code", fixed=True
    )
    if _is_build(code):
        return None
    if not code:
        return f"there is no contract at {address}"
    if code[:3] == _DELEGATION:
        return f"an account's key: {address} runs the code of {_address(code[3:23])} (EIP-7702)"
    for name in _PROXY_PARTS:
        found = await _proxy_slot(quorum, address, name, final)
        if any(found):
            return f"a proxy: its {name} is {_address(found[-20:])} (ERC-1967)"
    head, tail = _CLONE
    if code.startswith(head) and code.endswith(tail) and len(code) == 45:
        return f"a proxy: it runs the code of {_address(code[10:30])} (ERC-1167)"
    return f"unknown: its {len(code)} bytes of code are no hub that this version of vagus builds"


def _is_build(code: bytes) -> bool:
    runtime = artifact("hub")["runtime"]
    size: int = runtime["size"]
    if len(code) != size + runtime["immutables"]:
        return False
    return keccak256(code[:size]) == bytes.fromhex(runtime["hash"].removeprefix("0x"))


async def _proxy_slot(quorum: Quorum[Rpc], address: str, name: str, final: Block) -> bytes:
    # ERC-1967 puts a part there where no compiler puts anything.
    slot = int.from_bytes(keccak256(f"eip1967.proxy.{name}".encode()), "big") - 1
    params: list[object] = [address, hex(slot), at_block(final)]
    return await quorum.agree(
        lambda rpc: rpc.hash("eth_getStorageAt", params), "the hub's storage", fixed=True
    )


def _address(data: bytes) -> str:
    return "0x" + data.hex()
