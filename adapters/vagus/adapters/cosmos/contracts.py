"""What the chain says of a contract: its code, its admin, the block that made it.

By hand: between versions of CosmWasm the later fields of this answer changed their numbers, and
cosmpy's class reads those of one version only.
"""

from msgspec import Struct

from vagus.adapters.cosmos.protobuf import fields
from vagus.adapters.cosmos.protos import QueryContractInfoRequest
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.errors import BadAnswer

__all__ = ["Contract", "read_contract"]

_PATH = "/cosmwasm.wasm.v1.Query/ContractInfo"
# Fields of cosmwasm/wasm/v1: QueryContractInfoResponse, ContractInfo, AbsoluteTxPosition.
_ADDRESS, _INFO = 1, 2
_CODE_ID, _ADMIN, _CREATED = 1, 3, 5
_HEIGHT = 1
_BITS = 60


class Contract(Struct, frozen=True):
    """A contract: `admin` is an address that may replace its code, empty where there is none."""

    code_id: int
    admin: str
    created: int


async def read_contract(rpc: Rpc, address: str, height: int) -> Contract:
    """Read what a contract is, in the state after a block."""
    request = QueryContractInfoRequest(address=address).SerializeToString()
    answer = await rpc.raw_query(_PATH, request, height)
    try:
        found = dict(fields(answer))
        if found.get(_ADDRESS) != address.encode():
            raise ValueError("another contract")
        info = dict(fields(_bytes(found.get(_INFO))))
        created = dict(fields(_bytes(info.get(_CREATED))))
        return Contract(
            code_id=_number(info.get(_CODE_ID)),
            admin=_bytes(info.get(_ADMIN, b"")).decode(),
            created=_number(created.get(_HEIGHT)),
        )
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: {address}: {error}") from None


def _bytes(value: int | bytes | None) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field is missing, or a number")  # noqa: TRY004 - it is an answer's fault
    return value


def _number(value: int | bytes | None) -> int:
    if not isinstance(value, int) or value >> _BITS:
        raise ValueError("a field is no number that can be")
    return value
