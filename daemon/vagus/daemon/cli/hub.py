"""`vagus hub deploy` and `vagus hub show`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, echo, emit, say

if TYPE_CHECKING:
    from vagus.adapters.base import HubParameters

__all__ = ["app"]

app = typer.Typer(help="The contract that vagus needs on a chain.", no_args_is_help=True)


class Kind(enum.StrEnum):
    """The kinds of chains that hubs are deployed on, by their CAIP-2 namespace."""

    EIP155 = "eip155"
    SOLANA = "solana"
    COSMOS = "cosmos"


@app.command()
def deploy(
    rpc: Annotated[str, typer.Option(help="JSON-RPC endpoint of the chain.")],
    keystore: Annotated[Path, typer.Option(help="The account that pays for the deployment.")],
    password_file: Annotated[Path, typer.Option(help="The keystore's password.")],
    signer: Annotated[list[str], typer.Option(help="A committee member's signer; repeat it.")],
    kind: Annotated[Kind, typer.Option(help="What kind of chain it is.")] = Kind.EIP155,
    threshold: Annotated[int, typer.Option(help="Signatures needed; over half of the set.")] = 1,
    guardian: Annotated[str, typer.Option(help="Who may pause; nobody if absent.")] = "",
    min_fee: Annotated[int, typer.Option(help="Smallest fee, in the coin's smallest unit.")] = 0,
    min_ttl: Annotated[int, typer.Option(help="Shortest life of an intent, seconds.")] = 120,
    max_ttl: Annotated[int, typer.Option(help="Longest life of an intent, seconds.")] = 30 * 86_400,
    grace: Annotated[int, typer.Option(help="Seconds from deadline to refund.")] = 3600,
    slowest: Annotated[
        float, typer.Option(help="Finality of the slowest chain it delivers to, seconds.")
    ] = 0,
    roster_hash: Annotated[str, typer.Option(help="The roster's digest.")] = "0x" + "0" * 64,
    denom: Annotated[str, typer.Option(help="Cosmos: the coin of gas and of fees.")] = "",
    gas_price: Annotated[
        str,
        typer.Option(help="Cosmos: what a unit of gas is offered; the node's minimum if absent."),
    ] = "",
    keep_authority: Annotated[
        bool, typer.Option(help="Solana: keep the right to upgrade, to give it to a quorum.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Deploy a hub and print its CAIP-10 id and what that cost.

    Refuses periods that the chains can't keep: min-ttl covers this chain's finality and a minute,
    grace covers the slowest destination's finality, inclusion here and ten minutes of clock skew.
    """
    import uvloop
    from pydantic import SecretStr

    from vagus.adapters.base import HubParameters
    from vagus.adapters.urls import endpoint_name
    from vagus.daemon.config import ConfigError
    from vagus.protocol import Retry, VagusError

    try:
        parameters = HubParameters(
            signers=tuple(sorted(_hex("signer", each, 20) for each in signer)),
            threshold=threshold,
            guardian=_guardian(kind, guardian),
            min_fee=min_fee,
            min_ttl=min_ttl,
            max_ttl=max_ttl,
            grace=grace,
            roster_hash=_hex("roster-hash", roster_hash, 32),
        )
        if kind is Kind.COSMOS:
            if not denom:
                raise ValueError("--denom is missing: the coin of gas and fees, such as ujuno")
            deploying = _on_cosmos(
                rpc, (keystore, password_file), parameters, slowest, denom, gas_price
            )
        elif kind is Kind.SOLANA:
            deploying = _on_solana(
                rpc, (keystore, password_file), parameters, slowest, final=not keep_authority
            )
        else:
            deploying = _on_evm(rpc, (keystore, password_file), parameters, slowest)
        say("Deploying; waits until the transaction is included")
        shown = uvloop.run(deploying)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    except Retry as error:
        if "cannot pay" in error.reason:
            raise VagusError(error.reason) from None
        where = endpoint_name(SecretStr(rpc))
        reason = error.reason.removeprefix(f"{where}: ")
        raise VagusError(f"{where}: {reason}; is that a node's JSON-RPC endpoint?") from None
    _print(shown, as_json)


