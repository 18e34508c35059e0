"""Deployment by the upgradeable loader: what it costs, that it goes on, and who can upgrade afterwards."""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio
from pydantic import SecretStr

from support.hub_parameters import Unchecked, wrong_parameters
from vagus.adapters.base import HubParameters, Rejected
from vagus.adapters.conformance import FaultProxy
from vagus.adapters.conformance.exchange import End, Exchange, Reply
from vagus.adapters.conformance.faults import Fault, Further
from vagus.adapters.parameters import ParameterError
from vagus.adapters.solana.adapter import SolanaAdapter
from vagus.adapters.solana.artifacts import program
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.deploy import deploy_hub, deploy_program
from vagus.adapters.solana.devnet import Litesvm
from vagus.adapters.solana.wallet import Wallet
from vagus.protocol import Refuse, Retry, keccak256

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("solana_deploy"),
]

PARAMETERS = HubParameters(signers=(b"\x01" * 20, b"\x02" * 20), threshold=2)
SOL = 10**9
BYTE_RENT, ACCOUNT_BYTES = 6_960, 128
FEE = 5_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def net() -> AsyncIterator[Litesvm]:
    async with Litesvm(20) as found:
        yield found


async def funded(net: Litesvm, name: bytes, lamports: int) -> Wallet:
    wallet = Wallet(keccak256(name))
    await net.fund(wallet.account, lamports)
    return wallet


async def why_upgradeable(net: Litesvm, hub: str) -> str | None:
    config = SolanaConfig(id=net.chain, hub=hub, rpc=(SecretStr(net.rpc),), poll_interval=0.05)
    async with SolanaAdapter(config) as adapter:
        await adapter.next_heads(None)
        return await adapter.upgradeable()


async def test_a_hub_costs_its_rent_and_a_fee_for_each_piece(net: Litesvm) -> None:
    """As it says beforehand; a second one of the account is another program."""
    wallet = await funded(net, b"deploys twice", 2 * SOL)
    said: list[str] = []
    done = await deploy_hub(net.rpc, wallet, PARAMETERS, say=said.append)
    code = len(program("hub"))
    sizes = (code + 45, 36, 256, 48 + 2 * 20)
    rent = sum((size + ACCOUNT_BYTES) * BYTE_RENT for size in sizes)
    fees = (-(-code // 950) + 4) * FEE
    assert done.lamports == rent + fees
    assert f"costs {(rent + fees) / SOL:.6f} SOL" in said[0]
    assert await why_upgradeable(net, done.account) is None
    other = await deploy_hub(net.rpc, wallet, PARAMETERS)
    assert other.account != done.account


async def test_a_deployment_that_was_broken_off_goes_on(net: Litesvm) -> None:
    """At whichever call the endpoint went away: what was written is not written again."""
    wallet, before = await funded(net, b"is broken off", 2 * SOL), 2 * SOL
    for stop in (12, 60, 40, 25):
        async with FaultProxy(net.rpc, net.ws) as proxy:
            proxy.faults = (_From(stop),)
            with pytest.raises(Retry):
                await deploy_hub(proxy.rpc, wallet, PARAMETERS)
    done = await deploy_hub(net.rpc, wallet, PARAMETERS)
    spent = before - await _balance(net, wallet)
    whole = await deploy_hub(net.rpc, await funded(net, b"in one go", 2 * SOL), PARAMETERS)
    # Some pieces were under way when it ended, and were sent again.
    assert whole.lamports <= spent <= whole.lamports + 40 * FEE
    assert await why_upgradeable(net, done.account) is None


async def test_too_little_money_is_said_before_anything_is_sent(net: Litesvm) -> None:
    wallet = await funded(net, b"is poor", SOL // 2)
    with pytest.raises(Refuse, match=r"has 0\.500000 SOL and needs 0\.58"):
        await deploy_hub(net.rpc, wallet, PARAMETERS)
    assert await _balance(net, wallet) == SOL // 2


async def test_what_the_hub_rejects_is_said_in_its_words(net: Litesvm) -> None:
    """And is mended by another call, which finds the program in its place."""
    wallet = await funded(net, b"errs", SOL)
    wrong = Unchecked(signers=PARAMETERS.signers, threshold=1)
    with pytest.raises(Rejected, match="threshold too low"):
        await deploy_hub(net.rpc, wallet, wrong)
    done = await deploy_hub(net.rpc, wallet, PARAMETERS)
    assert done.lamports < SOL // 100


async def test_a_hub_that_cannot_work_is_refused_before_anything_is_sent(net: Litesvm) -> None:
    wallet = await funded(net, b"is hasty", SOL)
    for said, wrong in wrong_parameters(64).items():
        with pytest.raises(ParameterError, match=f"^{said}"):
            await deploy_hub(net.rpc, wallet, wrong)
    with pytest.raises(ParameterError, match=r"^slowest: nan is no number"):
        await deploy_hub(net.rpc, wallet, PARAMETERS, math.nan)
    assert await _balance(net, wallet) == SOL
    largest = replace(PARAMETERS, min_fee=2**64 - 1, max_ttl=366 * 86_400, grace=366 * 86_400)
    await deploy_hub(net.rpc, wallet, largest)


async def test_who_can_upgrade_is_named(net: Litesvm) -> None:
    """An authority that was kept, a program of another build, and none at all."""
    wallet = await funded(net, b"keeps its authority", 2 * SOL)
    kept = await deploy_hub(net.rpc, wallet, PARAMETERS, final=False)
    assert await why_upgradeable(net, kept.account) == f"its upgrade authority is {wallet.key}"
    other = await deploy_program(net.rpc, wallet, "consumer", program("consumer"))
    found = await why_upgradeable(net, other.account)
    assert found is not None
    assert "are no hub that this version of vagus builds" in found
    nothing = await why_upgradeable(net, f"{net.chain}:{wallet.key}")
    assert nothing == f"there is no program at {wallet.key}"


async def _balance(net: Litesvm, wallet: Wallet) -> int:
    found = await net.call("getBalance", str(wallet.key), {"commitment": "confirmed"})
    return int(found["value"])


@dataclass(frozen=True)
class _From(Fault):
    """Nothing is answered from one exchange on."""

    number: int

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        if exchange.number >= self.number:
            return Reply(end=End.CUT)
        return await further(exchange)
