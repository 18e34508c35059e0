"""LiteSVM's devnet by solana-py: what a cluster does with time, forks, duplicates and bad input."""

import asyncio
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.models import TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from vagus.adapters.evm.errors import NodeError
from vagus.adapters.solana.devnet import Litesvm
from vagus.protocol import keccak256

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("solana_devnet"),
]

FINALITY = 3
ME = Keypair.from_seed(keccak256(b"somebody"))
UNSEEN = TxOpts(skip_preflight=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def net() -> AsyncIterator[Litesvm]:
    async with Litesvm(0, FINALITY) as found:
        await found.fund(bytes(ME.pubkey()), 10**12)
        await found.advance(FINALITY + 1)
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(net: Litesvm) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(net.rpc, Confirmed) as found:
        yield found


def moving(to: Pubkey, lamports: int, blockhash: Hash) -> bytes:
    """A signed transfer."""
    moved = transfer(TransferParams(from_pubkey=ME.pubkey(), to_pubkey=to, lamports=lamports))
    message = MessageV0.try_compile(ME.pubkey(), [moved], [], blockhash)
    return bytes(VersionedTransaction(message, [ME]))


async def newest(client: AsyncClient) -> Hash:
    return (await client.get_latest_blockhash()).value.blockhash


async def has(client: AsyncClient, key: Pubkey, commitment: Any = Confirmed) -> int:
    return (await client.get_balance(key, commitment)).value


async def test_each_commitment_has_its_own_state(net: Litesvm, client: AsyncClient) -> None:
    to = Keypair().pubkey()
    sent = (await client.send_raw_transaction(moving(to, 10**9, await newest(client)))).value
    assert await has(client, to) == 0
    seen = []
    for _ in range(FINALITY + 1):
        await net.advance()
        (status,) = (await client.get_signature_statuses([sent])).value
        assert status is not None
        seen.append((await has(client, to), await has(client, to, Finalized)))
        final = seen[-1][1] > 0
        assert str(status.confirmation_status).endswith("Finalized") == final
    assert seen == [(10**9, 0)] * FINALITY + [(10**9, 10**9)]


async def test_a_blockhash_lives_for_150_blocks(net: Litesvm, client: AsyncClient) -> None:
    """And the height that is told with it is the last one that takes it."""
    old = (await client.get_latest_blockhash()).value
    to = Keypair().pubkey()
    await net.advance(149)
    await client.send_raw_transaction(moving(to, 10**9, old.blockhash))
    await net.advance()
    assert (await client.get_block_height()).value == old.last_valid_block_height
    assert await has(client, to) == 10**9
    await client.send_raw_transaction(moving(to, 10**8, old.blockhash), UNSEEN)
    await net.advance()
    assert await has(client, to) == 10**9 + 10**8
    with pytest.raises(RPCException, match="Blockhash not found"):
        await client.send_raw_transaction(moving(to, 7, old.blockhash))
    await client.send_raw_transaction(moving(to, 7, old.blockhash), UNSEEN)
    await net.advance()
    assert await has(client, to) == 10**9 + 10**8


async def test_a_duplicate_is_never_executed_again(net: Litesvm, client: AsyncClient) -> None:
    """However many transactions come between."""
    to, blockhash = Keypair().pubkey(), await newest(client)
    raw = moving(to, 10**9, blockhash)
    await client.send_raw_transaction(raw)
    await net.advance()
    for at in range(200):
        await client.send_raw_transaction(moving(Keypair().pubkey(), 10**7 + at, blockhash), UNSEEN)
    await net.advance()
    await client.send_raw_transaction(raw, UNSEEN)
    with pytest.raises(RPCException, match="already been processed"):
        await client.send_raw_transaction(raw)
    await net.advance()
    assert await has(client, to) == 10**9


async def test_blocks_that_are_taken_back_leave_nothing(net: Litesvm, client: AsyncClient) -> None:
    """Accounts, signatures, the address's history and blockhashes are those of before."""
    to = Keypair().pubkey()
    slot = (await client.get_slot()).value
    sent = (await client.send_raw_transaction(moving(to, 10**9, await newest(client)))).value
    await net.advance(2)
    gone = await newest(client)
    mine = await has(client, ME.pubkey())
    await net.call("devnet_takeBack", 2)
    assert (await client.get_slot()).value == slot
    assert await has(client, to) == 0
    assert await has(client, ME.pubkey()) == mine + 10**9 + 5_000
    assert (await client.get_signature_statuses([sent])).value == [None]
    assert (await client.get_signatures_for_address(to)).value == []
    assert not (await client.get_transaction(sent)).value
    await net.advance(2)
    assert await newest(client) != gone
    with pytest.raises(RPCException, match="Blockhash not found"):
        await client.send_raw_transaction(moving(to, 5, gone))


async def test_skipped_slots_have_no_block(net: Litesvm, client: AsyncClient) -> None:
    slot, height = (await client.get_slot()).value, (await client.get_block_height()).value
    await net.call("devnet_skip", 3)
    await net.advance()
    assert (await client.get_slot()).value == slot + 4
    assert (await client.get_block_height()).value == height + 1
    await net.advance(FINALITY)
    assert (await client.get_blocks(slot, slot + 4)).value == [slot, slot + 4]
    with pytest.raises(RPCException, match="was skipped"):
        await client.get_block(slot + 2, max_supported_transaction_version=0)


async def test_histories_are_paged_by_signatures(net: Litesvm, client: AsyncClient) -> None:
    """The newest first; what failed is in it with its error."""
    to = Keypair().pubkey()
    sent = []
    for at in range(5):
        raw = moving(to, 10**9 + at, await newest(client))
        sent.append((await client.send_raw_transaction(raw)).value)
        await net.advance(at % 2)
    failed = moving(to, 10**18, await newest(client))
    sent.append((await client.send_raw_transaction(failed, UNSEEN)).value)
    await net.advance()
    everything = (await client.get_signatures_for_address(to)).value
    assert [each.signature for each in everything] == sent[::-1]
    assert [each.err is None for each in everything] == [False, *[True] * 5]
    page = (await client.get_signatures_for_address(to, before=sent[4], limit=2)).value
    assert [each.signature for each in page] == [sent[3], sent[2]]
    page = (await client.get_signatures_for_address(to, until=sent[3])).value
    assert [each.signature for each in page] == [sent[5], sent[4]]


async def test_subscriptions_tell_of_what_was_included(net: Litesvm, client: AsyncClient) -> None:
    to = Keypair().pubkey()
    async with SolanaWsClient(net.ws) as socket:
        wanted = RpcTransactionLogsFilterMentions(to)
        await socket.logs_subscribe(filter_=wanted, commitment=Confirmed)
        sent = (await client.send_raw_transaction(moving(to, 10**9, await newest(client)))).value
        await socket.signature_subscribe(signature=sent, commitment=Finalized)
        await net.advance(FINALITY + 1)
        async with asyncio.timeout(30):
            logs, final = await socket.recv(), await socket.recv()
    assert logs.result.value.signature == sent
    assert final.result.value.err is None


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("getBlock", [10**9], -32_004),
        ("getNothing", [], -32_601),
        ("getBalance", ["no address"], -32_602),
        ("getBalance", [], -32_602),
        ("getSlot", [{"commitment": "sure"}], -32_602),
        ("getSlot", [{"minContextSlot": 10**9}], -32_016),
        ("getSignaturesForAddress", [str(ME.pubkey()), {"limit": 1_001}], -32_602),
        ("getSignaturesForAddress", [str(ME.pubkey()), {"commitment": "processed"}], -32_602),
        ("getMultipleAccounts", [[str(ME.pubkey())] * 101], -32_602),
        ("sendTransaction", ["AAAA", {"encoding": "base64"}], -32_602),
        ("sendTransaction", [b64encode(bytes(1_233)).decode(), {"encoding": "base64"}], -32_602),
        ("devnet_takeBack", [10_000], -32_602),
    ],
)
async def test_bad_input_is_an_error_of_solanas_own(
    net: Litesvm, method: str, params: list[Any], code: int
) -> None:
    with pytest.raises(NodeError) as raised:
        await net.call(method, *params)
    assert raised.value.code == code


