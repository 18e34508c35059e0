"""Deployment of a hub: its code is stored and instantiated, without an admin, and that is for good."""

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal, InvalidOperation
from typing import Any

import msgspec
from pydantic import SecretStr

from vagus.adapters.base import HubParameters
from vagus.adapters.cosmos.accounts import read_minimum_price, read_standing
from vagus.adapters.cosmos.blocks import (
    Inclusion,
    broadcast,
    read_committed,
    read_header,
    read_inclusion,
)
from vagus.adapters.cosmos.errors import QueryError, is_out_of_funds, is_unknown_account, refusal
from vagus.adapters.cosmos.protos import (
    Bech32PrefixRequest,
    Bech32PrefixResponse,
    MsgInstantiateContract,
    MsgStoreCode,
    PageRequest,
    QueryCodesRequest,
    QueryCodesResponse,
    SimulateRequest,
    SimulateResponse,
)
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.cosmos.tx import CosmosTx, packed, tx_hash
from vagus.adapters.cosmos.upgrades import hub_code
from vagus.adapters.cosmos.wallet import Wallet
from vagus.adapters.errors import BadAnswer, printable
from vagus.adapters.parameters import ParameterError
from vagus.protocol import Refuse, Retry
from vagus.protocol.bech32 import encode

__all__ = ["Deployment", "Payer", "deploy_hub", "instantiation", "paying"]

_SIMULATE = "/cosmos.tx.v1beta1.Service/Simulate"
_PREFIX = "/cosmos.auth.v1beta1.Query/Bech32Prefix"
_CODES = "/cosmwasm.wasm.v1.Query/Codes"
_EVERYBODY = 3  # cosmwasm.wasm.v1.AccessType
_NEWEST = 100
_FEE_BITS = 128
_TIMEOUT = 10.0
_MAX_ANSWER = 16 << 20
# Blocks that a transaction may wait for: minutes on a chain, seconds on a fast development chain.
_BLOCKS = 200
_LOOK = 0.2


@dataclass(frozen=True, slots=True)
class Deployment:
    """A contract that was deployed: its CAIP-10 account, and what storing and instantiating took.

    Where the chain had the code already, that is what instantiating took.
    """

    account: str
    code_id: int
    tx_id: str
    gas_used: int
    fee: int
    height: int


@dataclass(frozen=True, slots=True)
class _Included:
    tx_id: str
    gas: int
    fee: int
    found: Inclusion

    def attribute(self, event: str, name: str) -> str:
        """Return the value of one attribute of an event; `BadAnswer` if there is none."""
        for each in self.found.events:
            if each.type == event:
                for key, value in each.attributes:
                    if key == name:
                        return value
        raise BadAnswer(f"transaction {self.tx_id} has no {event}.{name}")


class Payer:
    """An account that pays for deployments through one endpoint, one transaction after the other.

    `prefix` is that of the chain's addresses, `gas_price` in `denom`.
    """

    def __init__(
        self, rpc: Rpc, wallet: Wallet, prefix: str, denom: str, gas_price: Decimal
    ) -> None:
        self.address = encode(prefix, wallet.address)
        self.prefix = prefix
        self.rpc = rpc
        self._wallet = wallet
        self._denom = denom
        self._price = gas_price

    async def execute(self, message: Any) -> _Included:
        """Simulate, sign and send one message, and wait until it is in a block.

        Raises `Rejected` in the chain's words, `Refuse` where it failed in its block, `Retry`.
        """
        height = await read_committed(self.rpc)
        chain_id = (await read_header(self.rpc, height)).chain_id
        standing = await read_standing(self.rpc, self.address, height)
        if standing is None:
            raise self._shortage()
        body = packed(message)
        gas = await self._simulated(body, standing.sequence)
        fee = int((gas * self._price).to_integral_value(ROUND_UP))
        # The simulation of a large message takes its time.
        until = await read_committed(self.rpc) + _BLOCKS
        tx = CosmosTx(body, standing.sequence, gas, fee, self._denom, until)
        raw = await tx.sign(self._wallet, chain_id, standing.number)
        await self._broadcast(raw)
        found = await self._inclusion(tx_hash(raw), until)
        if not found.success:
            raise Refuse(f"transaction {tx_hash(raw)} failed in block {found.height}")
        return _Included(tx_hash(raw), found.gas_used, fee, found)

    async def _simulated(self, body: bytes, sequence: int) -> int:
        tx = CosmosTx(body, sequence, 1 << 40, 1, self._denom, 0)
        request = SimulateRequest(tx_bytes=tx.unsigned(self._wallet.public_key))
        try:
            found = await self.rpc.query(_SIMULATE, request, SimulateResponse)
        except QueryError as error:
            if is_out_of_funds(error.log) or is_unknown_account(error.log):
                raise self._shortage() from None
            raise refusal(error.log) or error from None
        gas: int = found.gas_info.gas_used
        return gas + gas // 10

    async def _broadcast(self, raw: bytes) -> None:
        found = await broadcast(self.rpc, raw)
        if found.code:
            raise Retry(f"the transaction is not taken: {printable(self.rpc.masked(found.log))}")

    async def _inclusion(self, tx_id: str, until: int) -> Inclusion:
        while True:
            # Taken before the look: what is in a block by then is seen.
            height = await read_committed(self.rpc)
            found = await read_inclusion(self.rpc, tx_id)
            if found is not None and found.height <= height:
                return found
            if height > until:
                raise Retry(f"transaction {tx_id} was in no block up to {until}")
            await asyncio.sleep(_LOOK)

    def _shortage(self) -> Retry:
        return Retry(f"{self.address} cannot pay: fund it with {self._denom}", 30)


