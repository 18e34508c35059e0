"""Two nodes with one key, which must not be: each sees on chain what it has not done itself."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from support.client import Client, until
from support.node import Node
from support.node_devnet import Devnet
from support.node_model import StubModel

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_two_nodes"),
]
ENDS = {"settled", "closed"}


async def counted(node: Node) -> dict[str, float]:
    """How many intents a node counts, by what showed it the other one."""
    _, body = await node.get("/metrics")
    return {
        sample.labels["what"]: sample.value
        for family in families(body.decode())
        for sample in family.samples
        if sample.name == "vagus_keys_elsewhere_total" and sample.value
    }


async def test_a_node_tells_of_another_one_with_its_keys(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    async with (
        Node(devnet.variant("one", backends=stub.backends), tmp_path / "one.log") as one,
        Node(devnet.variant("two", backends=stub.backends), tmp_path / "two.log") as two,
    ):
        await one.start()
        await two.start()
        prompt = "which of you two?"
        stub.open.clear()
        intent = (await client.ask(prompt)).hex
        # Both have it with the model before either answers: each decides an outcome of its own.
        await until(lambda: asyncio.sleep(0, stub.asked[prompt]), lambda asked: asked == 2)
        stub.open.set()
        told = []
        for node in (one, two):
            await until(lambda node=node: node.intent(intent), lambda it: it["stage"] in ENDS)
            told += [each for each in node.lines() if each["event"] == "keys used elsewhere"]
        assert told
        assert {each["intent"] for each in told} == {intent}
        assert all(each["level"] == "warning" and "runbook" in each["todo"] for each in told)
        found = [await counted(one), await counted(two)]
        assert sum(sum(each.values()) for each in found) == len(told)
        assert {"outcome", "delivery"} & {what for each in found for what in each}