async def test_an_unsigned_transaction_is_taken_by_nobody(
    net: Litesvm, client: AsyncClient
) -> None:
    to = Keypair().pubkey()
    raw = moving(to, 10**9, await newest(client))
    forged = raw[:1] + bytes(Signature.new_unique()) + raw[65:]
    with pytest.raises(RPCException, match="SignatureVerificationFailure"):
        await client.send_raw_transaction(forged)
    await client.send_raw_transaction(forged, UNSEEN)
    await net.advance()
    assert await has(client, to) == 0


async def test_a_page_in_a_browser_cannot_ask(net: Litesvm) -> None:
    """Neither by a form's content type nor over a websocket."""
    async with aiohttp.ClientSession() as session:
        async with session.post(net.rpc, data=b"{}") as response:
            assert response.status == 415
        headers = {"Origin": "https://example.org"}
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(net.ws, headers=headers)


async def test_garbage_ends_nothing(net: Litesvm, client: AsyncClient) -> None:
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
        for body in (b"", b"[", b"[[[[" * 50_000, b"[]", b"null", b'{"method":1}', b"\xff\xfe"):
            async with session.post(net.rpc, data=body) as response:
                assert (await response.json())["error"]["code"] in (-32_700, -32_600)
    assert (await client.get_slot(Processed)).value > 0


async def test_slots_and_the_clock_move_by_themselves() -> None:
    """At the pace that is asked for, and stand still when told to."""
    async with Litesvm(20, FINALITY) as net, AsyncClient(net.rpc, Confirmed) as client:
        async with asyncio.timeout(30):
            while (await client.get_slot()).value < 20:
                await asyncio.sleep(0.01)
        await net.pace(0)
        slot = (await client.get_slot()).value
        before = (await client.get_block_time(slot - FINALITY)).value
        await net.warp(1_000)
        after = (await client.get_slot()).value
        assert after == slot + FINALITY + 1
        later = (await client.get_block_time(after - FINALITY)).value
        assert before is not None
        assert later is not None
        assert later - before >= 1_000


async def test_it_ends_with_its_parent() -> None:
    """However that ends."""
    code = (
        "import asyncio\n"
        "from vagus.adapters.solana.devnet import Litesvm\n"
        "async def main():\n"
        "    async with Litesvm() as net:\n"
        "        print(net.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    # The kernel's signal comes with the parent's end; a reaped or dead child is no process.
    while _runs(child):
        pass


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
