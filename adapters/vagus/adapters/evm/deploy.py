"""Deployment of a hub, and of any contract whose build is package data. Not hot: web3 does it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, Literal

import aiohttp
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import BadResponseFormat, ContractLogicError, Web3Exception, Web3RPCError

from vagus.adapters.base import HubParameters, Rejected
from vagus.adapters.errors import BadAnswer, Unreachable, printable
from vagus.adapters.evm.artifacts import artifact
from vagus.adapters.evm.errors import NodeError, revert_reason
from vagus.adapters.evm.tx import EvmTx
from vagus.adapters.evm.wallet import Wallet
from vagus.protocol import Account, Refuse, Retry

__all__ = ["Deployment", "deploy_contract", "deploy_hub"]

_TIMEOUT = 180.0
_FEE_BITS = 256


@dataclass(frozen=True, slots=True)
class Deployment:
    """A contract that was deployed: its CAIP-10 account, and what that took."""

    account: str
    tx_id: str
    gas_used: int
    height: int

    @property
    def address(self) -> bytes:
        """The contract's 20-byte address."""
        return bytes.fromhex(Account.parse(self.account).address[2:])


async def deploy_hub(
    rpc: str,
    wallet: Wallet,
    parameters: HubParameters,
    slowest: float = 0,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Deployment:
    """Deploy a hub and wait until it is included.

    `slowest` is the finality, in seconds, of the slowest chain that will deliver for it. Raises
    `ParameterError` for what cannot work, `Rejected` where the hub refuses, `Retry`.
    """
    parameters.check(_FEE_BITS, slowest)
    async with _connected(rpc) as web3:
        finality = await _time(web3, "latest") - await _time(web3, "finalized")
    # On a chain that has just begun the finalized block is the first one: no delay to speak of.
    parameters.check_finality(finality, max(slowest, finality))
    say("Deploying; waits until the transaction is included")
    return await deploy_contract(
        rpc,
        wallet,
        "hub",
        ["0x" + signer.hex() for signer in parameters.signers],
        parameters.threshold,
        "0x" + parameters.guardian[12:].hex(),
        parameters.min_fee,
        parameters.min_ttl,
        parameters.max_ttl,
        parameters.grace,
        parameters.max_callback_gas,
        parameters.roster_hash,
    )


async def deploy_contract(rpc: str, wallet: Wallet, name: str, *arguments: object) -> Deployment:
    """Deploy a build of the package and wait until it is included. Addresses are hex strings."""
    built = artifact(name)
    async with _connected(rpc) as web3:
        contract = web3.eth.contract(abi=built["abi"], bytecode=built["bytecode"])
        data = contract.constructor(*[_checksummed(item) for item in arguments]).data_in_transaction
        sender = AsyncWeb3.to_checksum_address(wallet.address)
        gas = await web3.eth.estimate_gas(
            {"from": sender, "data": data, "value": AsyncWeb3.to_wei(0, "wei")}
        )
        tip = await web3.eth.max_priority_fee
        base = (await web3.eth.get_block("latest")).get("baseFeePerGas", 0)
        tx = EvmTx(
            chain_id=await web3.eth.chain_id,
            nonce=await web3.eth.get_transaction_count(sender),
            tip=tip,
            max_fee=2 * base + tip,
            gas=gas + gas // 5,
            to=b"",
            value=0,
            data=bytes.fromhex(data.removeprefix("0x")),
        )
        sent = await web3.eth.send_raw_transaction(await wallet.sign(tx))
        receipt = await web3.eth.wait_for_transaction_receipt(sent, _TIMEOUT, poll_latency=0.2)
    address = receipt["contractAddress"]
    if receipt["status"] != 1 or address is None:
        raise Refuse(f"the deployment of {name} reverted in transaction {sent.to_0x_hex()}")
    return Deployment(
        account=f"eip155:{tx.chain_id}:{address.lower()}",
        tx_id=sent.to_0x_hex(),
        gas_used=receipt["gasUsed"],
        height=receipt["blockNumber"],
    )


async def _time(web3: AsyncWeb3[AsyncHTTPProvider], tag: Literal["latest", "finalized"]) -> int:
    return (await web3.eth.get_block(tag)).get("timestamp", 0)


@contextlib.asynccontextmanager
async def _connected(rpc: str) -> AsyncIterator[AsyncWeb3[AsyncHTTPProvider]]:
    """A web3 client without retries, its errors in the adapter's classes."""
    provider = AsyncHTTPProvider(rpc, exception_retry_configuration=None)
    try:
        yield AsyncWeb3(provider)
    except ContractLogicError as error:
        reason = _reason(error)
        raise Rejected(reason) from None
    except Web3RPCError as error:
        raise _node_error(error) from None
    except (BadResponseFormat, JSONDecodeError) as error:
        raise BadAnswer(printable(str(error))) from None
    except Web3Exception as error:
        raise Retry(printable(str(error))) from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        # Its text may hold the URL, and that an API key.
        raise Unreachable(type(error).__name__) from None
    finally:
        await provider.disconnect()


def _node_error(error: Web3RPCError) -> Retry:
    """What the node said, with its code; web3 makes some of these itself, without an answer."""
    match error.rpc_response:
        case {"error": {"code": int(code), "message": str(message)}}:
            return NodeError(code, printable(message))
    return Retry(printable(str(error)))


def _reason(error: ContractLogicError) -> str:
    data = error.data if isinstance(error.data, str) else ""
    try:
        found = revert_reason(bytes.fromhex(data.removeprefix("0x")))
    except ValueError:
        found = None
    return found or printable(error.message or "execution reverted")


def _checksummed(item: Any) -> Any:
    """web3 takes addresses in EIP-55's spelling only."""
    if isinstance(item, list):
        return [_checksummed(one) for one in item]
    if isinstance(item, str) and AsyncWeb3.is_address(item):
        return AsyncWeb3.to_checksum_address(item)
    return item
