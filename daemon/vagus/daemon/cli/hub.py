"""`vagus hub deploy` and `vagus hub show`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, echo, emit, say

if TYPE_CHECKING:
    from vagus.adapters.parameters import HubParameters

__all__ = ["app"]

# Of what a deployment is given, the one whose option has another name.
_FLAGS = {"signers": "signer"}
_NO_SUCH_METHOD = -32601

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

    from vagus.adapters.errors import BadAnswer, Unreachable
    from vagus.adapters.evm.errors import NodeError
    from vagus.adapters.parameters import HubParameters, ParameterError
    from vagus.adapters.urls import endpoint_name, require_url
    from vagus.daemon.config import ConfigError
    from vagus.protocol import Retry, VagusError

    for flag, given, belongs in (
        ("--denom", denom, Kind.COSMOS),
        ("--gas-price", gas_price, Kind.COSMOS),
        ("--keep-authority", keep_authority, Kind.SOLANA),
    ):
        if given and kind is not belongs:
            raise ConfigError([f"{flag} belongs to --kind {belongs}, and this is --kind {kind}"])
    if kind is Kind.COSMOS and not denom:
        raise ConfigError(["--denom is missing: the coin of gas and fees, such as ujuno"])
    try:
        where = endpoint_name(require_url(SecretStr(rpc), "http", "https"))
    except ValueError as error:
        raise ConfigError([f"--rpc: {error}"]) from None
    parameters = HubParameters(
        signers=_signers(signer),
        threshold=threshold,
        guardian=_address("guardian", kind, guardian) if guardian else bytes(32),
        min_fee=min_fee,
        min_ttl=min_ttl,
        max_ttl=max_ttl,
        grace=grace,
        roster_hash=_word("roster-hash", roster_hash),
    )
    key = (keystore, password_file)
    if kind is Kind.COSMOS:
        prefix = guardian.rpartition("1")[0]
        deploying = _on_cosmos(rpc, key, parameters, slowest, denom, gas_price, prefix)
    elif kind is Kind.SOLANA:
        deploying = _on_solana(rpc, key, parameters, slowest, final=not keep_authority)
    else:
        deploying = _on_evm(rpc, key, parameters, slowest)
    try:
        shown = uvloop.run(deploying)
    except ParameterError as error:
        flag = _FLAGS.get(error.name, error.name.replace("_", "-"))
        raise ConfigError([f"--{flag}: {error.fault}"]) from None
    except Retry as error:
        if "cannot pay" in error.reason:
            raise VagusError(error.reason) from None
        if isinstance(error, NodeError) and error.code == _NO_SUCH_METHOD:
            others = " or ".join(f"--kind {each}" for each in Kind if each is not kind)
            fault = f"{where} does not speak {kind}'s methods: {others}?"
            raise ConfigError([f"--kind {kind}: {fault}"]) from None
        reason = error.reason.removeprefix(f"{where}: ")
        # What answered as a node does is one.
        doubt = "; is that a node's JSON-RPC endpoint?"
        doubted = isinstance(error, BadAnswer | Unreachable)
        raise VagusError(f"{where}: {reason}{doubt if doubted else ''}") from None
    _print(shown, as_json)


async def _on_evm(
    rpc: str, key: tuple[Path, Path], parameters: HubParameters, slowest: float
) -> dict[str, Any]:
    from vagus.adapters.evm.deploy import deploy_hub
    from vagus.adapters.evm.wallet import Wallet
    from vagus.protocol import Retry

    wallet = Wallet.load(*key)
    try:
        done = await deploy_hub(rpc, wallet, parameters, slowest, say=say)
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
    guardian_prefix: str,
) -> dict[str, Any]:
    from vagus.adapters.cosmos.deploy import deploy_hub
    from vagus.adapters.cosmos.wallet import Wallet

    done = await deploy_hub(
        rpc,
        Wallet.load(*key),
        parameters,
        denom=denom,
        gas_price=gas_price,
        slowest=slowest,
        guardian_prefix=guardian_prefix,
        say=say,
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


def _signers(given: list[str]) -> tuple[bytes, ...]:
    from vagus.daemon.config import ConfigError

    # A signer has the address that its key has on EVM chains, on any kind of chain.
    signers = [_address("signer", Kind.EIP155, each)[12:] for each in given]
    for text, signer in zip(given, signers, strict=True):
        if signers.count(signer) > 1:
            raise ConfigError([f"--signer: {text} is given more than once: each signs once"])
    return tuple(sorted(signers))


def _address(flag: str, kind: Kind, text: str) -> bytes:
    """Pack an address that was typed in the spelling of a kind of chain."""
    from vagus.daemon.config import ConfigError
    from vagus.protocol import pack_address, read_address

    # Some chain of that kind, which no message names: Solana's references have 32 letters.
    chain = f"{kind}:{'1' * 32}"
    try:
        return pack_address(chain, read_address(chain, text))
    except ValueError as error:
        raise ConfigError([f"--{flag}: {error}".replace(chain, kind)]) from None


def _word(flag: str, text: str) -> bytes:
    from vagus.daemon.config import ConfigError

    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) != 32:
        raise ConfigError([f"--{flag}: {text} is not 0x and 64 hex digits"])
    return data
