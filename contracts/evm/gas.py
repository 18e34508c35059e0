"""Measure what the hub's calls cost, on anvil, and print the tables of docs/gas.md.

    .venv/bin/python contracts/evm/gas.py

Every figure is a transaction's whole gas (the base fee of 21,000 and the calldata included), on a
fresh chain with fixed keys and times: the same sources give the same figures anywhere.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The client, the signers and the node are the tests' own.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from support.anvil import Anvil, running_anvil
from support.contracts import committed, deploy
from support.hub import AGENT, ZERO, HubClient, members, new_hub, word

SETS = ((1, 1), (3, 3), (7, 7))  # (size, signatures): all members sign, which is the dearest
PROMPT = b'{"prompt":"Is the proposal in line with the charter? Answer yes or no, and why."}'
OUTPUT = b"Yes: the charter allows grants of up to 5 ETH, and this one asks for 3. " * 2
PAYOUTS = 5
HEAD = "| call | gas |\n|---|---:|\n"


def trace(anvil: Anvil, receipt: Any, options: dict[str, Any]) -> Any:
    """A trace of a transaction."""
    return anvil.rpc("debug_traceTransaction", "0x" + receipt["transactionHash"].hex(), options)


def callbacks_own(anvil: Anvil, receipt: Any) -> int:
    """The gas that the callback itself used: what was spent in the last call."""
    return int(trace(anvil, receipt, {"tracer": "callTracer"})["calls"][-1]["gasUsed"], 16)


def around_callback(anvil: Anvil, receipt: Any) -> int:
    """The gas spent from the check of what is left to the end, without what the callback used.

    The check is the last GAS of the hub's own frame before its CALL.
    """
    steps = trace(anvil, receipt, {"disableStorage": True})["structLogs"]
    own = [step for step in steps if step["depth"] == 1]
    call = max(i for i, step in enumerate(own) if step["op"] == "CALL")
    check = max(i for i in range(call) if own[i]["op"] == "GAS")
    return own[check]["gas"] - own[-1]["gas"] - callbacks_own(anvil, receipt)


def deliveries(anvil: Anvil) -> Iterator[str]:
    """Deliver to nobody and to the example consumer, with one to seven signatures."""
    for size, signatures in SETS:
        hub = new_hub(anvil, members(size), signatures, anvil.accounts[1])
        consumer = deploy(anvil, committed("consumer"), hub.contract.address, AGENT)
        consumer.functions.allow(hub.intent()["originHub"], word(hub.alice), True).transact(
            {"from": anvil.accounts[0], "gas": 100_000}
        )
        intent = hub.intent(callback=ZERO)
        silent = hub.deliver(intent, output=OUTPUT)["gasUsed"]
        intent = hub.intent(callback=word(consumer.address), callbackGas=500_000)
        receipt = hub.deliver(intent, output=OUTPUT)
        own = callbacks_own(anvil, receipt)
        yield f"| {signatures} | {silent:,} | {receipt['gasUsed'] - own:,} | {own:,} |\n"


def settlements(anvil: Anvil) -> Iterator[str]:
    """Settle with one to seven signatures, to payees without and with credit."""
    for size, signatures in SETS:
        hub = new_hub(anvil, members(size), signatures, anvil.accounts[1])
        intents = [hub.ask() for _ in range(3)]
        payouts = [(word(account), 100) for account in anvil.accounts[3 : 3 + PAYOUTS]]
        fresh = hub.settle(intents[0], payouts)["gasUsed"]
        known = hub.settle(intents[1], payouts)["gasUsed"]
        refused = hub.settle(intents[2], [], hub.receipt(intents[2], [], 1))["gasUsed"]
        yield f"| {signatures} | {fresh:,} | {known:,} | {refused:,} |\n"


def rotations(anvil: Anvil) -> Iterator[str]:
    """Rotate to as many signers, with one to seven signatures."""
    for size, signatures in SETS:
        hub = new_hub(anvil, members(size), signatures, anvil.accounts[1])
        rotated = hub.rotate(members(size, "next"), signatures)["gasUsed"]
        yield f"| {signatures} | {rotated:,} |\n"


def others(anvil: Anvil) -> Iterator[str]:
    """Everything else, on a hub of four, three of whom sign."""
    keys = members(4)
    hub = new_hub(anvil, keys, 3, anvil.accounts[1])
    transaction = anvil.web3.eth.get_block("latest", full_transactions=True)["transactions"][0]
    deployed = anvil.web3.eth.get_transaction_receipt(transaction["hash"])["gasUsed"]
    yield f"| deployment with four signers | {deployed:,} |\n"
    for name, payload in (
        (f"a prompt of {len(PROMPT)} bytes", PROMPT),
        ("a payload of 8,192 bytes", b"x" * 8192),
    ):
        yield f"| request with {name} | {request(hub, payload):,} |\n"
    reverter = deploy(anvil, committed("reverter"))
    intent = hub.intent(callback=word(reverter.address))
    hub.deliver(intent, output=OUTPUT)
    retried = hub.retry(intent, OUTPUT)
    yield f"| retry that fails, without the callback | {share(anvil, retried):,} |\n"
    asked = hub.ask(deadline=hub.now + 100)
    hub.at(asked["deadline"] + hub.config["grace"] + 1)
    yield f"| refund, to a requester without credit | {hub.refund(asked)['gasUsed']:,} |\n"
    withdrawn = hub.send("withdraw", sender=hub.alice)
    yield f"| withdraw | {withdrawn['gasUsed']:,} |\n"
    yield f"| pause | {hub.send('pause', sender=hub.guardian)['gasUsed']:,} |\n"


def request(hub: HubClient, payload: bytes) -> int:
    """The gas of a request to another hub."""
    arguments = (AGENT, payload, ZERO, b"", 0, b"\1" * 32, b"\2" * 32, 500_000, hub.now + 3600)
    return hub.send("request", *arguments, sender=hub.alice, value=5000)["gasUsed"]


def share(anvil: Anvil, receipt: Any) -> int:
    """The gas of a call without what the callback used."""
    return receipt["gasUsed"] - callbacks_own(anvil, receipt)


def reserve(anvil: Anvil) -> Iterator[str]:
    """What the hub spends around a callback, from its check of the gas on."""
    hub = new_hub(anvil, members(1), 1, anvil.accounts[1])
    reverter = word(deploy(anvil, committed("reverter")).address)
    failed = hub.deliver(hub.intent(callback=reverter, callbackGas=500_000), output=OUTPUT)
    yield f"| deliver, callback fails | {around_callback(anvil, failed):,} |\n"
    consumer = deploy(anvil, committed("consumer"), hub.contract.address, AGENT)
    intent = hub.intent(callback=word(consumer.address), callbackGas=500_000)
    hub.deliver(intent, output=OUTPUT)  # refused: the consumer does not allow the requester yet
    consumer.functions.allow(intent["originHub"], intent["requester"], True).transact(
        {"from": anvil.accounts[0], "gas": 100_000}
    )
    succeeded = hub.deliver(intent | {"seq": 8}, output=OUTPUT)
    yield f"| deliver, callback succeeds | {around_callback(anvil, succeeded):,} |\n"
    retried = hub.retry(intent, OUTPUT)
    yield f"| retry, callback succeeds | {around_callback(anvil, retried):,} |\n"
    # Storing these bytes takes five times the gas that is promised.
    long = hub.deliver(
        intent | {"seq": 9, "callbackGas": 10**6}, output=b"\xff" * 8192, gas=8_000_000
    )
    yield f"| deliver of 8,192 bytes, callback runs out of gas | {around_callback(anvil, long):,} |\n"


def tables() -> dict[str, str]:
    """Every table of docs/gas.md by its name, as Markdown."""
    deliver = (
        "| signatures | no callback | with callback | the consumer's own |\n|---:|---:|---:|---:|\n"
    )
    settle = (
        f"| signatures | {PAYOUTS} payees without credit | {PAYOUTS} payees with credit | refusal |\n"
        "|---:|---:|---:|---:|\n"
    )
    parts = {
        "deliver": (deliver, deliveries),
        "settle": (settle, settlements),
        "rotate": ("| signatures | to as many signers |\n|---:|---:|\n", rotations),
        "other calls": (HEAD, others),
        "around a callback": (HEAD, reserve),
    }
    found = {}
    for name, (head, rows) in parts.items():
        with running_anvil(31337, "--steps-tracing") as anvil:
            found[name] = head + "".join(rows(anvil))
    return found


if __name__ == "__main__":
    for title, table in tables().items():
        print(f"{title}\n\n{table}")
