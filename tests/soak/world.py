"""All that a soak needs: two chains, hubs and consumers on them, faulty wires, a model, a node."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from coincurve import PrivateKey
from eth_account import Account

from soak.chain import Chain
from soak.link import Link
from soak.model import Model
from support.contracts import committed, compiled
from support.node import Node
from vagus.adapters.background import background
from vagus.adapters.base import HubParameters
from vagus.adapters.evm.deploy import deploy_hub
from vagus.adapters.evm.devnet import DEV_KEYS, Anvil
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.fetch import anvil_path
from vagus.daemon.folder import ALLOWANCE, NodeFolder, make_keys, sole_roster

__all__ = ["World", "world"]

COUNTER = Path(__file__).parent / "contracts" / "Counter.vy"
CHAIN_IDS = (31337, 31338)
MIN_TTL = 65
# Each block's state is a copy of the whole. Blocks with transactions are kept for as long as a node
# may be down here.
ANVIL = ("--gas-limit", "60000000", "--prune-history", "12", "--transaction-block-keeper", "300")
# With blocks of its own each second anvil keeps hundreds of states, whatever it was told: 12 GB of them
# after 50,000 intents. So it begins with slow ones, and then gets none but the miner's.
SLOW = 12
FUNDS = 10**6 * 10**18
NODE = """\
profile = "devnet"
data = "data"

[http]
port = 0

[log]
format = "json"

[signer]
keystore = "keys/signer.json"
password_file = "keys/password"

[[committee.members]]
signer = "0x{signer}"
{addresses}
[committee.gas_allowance]
{allowances}
[[backends]]
kind = "openai"
name = "scripted"
base_url = "{model}"
models = [{{ name = "scripted" }}]
"""
CHAIN = """
[[chains]]
id = "eip155:{chain_id}"
hub = "eip155:{chain_id}:{hub}"
rpc = "{rpc}"
ws = "{ws}"
timeout = 3.0
keystore = "keys/account.json"
password_file = "keys/password"
"""


class Miner:
    """Makes a chain's blocks, one a second; whoever has `held` keeps it from that."""

    def __init__(self, anvil: Anvil) -> None:
        self.held = asyncio.Lock()
        self._anvil = anvil

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            async with self.held:
                await self._anvil.call("evm_mine")
            due = max(due + 1, loop.time())
            await asyncio.sleep(due - loop.time())


@dataclass
class World:
    """What runs. `rpc` and `ws` are the node's wires to each chain; everybody else has their own."""

    folder: Path
    anvils: list[Anvil]
    miners: list[Miner]
    chains: list[Chain]
    rpc: list[Link]
    ws: list[Link]
    model: Model
    node: Node
    account: str
    requesters: tuple[str, ...]


@contextlib.asynccontextmanager
async def world(folder: Path, say: Callable[[str], None]) -> AsyncIterator[World]:
    """Start all but the node, which is yielded ready to start; all of it ends with the block."""
    keys = make_keys(folder, "devnet")
    roster = sole_roster(
        keys, {f"eip155:{chain_id}": f"0x{keys.account.hex()}" for chain_id in CHAIN_IDS}
    )
    parameters = HubParameters((keys.signer,), 1, min_ttl=MIN_TTL, roster_hash=roster.digest())
    deployer = DEV_KEYS[0]
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        anvils, miners, chains, rpc, ws = [], [], [], [], []
        for number, chain_id in enumerate(CHAIN_IDS):
            say(f"Starting anvil, chain {chain_id}; deploying a hub, a counter and a reverter")
            anvil = await stack.enter_async_context(Anvil(anvil_path(say), chain_id, SLOW, ANVIL))
            await anvil.call("evm_setIntervalMining", 0)
            miner = Miner(anvil)
            await stack.enter_async_context(background(**{f"blocks of {chain_id}": miner.run()}))
            await anvil.fund(keys.account, FUNDS)
            hub = await deploy_hub(
                anvil.rpc, Wallet(PrivateKey(bytes.fromhex(deployer[2:]))), parameters
            )
            chain = Chain(number, chain_id, anvil.rpc, http)
            chain.know_hub("0x" + hub.address.hex())
            account = Account.from_key(deployer)
            counter = await chain.deploy(account, compiled(COUNTER), chain.addresses["hub"])
            chain.know("counter", counter, compiled(COUNTER)["abi"])
            chain.know("reverter", await chain.deploy(account, committed("reverter")), [])
            anvils.append(anvil)
            miners.append(miner)
            chains.append(chain)
            rpc.append(await stack.enter_async_context(Link(anvil.rpc)))
            ws.append(await stack.enter_async_context(Link(anvil.ws)))
        model = await stack.enter_async_context(Model())
        config = folder / "vagus.toml"
        config.write_text(_config(keys, chains, rpc, ws, model))
        node = await stack.enter_async_context(Node(config, folder / "node.log"))
        account = f"0x{keys.account.hex()}"
        yield World(folder, anvils, miners, chains, rpc, ws, model, node, account, DEV_KEYS[1:5])


def _config(
    keys: NodeFolder, chains: list[Chain], rpc: list[Link], ws: list[Link], model: Model
) -> str:
    ids = [f"eip155:{chain_id}" for chain_id in CHAIN_IDS]
    text = NODE.format(
        signer=keys.signer.hex(),
        addresses="".join(f'addresses."{each}" = "0x{keys.account.hex()}"\n' for each in ids),
        allowances="".join(f'"{each}" = "{ALLOWANCE}"\n' for each in ids),
        model=model.base_url,
    )
    for chain, calls, heads in zip(chains, rpc, ws, strict=True):
        text += CHAIN.format(
            chain_id=chain.chain_id, hub=chain.addresses["hub"], rpc=calls.rpc, ws=heads.ws
        )
    return text
