"""A node with canaries: who sells the local model and serves another is shut out, who serves it is not."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from support.client import Client, Question, until
from support.gguf import disturbed
from support.node import SCALE, Node, vagus
from support.node_devnet import Devnet
from vagus.compute.backends import local_server
from vagus.compute.backends.local import LocalConfig
from vagus.compute.child import Child
from vagus.compute.routing.judged import NEW
from vagus.compute.weights import weights_sha256
from vagus.daemon.fetch import model_path

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_canaries"),
]

SOLD = LocalConfig()
# The copy begins otherwise on each of these.
TOKENS = 8
PROMPTS = (
    "What is a bee?", "Name a river.", "Why is the sky blue?", "What is jazz?",
    "What does a court do?", "How are clouds made?", "What is rust?", "Who wrote Hamlet?",
    "What is a vote?", "Is glass a liquid?", "How do cats purr?", "What is bread?",
    "What is the moon?",
)  # fmt: skip
# Wrong answers until the alarm, at ln(1000 / 0.01): compared ones of ln(0.6 / 0.2), rescored ones of ln(0.2 / 0.01).
WRONG, WRONG_AT_LEAST = 11, 4


@contextlib.asynccontextmanager
async def swapped(folder: Path) -> AsyncIterator[str]:
    """llama.cpp with a copy of the local model whose weights were changed: its `[[backends]]` table."""
    path = disturbed(model_path(), folder / "swapped.gguf", "ffn_down")
    key = folder / "swapped.key"
    key.touch(0o600)
    key.write_text(Child.new_key())
    settings = local_server.Settings(
        model_path=str(path),
        name=SOLD.model,
        api_key=key.read_text(),
        context=SOLD.context,
        parallel=SOLD.parallel,
    )
    async with Child(local_server.__name__, settings, what="the other model") as child:
        port = await child.port(timeout=60)
        weights = weights_sha256(model_path())
        yield (
            f'[[backends]]\nkind = "openai"\nname = "liar"\nnetwork = "liar"\n{DEAR}'
            f'base_url = "http://127.0.0.1:{port}/v1"\napi_key_file = "{key}"\n'
            f'models = [{{ name = "{SOLD.model}", quantization = "{SOLD.quantization}", '
            f'weights = "{weights}" }}]\n'
        )


# So that the trusted one, which is free, serves whatever it may.
DEAR = 'price = { input = "1000000", output = "1000000" }\n'
TRUSTED = '[[backends]]\nkind = "local"\n'
HONEST = f'[[backends]]\nkind = "local"\nname = "honest"\nnetwork = "honest"\n{DEAR}'
CANARIES = '[canaries]\ntrusted = "local"\nevery = 1\n'
QUARANTINED = ("quarantined", "liar")
LONGEST = '[agents."chat@1"]\nmax_tokens = 64\n'


async def answered(node: Node, backend: str) -> float:
    """How many requests a backend has answered the node, canaries among them."""
    _, body = await node.get("/metrics")
    return sum(
        sample.value
        for family in families(body.decode())
        for sample in family.samples
        if sample.name == "vagus_model_requests_total"
        and (sample.labels["backend"], sample.labels["result"]) == (backend, "answered")
    )


def judged(node: Node) -> list[tuple[str, str]]:
    """What the log says of failed canaries and quarantines, each with its backend, in order."""
    events = {"canary failed", "quarantined"}
    return [(each["event"], each["backend"]) for each in node.lines() if each["event"] in events]


async def explained(node: Node) -> dict[str, Any]:
    """What `vagus route explain` says of each backend while the node runs."""
    port = node.url.rpartition(":")[2]
    code, out, err = await vagus(
        *("route", "explain", "--json", "--config", node.config), VAGUS_HTTP__PORT=port
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["running"] is True
    (model,) = found["models"]  # all three sell one and the same
    return {each["backend"]: each for each in model["candidates"]}


async def test_a_liar_is_quarantined_within_its_first_questions_and_who_is_honest_is_not(
    devnet: Devnet, client: Client, tmp_path: Path
) -> None:
    async with swapped(tmp_path) as liar:
        config = devnet.variant("canaries", backends=TRUSTED + HONEST + liar)
        text = config.read_text()
        assert text.count(LONGEST) == 1
        text = text.replace(LONGEST, LONGEST.replace("64", str(TOKENS)))
        config.write_text(f"{text}\n{CANARIES}")
        async with Node(config, tmp_path / "log") as node:
            await node.start()
            # What both others may see, and do not.
            prompts = [json.dumps({"prompt": each}).encode() for each in PROMPTS]
            await client.ask_all([Question(each) for each in prompts])
            everything = len(PROMPTS)
            await until(
                lambda: answered(node, "local"), lambda served: served >= everything, within=SCALE
            )
            assert await answered(node, "liar") == await answered(node, "honest") == 0
            # Who answers anybody is looked at from then on.
            terms = [b'{"networks":["liar"]}', b'{"networks":["honest"]}']
            await client.ask_all([Question(prompts[0], terms=each) for each in terms])

            async def looked_at() -> tuple[bool, float]:
                return QUARANTINED in judged(node), await answered(node, "honest")

            await until(looked_at, lambda seen: seen[0] and seen[1] > NEW, within=SCALE)
            found = await explained(node)
            assert found["liar"]["state"] == "quarantined"
            assert found["liar"]["why"] == f"its answers are not those of {SOLD.model} at local"
            assert (found["honest"]["state"], found["honest"]["why"]) == ("closed", "")
            assert found["liar"]["parts"]["verified"] < 0.5 < found["honest"]["parts"]["verified"]
            told = judged(node)
            assert ("quarantined", "honest") not in told
            # No more wrong answers were waited for than it takes.
            wrong = told[: told.index(QUARANTINED)].count(("canary failed", "liar"))
            assert WRONG_AT_LEAST <= wrong <= WRONG