@asynccontextmanager
async def paying(rpc: str, wallet: Wallet, denom: str, gas_price: str) -> AsyncIterator[Payer]:
    """Connect an account to an endpoint; an empty price is the node's own minimum."""
    offered = _price(gas_price) if gas_price else None
    async with Rpc(SecretStr(rpc), _TIMEOUT, _MAX_ANSWER) as connected:
        answer = await connected.query(_PREFIX, Bech32PrefixRequest(), Bech32PrefixResponse)
        price = await read_minimum_price(connected, denom) if offered is None else offered
        yield Payer(connected, wallet, answer.bech32_prefix, denom, price)


def _price(text: str) -> Decimal:
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal("nan")
    if not (price.is_finite() and 0 <= price < 10**12):
        raise ParameterError("gas_price", f"{text!r} is no gas price, such as 0.025")
    return price


async def deploy_hub(
    rpc: str,
    wallet: Wallet,
    parameters: HubParameters,
    *,
    denom: str,
    gas_price: str = "",
    slowest: float = 0,
    guardian_prefix: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Deployment:
    """Store the hub's code and instantiate it without an admin; wait until both are committed.

    Code that the chain has already is not stored again. `denom` is the coin of gas and of the hub's
    fees, `gas_price` what a unit of gas is offered (by default what the node asks), `slowest` the
    finality, in seconds, of the slowest chain that will deliver for it, `guardian_prefix` the bech32
    prefix that the guardian was written with, where it was. Raises `ParameterError` for what cannot
    work, `Rejected` where chain or hub refuse, `Retry`.
    """
    parameters.check(_FEE_BITS, slowest)
    async with paying(rpc, wallet, denom, gas_price) as payer:
        if guardian_prefix not in {"", payer.prefix}:
            fault = f"its prefix is {guardian_prefix}, and this chain's is {payer.prefix}"
            raise ParameterError("guardian", fault)
        code_id, stored = await _find_code(payer.rpc), None
        if code_id is None:
            say("Storing the hub's code; waits until the transaction is included")
            # Gas is paid by the byte, and a chain unpacks it.
            code = gzip.compress(hub_code(), mtime=0)
            stored = await payer.execute(MsgStoreCode(sender=payer.address, wasm_byte_code=code))
            code_id = int(stored.attribute("store_code", "code_id"))
        else:
            say(f"The chain has the hub's code already, as code {code_id}")
        say("Instantiating the hub; waits until the transaction is included")
        made = await payer.execute(
            MsgInstantiateContract(
                sender=payer.address,
                code_id=code_id,
                label="vagus hub",
                msg=msgspec.json.encode(instantiation(parameters, denom)),
            )
        )
        address = made.attribute("instantiate", "_contract_address")
        chain = (await read_header(payer.rpc, made.found.height)).chain
    return Deployment(
        account=f"{chain}:{address}",
        code_id=code_id,
        tx_id=made.tx_id,
        gas_used=made.gas + (stored.gas if stored else 0),
        fee=made.fee + (stored.fee if stored else 0),
        height=made.found.height,
    )


async def _find_code(rpc: Rpc) -> int | None:
    """Look for this very build, which everybody may instantiate, among the newest codes.

    None does not say that it is nowhere: a try that was broken off is found, which is enough.
    """
    newest = QueryCodesRequest(pagination=PageRequest(limit=_NEWEST, reverse=True))
    found = await rpc.query(_CODES, newest, QueryCodesResponse)
    digest = hashlib.sha256(hub_code()).digest()
    for code in found.code_infos:
        if code.data_hash == digest and code.instantiate_permission.permission == _EVERYBODY:
            return int(code.code_id)
    return None


def instantiation(parameters: HubParameters, denom: str) -> dict[str, object]:
    """Return a hub's InstantiateMsg."""
    return {
        "signers": [signer.hex() for signer in parameters.signers],
        "threshold": str(parameters.threshold),
        "guardian": parameters.guardian.hex(),
        "fee_denom": denom,
        "min_fee": str(parameters.min_fee),
        "min_ttl": str(parameters.min_ttl),
        "max_ttl": str(parameters.max_ttl),
        "grace": str(parameters.grace),
        "max_callback_gas": str(parameters.max_callback_gas),
        "roster_hash": parameters.roster_hash.hex(),
    }