async def _on_evm(
    rpc: str, key: tuple[Path, Path], parameters: HubParameters, slowest: float
) -> dict[str, Any]:
    from vagus.adapters.evm.deploy import deploy_hub
    from vagus.adapters.evm.wallet import Wallet
    from vagus.protocol import Retry

    wallet = Wallet.load(*key)
    try:
        done = await deploy_hub(rpc, wallet, parameters, slowest)
    except Retry as error:
        if "nsufficient funds" in error.reason:
            raise Retry(f"0x{wallet.address.hex()} cannot pay: fund it") from None
        raise
    return {"hub": done.account, "tx": done.tx_id, "gas": done.gas_used, "height": done.height}


async def _on_solana(
    rpc: str, key: tuple[Path, Path], parameters: HubParameters, slowest: float, *, final: bool
) -> dict[str, Any]:
    from vagus.adapters.solana.deploy import deploy_hub
    from vagus.adapters.solana.wallet import Wallet

    wallet = Wallet.load(*key)
    done = await deploy_hub(rpc, wallet, parameters, slowest, final=final, say=say)
    return {
        "hub": done.account,
        "tx": done.tx_id,
        "cost": f"{done.lamports / 10**9:.9f} SOL",
        "height": done.height,
    }


async def _on_cosmos(
    rpc: str,
    key: tuple[Path, Path],
    parameters: HubParameters,
    slowest: float,
    denom: str,
    gas_price: str,
) -> dict[str, Any]:
    from vagus.adapters.cosmos.deploy import deploy_hub
    from vagus.adapters.cosmos.wallet import Wallet

    done = await deploy_hub(
        rpc, Wallet.load(*key), parameters, denom=denom, gas_price=gas_price, slowest=slowest
    )
    return {
        "hub": done.account,
        "code_id": done.code_id,
        "tx": done.tx_id,
        "gas": done.gas_used,
        "fee": f"{done.fee}{denom}",
        "height": done.height,
    }


@app.command()
def show(config: ConfigOption = Path("vagus.toml"), as_json: JsonOption = False) -> None:
    """Print the state of each hub in a node's config, at finality."""
    import uvloop

    from vagus.daemon.client import first_heads
    from vagus.daemon.config import load
    from vagus.daemon.service.logs import set_up

    set_up("critical", "console")  # what an adapter would log, the error says

    async def read() -> list[dict[str, Any]]:
        states = []
        for adapter in load(config).reading().adapters():
            async with adapter:
                await first_heads(adapter)
                state = await adapter.hub_state()
                signers = [f"0x{each.hex()}" for each in state.current.signers]
                states.append(
                    {
                        "hub": adapter.hub,
                        "hub_id": f"0x{adapter.hub_id.hex()}",
                        "height": state.at.height,
                        "epoch": state.current.epoch,
                        "threshold": state.current.threshold,
                        "signers": signers,
                        "min_fee": str(state.min_fee),
                        "min_ttl": state.min_ttl,
                        "max_ttl": state.max_ttl,
                        "grace": state.grace,
                        "max_callback_gas": state.max_callback_gas,
                        "paused": state.paused,
                    }
                )
        return states

    states = uvloop.run(read())
    if as_json:
        emit({"hubs": states})
    else:
        for state in states:
            _print(state, as_json=False)
            echo()


def _print(shown: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit(shown)
        return
    for key, value in shown.items():
        echo(f"{key:17} {', '.join(value) if isinstance(value, list) else value}")


def _guardian(kind: Kind, address: str) -> bytes:
    """Pack an address in the chain's own spelling; zero for nobody."""
    from vagus.protocol import pack_address

    if not address:
        return bytes(32)
    if kind is Kind.EIP155:
        return _hex("guardian", address, 20).rjust(32, b"\0")
    # The namespace alone says how addresses are spelled; Solana's references have 32 letters.
    return pack_address(f"{kind}:{'1' * 32}", address)


def _hex(name: str, text: str, size: int) -> bytes:
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) != size:
        raise ValueError(f"--{name} {text}: 0x and {2 * size} hex digits are wanted")
    return data
