"""Measure what the hub's calls cost, on wasmd, and print the tables of docs/hub-cosmos.md.

    .venv/bin/python contracts/cosmos/gas.py

Every figure is a transaction's whole gas (its bytes and its own signature included), on a fresh chain
with fixed keys. Nothing but the calls' own lengths changes them.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The client, the signers and the node are the tests' own.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from support.hub import AGENT, ZERO, Message, members, word
from support.hub_cosmos import CONSUMER, HUB, CosmosHub, Puppet, json_of, new_hub
from support.wasmd import Chain, running_wasmd, short

SETS = ((1, 1), (3, 3), (7, 7))  # (size, signatures): all members sign, which is the dearest
PROMPT = b'{"prompt":"Is the proposal in line with the charter? Answer yes or no, and why."}'
OUTPUT = b"Yes: the charter allows grants of up to 5 ETH, and this one asks for 3. " * 2
PAYOUTS = 5
PROMISED = 400_000


def gas(result: Any) -> int:
    """What a transaction used."""
    return int(result["gas_used"])


def consumer(hub: CosmosHub) -> bytes:
    """An example consumer that takes the answers to Alice's questions elsewhere; its word."""
    chain = hub.chain
    address = chain.instantiate(CONSUMER, {"hub": hub.address, "agent_id": AGENT.hex()})
    asked = {"originHub": hub.intent()["originHub"], "requester": word(hub.alice), "allowed": True}
    chain.execute(address, {"allow": json_of(asked)}, chain.accounts[0])
    return word(short(address))


def calls(chain: Chain) -> Iterator[str]:
    """Deliver, settle and rotate with one to seven signatures."""
    for size, signatures in SETS:
        hub = new_hub(chain, members(size), signatures, chain.accounts[1])
        silent = gas(hub.deliver(hub.intent(), output=OUTPUT))
        called = hub.intent(seq=8, callback=consumer(hub), callbackGas=PROMISED)
        with_callback = gas(hub.deliver(called, output=OUTPUT))
        payouts = [(word(account), 100) for account in chain.accounts[3 : 3 + PAYOUTS]]
        fresh = gas(hub.settle(hub.ask(), payouts))
        known = gas(hub.settle(hub.ask(), payouts))
        refused = hub.ask()
        refusal = gas(hub.settle(refused, [], hub.receipt(refused, [], 1)))
        rotation = gas(hub.rotate(members(size, "next"), signatures))
        figures = (silent, with_callback, fresh, known, refusal, rotation)
        yield f"| {signatures} | " + " | ".join(f"{figure:,}" for figure in figures) + " |\n"


def request(hub: CosmosHub, payload: bytes) -> int:
    """The gas of a request to another hub."""
    arguments = (AGENT, payload, ZERO, b"", 0, b"\1" * 32, b"\2" * 32, 500_000, hub.now + 3600)
    return gas(hub.send("request", *arguments, sender=hub.alice, value=5000))


def others(chain: Chain) -> Iterator[str]:
    """Everything else, on a hub of four, three of whom sign."""
    # How well it is compressed is zlib's affair, which differs a little between machines.
    yield f"| storing the code, compressed, about | {round(gas(chain.uploaded(HUB)), -5):,} |\n"
    hub = new_hub(chain, members(4), 3, chain.accounts[1])
    yield f"| instantiation with four signers | {gas(hub.created):,} |\n"
    for name, payload in (
        (f"request with a prompt of {len(PROMPT)} bytes", PROMPT),
        ("request with a payload of 8,192 bytes", b"x" * 8192),
    ):
        yield f"| {name} | {request(hub, payload):,} |\n"
    long = gas(hub.deliver(hub.intent(seq=9), output=b"\xff" * 8192))
    yield f"| deliver an output of 8,192 bytes, no callback | {long:,} |\n"
    puppet = Puppet(chain)
    puppet.script("fail")
    failed = hub.intent(seq=10, callback=puppet.word, callbackGas=PROMISED)
    hub.deliver(failed, output=OUTPUT)
    puppet.script("burn")
    yield f"| retry of a callback that burns {PROMISED:,} | {gas(hub.retry(failed, OUTPUT)):,} |\n"
    puppet.script("bomb", events=20, bytes=10_000)
    bomb: Message = hub.intent(seq=11, callback=puppet.word, callbackGas=10**6)
    heard = gas(hub.deliver(bomb, output=OUTPUT, gas=20_000_000))
    yield f"| deliver, to a callback that answers with 200,000 bytes | {heard:,} |\n"
    asked = hub.ask(deadline=hub.now + 100)
    hub.at(asked["deadline"] + hub.config["grace"] + 1)
    yield f"| refund, to a requester without credit | {gas(hub.refund(asked)):,} |\n"
    yield f"| withdraw | {gas(hub.send('withdraw', sender=hub.alice)):,} |\n"
    yield f"| pause | {gas(hub.send('pause', sender=hub.guardian)):,} |\n"


def tables() -> dict[str, str]:
    """Every table of docs/hub-cosmos.md by its name, as Markdown."""
    head = (
        f"| signatures | deliver, no callback | deliver to the example consumer | settle, {PAYOUTS} "
        f"payees without credit | settle, {PAYOUTS} payees with credit | settle a refusal | rotate |\n"
        "|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    parts = {"by signatures": (head, calls), "other": ("| call | gas |\n|---|---:|\n", others)}
    found = {}
    for name, (top, rows) in parts.items():
        with running_wasmd() as chain:
            for account in chain.accounts:
                # An account's first transaction stores its key, which is no cost of the hub's.
                chain.pay(chain.bech32(account), 1, payer=account)
            found[name] = top + "".join(rows(chain))
    return found


if __name__ == "__main__":
    for title, table in tables().items():
        print(f"{title}\n\n{table}")
