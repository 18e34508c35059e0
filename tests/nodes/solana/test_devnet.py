"""LiteSVM's devnet beside Surfpool: each line of docs/devnet-solana.md, on both nodes."""

import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from support.solana_harness import LitesvmHarness, SolanaHarness
from support.surfpool_harness import SurfpoolHarness
from vagus.protocol import keccak256

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("surfpool_devnet"),
]

DOCS = Path(__file__).parents[3] / "docs/devnet-solana.md"
FINAL, CONFIRMED = {"commitment": "finalized"}, {"commitment": "confirmed"}
CLOSED = "the connection is closed"
PAYER = Keypair.from_seed(keccak256(b"who pays on both nodes"))
Probe = Callable[[SolanaHarness], Awaitable[str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def litesvm() -> AsyncIterator[SolanaHarness]:
    async with LitesvmHarness() as found:
        await found.fund(bytes(PAYER.pubkey()), 10**9)
        await found.advance()
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def surfpool() -> AsyncIterator[SolanaHarness]:
    async with SurfpoolHarness() as found:
        await found.fund(bytes(PAYER.pubkey()), 10**9)
        await found.advance()
        yield found


async def ask(node: SolanaHarness, method: str, *params: Any) -> Any:
    """A method's result; an error as its code, a connection closed without an answer as `CLOSED`."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(node.node.rpc, json=request) as response,
        ):
            answer = await response.json()
    except aiohttp.ServerDisconnectedError:
        return CLOSED
    return answer["error"]["code"] if "error" in answer else answer["result"]


def told(found: Any, otherwise: str = "answers") -> str:
    """An error by its code, null as such, and an answer as the docs call it."""
    if found is None:
        return "null"
    return f"error {found}" if isinstance(found, int) and found < 0 else otherwise


async def send(node: SolanaHarness, lamports: int) -> tuple[Keypair, str]:
    """Send lamports to a new account; the account, and the raw transaction."""
    to = Keypair()
    found = await ask(node, "getLatestBlockhash", CONFIRMED)
    moved = transfer(
        TransferParams(from_pubkey=PAYER.pubkey(), to_pubkey=to.pubkey(), lamports=lamports)
    )
    blockhash = Hash.from_string(found["value"]["blockhash"])
    raw = signed(moved, blockhash)
    assert isinstance(await resend(node, raw), str)
    return to, raw


def signed(instruction: Instruction, blockhash: Hash) -> str:
    message = MessageV0.try_compile(PAYER.pubkey(), [instruction], [], blockhash)
    return b64encode(bytes(VersionedTransaction(message, [PAYER]))).decode()


async def resend(node: SolanaHarness, raw: str) -> Any:
    return await ask(node, "sendTransaction", raw, {"encoding": "base64", "skipPreflight": True})


async def balance(node: SolanaHarness, key: Keypair, commitment: str) -> int:
    found = await ask(node, "getBalance", str(key.pubkey()), {"commitment": commitment})
    return found["value"]


# One probe a line: what it returns stands in the table's columns.


async def when_a_transaction_is_executed(node: SolanaHarness) -> str:
    to, _ = await send(node, 10**6)
    early = await balance(node, to, "processed")
    await node.advance()
    assert await balance(node, to, "confirmed") == 10**6
    return "when it comes" if early else "when the open slot ends"


async def state_of_a_commitment(node: SolanaHarness) -> str:
    to, _ = await send(node, 10**6)
    await node.advance()
    early = await balance(node, to, "finalized")
    await node.advance(node.finality + 1)
    assert await balance(node, to, "finalized") == 10**6
    return "the newest, whatever is asked" if early else "that commitment's"


async def min_context_slot_of_an_account(node: SolanaHarness) -> str:
    key, least = str(PAYER.pubkey()), {"minContextSlot": 10**9, "encoding": "base64"}
    found = await ask(node, "getMultipleAccounts", [key], least)
    return told(found, "no effect")


async def min_context_slot_of_a_history(node: SolanaHarness) -> str:
    least = {"minContextSlot": 10**9}
    found = await ask(node, "getSignaturesForAddress", str(PAYER.pubkey()), least)
    return told(found, "0 transactions, as a filter" if found == [] else "transactions")


async def a_finalized_blockhash(node: SolanaHarness) -> str:
    newest, final = [
        (await ask(node, "getLatestBlockhash", each))["value"]["blockhash"]
        for each in (CONFIRMED, FINAL)
    ]
    return "the newest" if newest == final else "the final block's"


async def a_blocks_time(node: SolanaHarness) -> str:
    slot = await ask(node, "getSlot", FINAL)
    block = await ask(node, "getBlock", slot, FINAL | {"transactionDetails": "none"})
    time = await ask(node, "getBlockTime", slot)
    if block["blockTime"] == time:
        return "seconds"
    assert block["blockTime"] == time // 1000
    return "thousands of seconds; getBlockTime has seconds"


async def a_blocks_height(node: SolanaHarness) -> str:
    slot, height = await ask(node, "getSlot", FINAL), await ask(node, "getBlockHeight", FINAL)
    block = await ask(node, "getBlock", slot, FINAL | {"transactionDetails": "none"})
    if block["blockHeight"] == height:
        return "as getBlockHeight counts"
    assert block["blockHeight"] == slot
    return "the slot, in an empty block"


async def a_block_to_come(node: SolanaHarness) -> str:
    slot = await ask(node, "getSlot", CONFIRMED)
    options = CONFIRMED | {"transactionDetails": "none"}
    found = await ask(node, "getBlock", slot + 1_000, options)
    return told(found)


async def a_transaction_sent_again(node: SolanaHarness) -> str:
    _, raw = await send(node, 10**6)
    await node.advance()
    return told(await resend(node, raw), "its signature")


async def a_time_to_come(node: SolanaHarness) -> str:
    return told(await ask(node, "getBlockTime", 10**7))


async def a_fresh_blockhash_in_a_preflight(node: SolanaHarness) -> str:
    """At the commitment that a send has by itself, which is the final one."""
    found = await ask(node, "getLatestBlockhash", CONFIRMED)
    moved = TransferParams(from_pubkey=PAYER.pubkey(), to_pubkey=Keypair().pubkey(), lamports=10**6)
    raw = signed(transfer(moved), Hash.from_string(found["value"]["blockhash"]))
    return told(await ask(node, "sendTransaction", raw, {"encoding": "base64"}), "its signature")


async def an_unknown_blockhash_in_the_history(node: SolanaHarness) -> str:
    """Sent without a preflight, of an account that nothing else has ever named."""
    to = Keypair().pubkey()
    moved = TransferParams(from_pubkey=PAYER.pubkey(), to_pubkey=to, lamports=10**6)
    raw = signed(transfer(moved), Hash(b"\x55" * 32))
    assert isinstance(await resend(node, raw), str)
    await node.advance()
    found = await ask(node, "getSignaturesForAddress", str(to), CONFIRMED)
    if not found:
        return "is not there"
    (entry,) = found
    assert entry["err"] == "BlockhashNotFound"
    return "is there, with its error"


async def included(node: SolanaHarness) -> tuple[Keypair, str]:
    """A transaction that a block has: the account that it paid, and its signature."""
    to, raw = await send(node, 10**6)
    await node.advance()
    return to, str(VersionedTransaction.from_bytes(b64decode(raw)).signatures[0])


async def the_time_of_a_transaction(node: SolanaHarness) -> str:
    _, signature = await included(node)
    options = CONFIRMED | {"maxSupportedTransactionVersion": 0, "encoding": "base64"}
    found = await ask(node, "getTransaction", signature, options)
    await node.advance(node.finality + 1)
    time = await ask(node, "getBlockTime", found["slot"])
    if found["blockTime"] == time:
        return "seconds"
    assert found["blockTime"] == time // 1000
    return "thousands of seconds"


async def the_time_in_a_history(node: SolanaHarness) -> str:
    to, _ = await included(node)
    (entry,) = await ask(node, "getSignaturesForAddress", str(to.pubkey()), CONFIRMED)
    await node.advance(node.finality + 1)
    if entry["blockTime"] is None:
        return "null"
    time = await ask(node, "getBlockTime", entry["slot"])
    if entry["blockTime"] == time:
        return "seconds"
    assert entry["blockTime"] == time // 1000
    return "thousands of seconds"


async def a_transaction_for_who_knows_no_versions(node: SolanaHarness) -> str:
    _, signature = await included(node)
    options = CONFIRMED | {"encoding": "base64"}
    return told(await ask(node, "getTransaction", signature, options))


async def a_transaction_at_processed(node: SolanaHarness) -> str:
    _, signature = await included(node)
    options = {"commitment": "processed", "maxSupportedTransactionVersion": 0}
    return told(await ask(node, "getTransaction", signature, options | {"encoding": "base64"}))


async def a_history_at_processed(node: SolanaHarness) -> str:
    options = {"commitment": "processed"}
    return told(await ask(node, "getSignaturesForAddress", str(PAYER.pubkey()), options))


async def signatures_over_the_limit(node: SolanaHarness) -> str:
    options = {"limit": 1_001}
    return told(await ask(node, "getSignaturesForAddress", str(PAYER.pubkey()), options))


async def accounts_over_the_limit(node: SolanaHarness) -> str:
    keys = [str(PAYER.pubkey())] * 101
    return told(await ask(node, "getMultipleAccounts", keys, {"encoding": "base64"}))


async def statuses_over_the_limit(node: SolanaHarness) -> str:
    _, signature = await included(node)
    return told(await ask(node, "getSignatureStatuses", [signature] * 257))


async def the_first_block(node: SolanaHarness) -> str:
    first = await ask(node, "getFirstAvailableBlock")
    early = await ask(node, "getBlocks", 1, 5)
    assert early == ([1, 2, 3, 4, 5] if first == 0 else [])
    return "0" if first == 0 else "the slot with which it began"


async def fees_for_priority(node: SolanaHarness) -> str:
    found = await ask(node, "getRecentPrioritizationFees", [])
    assert {each["prioritizationFee"] for each in found} <= {0}
    return "0 for each slot" if found else "no slots"


async def bytes_that_are_no_transaction(node: SolanaHarness) -> str:
    raw = b64encode(bytes(300)).decode()
    found = await resend(node, raw)
    assert await ask(node, "getHealth") == "ok"
    return told(found, str(found))


async def slots_from_newest_to_final(node: SolanaHarness) -> str:
    newest, final = await ask(node, "getSlot", CONFIRMED), await ask(node, "getSlot", FINAL)
    return f"{newest - final}"


PROBES: dict[str, Probe] = {
    "When a transaction is executed": when_a_transaction_is_executed,
    "State at `finalized`": state_of_a_commitment,
    "`minContextSlot` of accounts": min_context_slot_of_an_account,
    "`minContextSlot` of `getSignaturesForAddress`": min_context_slot_of_a_history,
    "`getLatestBlockhash` at `finalized`": a_finalized_blockhash,
    "`blockTime` of `getBlock`": a_blocks_time,
    "`blockHeight` of `getBlock`": a_blocks_height,
    "`getBlock` of a slot to come": a_block_to_come,
    "`getBlockTime` of a slot to come": a_time_to_come,
    "`getFirstAvailableBlock`": the_first_block,
    "A transaction that is included, sent again": a_transaction_sent_again,
    "A preflight with a blockhash that is not final yet": a_fresh_blockhash_in_a_preflight,
    "300 zero bytes as a transaction": bytes_that_are_no_transaction,
    "A send with an unknown blockhash, in `getSignaturesForAddress`": an_unknown_blockhash_in_the_history,
    "`blockTime` of `getSignaturesForAddress`": the_time_in_a_history,
    "`blockTime` of `getTransaction`": the_time_of_a_transaction,
    "`getTransaction` of version 0 without `maxSupportedTransactionVersion`": (
        a_transaction_for_who_knows_no_versions
    ),
    "`getTransaction` at `processed`": a_transaction_at_processed,
    "`getSignaturesForAddress` at `processed`": a_history_at_processed,
    "1,001 signatures of an address": signatures_over_the_limit,
    "101 accounts at once": accounts_over_the_limit,
    "257 statuses at once": statuses_over_the_limit,
    "`getRecentPrioritizationFees`": fees_for_priority,
    "Slots from `confirmed` to `finalized`": slots_from_newest_to_final,
}


def lines() -> dict[str, tuple[str, str]]:
    """The docs' table of differences."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", DOCS.read_text(), re.MULTILINE)
    return {name: (ours, theirs) for name, ours, theirs in rows if name in PROBES}


async def test_every_line_is_tried() -> None:
    """The table is the one that begins with `What`."""
    table = DOCS.read_text().partition("| What |")[2].partition("\n\n")[0]
    assert len(table.splitlines()) - 2 == len(PROBES) == len(lines())


@pytest.mark.parametrize("name", PROBES)
async def test_litesvm_answers_as_the_docs_say(name: str, litesvm: SolanaHarness) -> None:
    assert await PROBES[name](litesvm) == lines()[name][0]


@pytest.mark.parametrize("name", PROBES)
async def test_surfpool_answers_as_the_docs_say(name: str, surfpool: SolanaHarness) -> None:
    assert await PROBES[name](surfpool) == lines()[name][1]
