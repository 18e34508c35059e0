"""What `endpoints` and `upgradeable` tell a person, of endpoints and hubs with all kinds of faults."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from web3 import Web3

from support.contracts import committed
from support.endpoints import adapter_over, answering, endpoints, names
from support.evm import Chain, chain, height, until_height
from support.proxy import Proxy
from support.proxy_tcp import TcpProxy
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.protocol import Halt

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("evm_adapter_endpoints"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Chain]:
    async with chain() as found:
        # Twelve seconds a block, as on a chain of value.
        await found.anvil.call("anvil_mine", "0x14", "0xc")
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def proxies(node: Chain) -> AsyncIterator[list[Proxy]]:
    async with endpoints(node) as found:
        yield found


async def faults(adapter: EvmAdapter) -> list[str | None]:
    return [each.fault for each in await adapter.endpoints()]


async def test_each_endpoint_tells_its_heads(node: Chain, proxies: list[Proxy]) -> None:
    async with adapter_over(node, proxies) as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        found = await adapter.endpoints()
        assert [each.name for each in found] == names(adapter)
        for each in found:
            assert (each.fault, each.latest, each.final) == (None, heads.latest, heads.final)
            assert each.seconds > 0


async def test_one_endpoint_alone_is_asked_too(node: Chain) -> None:
    async with node.adapter(finality=3) as adapter:
        (found,) = await adapter.endpoints()
        assert found.latest is not None
        assert found.final is not None
        assert found.latest.height - found.final.height == 3


async def test_who_does_not_serve_the_chain_is_named_before_any_head_is_known(
    node: Chain, proxies: list[Proxy]
) -> None:
    async with TcpProxy(proxies[2].rpc) as silent:
        rpc = [proxies[0].rpc, proxies[1].rpc, silent.rpc, node.anvil.rpc]
        proxies[0].down = True
        proxies[1].bend = answering("eth_chainId", lambda _: "0x1")
        silent.stall()
        async with node.adapter(rpc=rpc, timeout=0.5) as adapter:
            down, foreign, mute, honest = await adapter.endpoints()
            assert adapter.heads is None
    assert down.fault == "eth_chainId: ServerDisconnectedError"
    assert foreign.fault == "serves eip155:1"
    assert mute.fault in {"eth_chainId: TimeoutError", "did not answer in 0.5 s"}
    assert (down.latest, foreign.latest, mute.latest) == (None, None, None)
    assert honest.fault is None
    assert honest.final is not None


async def test_an_endpoint_that_is_behind_or_of_another_history_is_named(
    node: Chain, proxies: list[Proxy]
) -> None:
    old = await node.anvil.call("eth_getBlockByNumber", "0x5", False)
    behind = await height(node.anvil) - 5
    async with adapter_over(node, proxies) as adapter:
        proxies[1].bend = answering("eth_getBlockByNumber", lambda _: old)
        assert await faults(adapter) == [None, f"is {behind} blocks behind the others", None]
        forged = {"hash": "0x" + "ee" * 32}
        proxies[1].bend = answering("eth_getBlockByNumber", lambda block: block | forged)
        final = await height(node.anvil) - 2
        words = f"disagrees with the others at block {final}"
        assert await faults(adapter) == [None, words, None]
        proxies[1].bend = None
        assert await faults(adapter) == [None, None, None]


async def test_endpoints_are_asked_even_where_the_chain_has_halted(
    node: Chain, proxies: list[Proxy]
) -> None:
    async with adapter_over(node, proxies) as adapter:
        heads = await until_height(adapter, await height(node.anvil))
        for proxy in proxies:
            proxy.down = True
        while adapter.healthy:
            await node.anvil.mine(1)
        for proxy in proxies[:2]:
            proxy.bend = answering("eth_chainId", lambda _: "0x7")
        for proxy in proxies:
            proxy.down = False
        with pytest.raises(Halt):
            await adapter.next_heads(heads)
        assert await faults(adapter) == ["serves eip155:7", "serves eip155:7", None]


# Who could change the hub


def proxy_slot(name: str) -> int:
    """ERC-1967: the hash of the name, minus one."""
    return int.from_bytes(Web3.keccak(text=f"eip1967.proxy.{name}")) - 1


OTHER = "0x" + "c0ffee" * 6 + "abcd"
WORD = "0x" + OTHER[2:].rjust(64, "0")


async def changed(node: Chain, change: Callable[[str], list[tuple[str, list[object]]]]) -> str:
    """What is said of a hub whose code or storage was changed; all is as before afterwards."""
    address = node.config().account.address
    snapshot = await node.anvil.call("evm_snapshot")
    code = await node.anvil.call("eth_getCode", address, "latest")
    for method, params in change(code):
        await node.anvil.call(method, address, *params)
    await node.anvil.mine(4)
    async with node.adapter() as adapter:
        await until_height(adapter, await height(node.anvil))
        said = await adapter.upgradeable()
    await node.anvil.call("evm_revert", snapshot)
    return said or ""


async def test_a_hub_of_this_build_cannot_be_changed_by_anyone(node: Chain) -> None:
    async with node.adapter() as adapter:
        await until_height(adapter, await height(node.anvil))
        assert await adapter.upgradeable() is None


async def test_immutables_alone_may_differ_from_hub_to_hub(node: Chain) -> None:
    assert await changed(node, lambda code: [("anvil_setCode", [code[:-2] + "77"])]) == ""
    runtime = committed("hub")["runtime"]["size"]
    for other in (
        lambda code: "0x00" + code[4:],
        lambda code: code[: 2 * runtime] + "fe" + code[2 * runtime + 2 :],  # its last byte
        lambda code: code + "00",
        lambda code: code[:-2],
    ):
        said = await changed(node, lambda code, other=other: [("anvil_setCode", [other(code)])])
        assert "no hub that this version of vagus builds" in said


@pytest.mark.parametrize(
    ("slot", "name"),
    [
        # The published constants.
        ("0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc", "implementation"),
        ("0xa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50", "beacon"),
        ("0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103", "admin"),
    ],
)
async def test_a_proxy_is_named_by_what_it_keeps(node: Chain, slot: str, name: str) -> None:
    assert int(slot, 16) == proxy_slot(name)
    said = await changed(
        node,
        lambda _: [
            ("anvil_setCode", ["0x6001600155"]),
            ("anvil_setStorageAt", [slot, WORD]),
        ],
    )
    assert said == f"a proxy: its {name} is {OTHER} (ERC-1967)"


async def test_a_clone_a_delegation_and_nothing_are_named(node: Chain) -> None:
    clone = "0x363d3d373d3d3d363d73" + OTHER[2:] + "5af43d82803e903d91602b57fd5bf3"
    said = await changed(node, lambda _: [("anvil_setCode", [clone])])
    assert said == f"a proxy: it runs the code of {OTHER} (ERC-1167)"
    said = await changed(node, lambda _: [("anvil_setCode", ["0x"])])
    assert said.startswith("there is no contract at 0x")


async def test_an_endpoint_that_forges_the_hubs_code_is_outvoted(
    node: Chain, proxies: list[Proxy]
) -> None:
    code = await node.anvil.call("eth_getCode", node.config().account.address, "latest")
    proxies[0].bend = answering("eth_getCode", lambda _: "0x6001")
    async with adapter_over(node, proxies) as adapter:
        await until_height(adapter, await height(node.anvil))
        assert await adapter.upgradeable() is None
    proxies[0].bend = answering("eth_getCode", lambda _: code)
    proxies[1].bend = proxies[2].bend = answering("eth_getCode", lambda _: "0xef0100" + OTHER[2:])
    async with adapter_over(node, proxies) as adapter:
        await until_height(adapter, await height(node.anvil))
        assert "(EIP-7702)" in (await adapter.upgradeable() or "")
