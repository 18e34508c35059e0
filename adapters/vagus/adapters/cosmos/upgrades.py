"""Who could change a hub's code: nobody, where it is this package's build and has no admin.

A contract's admin may put any other code in its place. A chain's own governance may do that too,
with every contract, as it may change the chain itself: whoever doesn't trust the validators of a
chain can't have a hub there. That is no answer here, since it is true of all hubs of a chain.
"""

import hashlib
from importlib import resources

from vagus.adapters.base import Block
from vagus.adapters.cosmos.contracts import read_contract
from vagus.adapters.cosmos.protos import QueryCodeRequest, QueryCodeResponse
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.quorum import Quorum

__all__ = ["hub_code", "why_upgradeable"]

_CODE = "/cosmwasm.wasm.v1.Query/Code"


def hub_code() -> bytes:
    """Return the build of the hub that is package data."""
    return resources.files("vagus.adapters.cosmos").joinpath("abi", "hub.wasm").read_bytes()


async def why_upgradeable(quorum: Quorum[Rpc], address: str, final: Block) -> str | None:
    """Say in words what could change the contract's code, as a quorum has it at a final block."""

    async def ask(rpc: Rpc) -> tuple[str, bytes]:
        contract = await read_contract(rpc, address, final.height)
        request = QueryCodeRequest(code_id=contract.code_id)
        code = await rpc.query(_CODE, request, QueryCodeResponse, final.height)
        return contract.admin, hashlib.sha256(code.data).digest()

    admin, digest = await quorum.agree(ask, "the hub's code", fixed=True)
    if admin:
        return f"its admin: {admin} can replace its code"
    if digest != hashlib.sha256(hub_code()).digest():
        return f"unknown: its code {digest.hex()} is no hub that this version of vagus builds"
    return None
