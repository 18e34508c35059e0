"""`vagus demo --json`: the main job, at the chains' own pace, with the real model."""

import json
import time

import pytest

from support.node import vagus

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e"),
]

KEYS = {
    *("id", "origin", "dest", "agent", "status", "output", "seconds", "deliver_tx", "settle_tx"),
}
SECONDS = 90.0


async def test_the_demo_is_ok_in_ninety_seconds() -> None:
    began = time.monotonic()
    code, out, err = await vagus("demo", "--json", within=2 * SECONDS)
    seconds = time.monotonic() - began
    print(f"the demo took {seconds:.1f} s")
    assert code == 0, err
    assert out.count("\n") == 1
    report = json.loads(out)
    assert set(report) == {"intents", "delivered", "refused", "failed", "ok"}
    assert report["ok"] is True
    assert [len(report["intents"]), report["delivered"], report["refused"], report["failed"]] == [
        *(9, 5, 3, 0),
    ]
    assert seconds < SECONDS
    for intent in report["intents"]:
        assert set(intent) == KEYS
        assert intent["origin"].startswith("eip155:")
        assert intent["dest"].count(":") == 2
        assert (intent["deliver_tx"] is not None) == (intent["status"] == "fulfilled")
        assert (intent["settle_tx"] is None) == (intent["status"] == "refunded")
        assert bool(intent["output"]) == (intent["status"] == "fulfilled")
