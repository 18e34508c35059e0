"""What the docs say that calls cost is what they cost: compute units, and bytes of a transaction."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.hub import members, word
from support.hub_solana import SolanaHub, new_solana_hub, person
from support.litesvm import LiteChain, Sent
from support.puppet import PUPPET, placed, register
from support.solana_idl import build

DOCS = Path(__file__).resolve().parents[3] / "docs" / "hub-solana.md"
OUTPUT = b"x" * 144
PROMPT = b"y" * 81
PAYEES = [bytes(person(f"payee {i}").pubkey()) for i in range(5)]


def new_hub(size: int, threshold: int, chain: LiteChain | None = None) -> SolanaHub:
    """A hub on a chain of its own."""
    chain = chain or LiteChain()
    return new_solana_hub(chain, chain.program, members(size), threshold)


def measured() -> Iterator[tuple[str, Sent]]:
    """Every row of the docs' table: its name, and the transaction that it is about."""
    chain = LiteChain()
    chain.program(person("hub").pubkey(), build("hub"), person("authority").pubkey())
    bare = SolanaHub(chain, person("hub").pubkey(), members(4), 3)
    yield "initialize with 4 signers", bare.initialize()

    hub = new_hub(4, 3)
    last = last_sent(hub)
    hub.ask(payload=PROMPT)
    yield "request, 81 bytes, the requester's first", last()
    hub.ask(payload=PROMPT)
    yield "request, 81 bytes", last()
    hub.ask(payload=bytes(8192))
    yield "request, 8,192 bytes, staged", last()

    for count in (1, 3, 7, 32):
        hub = new_hub(count, count)
        intent = hub.intent()
        yield f"deliver, 144 bytes, {plural(count)}", hub.deliver(intent, output=OUTPUT)
    hub = new_hub(3, 3)
    yield (
        "deliver, 8,192 bytes, staged, 3 signatures",
        hub.deliver(hub.intent(), output=bytes(8192)),
    )

    for count in (1, 3, 7):
        hub = new_hub(count, count)
        payouts = [(payee, 100) for payee in PAYEES]
        intent, refused = hub.ask(), hub.ask()
        yield f"settle, 5 payees, {plural(count)}", hub.settle(intent, payouts)
        yield (
            f"settle, a refusal, {plural(count)}",
            hub.settle(refused, [], hub.receipt(refused, [], 1)),
        )
    for count in (1, 3, 7):
        hub = new_hub(count, count)
        signers = "1 signer" if count == 1 else f"{count} signers"
        yield (
            f"rotate to {signers}, {plural(count)}",
            hub.rotate(members(count, "next"), count),
        )

    chain = LiteChain()
    hub = new_hub(4, 3, chain)
    placed(chain)
    yield "register, with the puppet around it", register(hub, [])
    called = hub.intent(callback=bytes(PUPPET))
    hub.deliver(called, output=OUTPUT)
    yield "retry, 144 bytes, with a consumer that does nothing", hub.retry(called, OUTPUT)
    yield "open_credit", hub.open_credit(word(hub.carol))
    unsettled = hub.ask()
    hub.at(unsettled["deadline"] + hub.config["grace"] + 1)
    yield "refund", hub.refund(unsettled)
    yield "withdraw", hub.send("withdraw", sender=hub.alice)
    yield "close_intent", hub.close_intent(unsettled)
    yield "pause", hub.send("pause", sender=hub.guardian)


def plural(count: int) -> str:
    return "1 signature" if count == 1 else f"{count} signatures"


def last_sent(hub: SolanaHub) -> Callable[[], Sent]:
    """The hub's newest transaction, for calls that answer something else."""
    sent: list[Sent] = []
    execute = hub.execute

    def kept(instructions, *signers):
        sent.append(execute(instructions, *signers))
        return sent[-1]

    hub.execute = kept
    return lambda: sent[-1]


@pytest.fixture(scope="module")
def rows() -> list[str]:
    return [f"| {name} | {sent.units:,} | {sent.size:,} |" for name, sent in measured()]


def test_the_docs_print_what_calls_cost(rows: list[str]):
    text = DOCS.read_text()
    table = text[text.index("## Compute units") :]
    printed = re.findall(r"^\| .+ \| [\d,]+ \| [\d,]+ \|$", table, re.MULTILINE)
    assert printed == rows, "\n".join(["", *rows])


def test_the_docs_print_the_programs_size_and_the_rent_of_its_deployment():
    chain = LiteChain()
    size = len(build("hub"))
    # The ProgramData account and the Program account, as the upgradeable loader keeps them.
    rent = chain.svm.minimum_balance_for_rent_exemption
    sol = (rent(45 + size) + rent(36)) / 10**9
    assert f"{size:,} bytes" in DOCS.read_text()
    assert f"{sol:.4f} SOL" in DOCS.read_text()


def test_no_call_comes_near_the_units_of_a_transaction(rows: list[str]):
    units = [int(row.split("|")[2].replace(",", "")) for row in rows]
    assert max(units) < 1_000_000
