"""`vagus demo --json` without more: three kinds of chains, and each of their nine directions."""

import json
import time

import pytest

from support.node import vagus

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("demo"),
]

KINDS = {"eip155", "solana", "cosmos"}
WITHIN = 600.0


def kind(hub: str) -> str:
    """The namespace of a hub's CAIP-10 id."""
    namespace, _, account = hub.partition(":")
    assert account.count(":") == 1
    return namespace


async def test_the_demo_goes_all_nine_ways_between_three_chains() -> None:
    began = time.monotonic()
    code, out, err = await vagus("demo", "--json", within=WITHIN)
    print(f"the demo took {time.monotonic() - began:.1f} s")
    assert code == 0, err
    assert out.count("\n") == 1
    report = json.loads(out)
    assert report["ok"] is True
    assert len({intent["id"] for intent in report["intents"]}) == len(report["intents"])

    fulfilled = [intent for intent in report["intents"] if intent["status"] == "fulfilled"]
    assert report["delivered"] == len(fulfilled)
    assert report["refused"] == 3
    assert report["failed"] == 0
    ways = {(kind(intent["origin"]), kind(intent["dest"])) for intent in fulfilled}
    assert ways == {(origin, dest) for origin in KINDS for dest in KINDS}
    for intent in fulfilled:
        assert intent["output"]
        assert intent["deliver_tx"]
        assert intent["settle_tx"]
        assert intent["deliver_tx"] != intent["settle_tx"]
