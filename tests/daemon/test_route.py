"""/v1/route, `vagus route`: where calls go and why, of a running node and of a config."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from support.fleet import MODEL, Scripted, request
from support.journals import HUB
from support.scripted import GOOD, response, scripted, sending
from support.served import ROSTER, Served, serving
from vagus.agents import AgentRegistry, Policy
from vagus.compute import Price
from vagus.daemon.api.guard import own_machine
from vagus.daemon.choices import ChainChoice
from vagus.daemon.cli import app
from vagus.daemon.config import ConfigError, load
from vagus.daemon.execute import Executor
from vagus.daemon.folder import make_keys, write_config
from vagus.daemon.metrics.measured import Measured
from vagus.daemon.token_costs import token_fee
from vagus.daemon.tokens import new_token
from vagus.protocol import Retry

DIGEST = "0x" + MODEL.digest.hex()


class Node:
    """A served node whose executor has scripted backends."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.cheap, self.dear = Scripted("cheap", price=1), Scripted("dear", 0.0, price=4)
        self.away = Scripted("away")
        self.away.region = "us-east"
        self.backends = [self.cheap, self.dear, self.away]
        policy = Policy(regions=("unknown",))
        agents = AgentRegistry({"chat@1": {}, "fetch@1": {}})
        self.executor = Executor(agents, self.backends, policy, ROSTER, bytes(20))
        served.status.executor = self.executor
        served.status.survey.backends = tuple(
            Measured(each, served.metrics) for each in self.backends
        )

    async def explained(self, query: str = "") -> dict[str, Any]:
        status, found = await self.served.json(f"/v1/route{query}")
        assert status == 200, found
        return found


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with serving(tmp_path, tokens_file=tmp_path / "tokens.json") as served:
        yield Node(served)


async def test_the_best_candidate_comes_first_with_the_parts_of_its_score(node: Node) -> None:
    [model] = (await node.explained())["models"]
    assert (model["model"], model["digest"]) == ("m", DIGEST)
    cheap, dear = model["candidates"]
    assert (cheap["backend"], dear["backend"]) == ("cheap", "dear")
    assert cheap["price"] == {"input": "1000000", "output": "1000000"}
    assert cheap["parts"]["price"] == 1
    assert cheap["score"] > dear["score"]
    assert cheap["state"] == "closed"
    assert cheap["seen"]["calls"] == 0
    weights = node.executor.router.tuning.weights
    product = 1.0
    for name, part in dear["parts"].items():
        product *= part ** getattr(weights, name)
    assert dear["score"] == pytest.approx(product, rel=1e-2)


async def test_who_fell_out_is_told_with_its_rule(node: Node) -> None:
    found = await node.explained()
    assert found["out"] == [
        {"backend": "away", "model": "m", "rule": "this operator's regions"},
    ]
    found = await node.explained("?region=eu-de")
    assert found["models"] == []
    assert {each["rule"] for each in found["out"]} == {
        "this operator's regions",
        "the terms' regions",
    }


async def test_a_model_is_asked_for_by_name_or_digest_and_an_agent_by_its_rules(node: Node) -> None:
    for query in ("?model=m", f"?model={DIGEST}", "?agent=chat@1"):
        assert len((await node.explained(query))["models"]) == 1
    other = await node.explained("?model=other")
    assert other["models"] == []
    assert [each["rule"] for each in other["out"]] == ["the model other"] * 3


async def test_for_an_agent_that_asks_no_model_nobody_is_a_candidate(node: Node) -> None:
    found = await node.explained("?agent=fetch@1")
    assert found["models"] == []
    assert {each["rule"] for each in found["out"]} == {"fetch@1 asks no model"}


async def test_what_was_seen_and_what_is_held_back_shows(node: Node) -> None:
    router = node.executor.router
    served = await router.complete(request(), [node.dear], timeout=5)
    assert served.backend is node.dear
    router.quarantine("cheap", MODEL.digest, "its canaries fail")
    [model] = (await node.explained())["models"]
    dear, cheap = model["candidates"]
    assert dear["seen"]["calls"] == 1
    assert dear["seen"]["success"] == 1
    assert dear["seen"]["p50_ms"] is not None
    assert (cheap["state"], cheap["why"]) == ("quarantined", "its canaries fail")


async def test_a_price_that_nobody_knows_is_told(node: Node) -> None:
    node.cheap.unit = Retry("no source of prices answers")
    [model] = (await node.explained())["models"]
    cheap = model["candidates"][-1]
    assert (cheap["backend"], cheap["price"]) == ("cheap", None)
    assert cheap["why"] == "no source of prices answers"


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("?agent=none@1", 404, "none@1"),
        ("?agent=chat", 400, "agent"),
        ("?region=EU", 400, "region"),
        ("?model=", 400, "model"),
        ("?price=1", 400, "price"),
    ],
)
async def test_a_question_that_is_none_is_an_error_in_words(
    node: Node, query: str, status: int, why: str
) -> None:
    found, body = await node.served.json(f"/v1/route{query}")
    assert found == status
    assert why in body["error"]


async def test_a_node_that_is_starting_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        assert (await served.json("/v1/route"))[0] == 503


@pytest.mark.parametrize("remote", ["10.0.0.7", "2001:db8::1", None])
def test_another_machine_is_told_nothing(remote: str | None) -> None:
    from aiohttp.web import HTTPForbidden

    with pytest.raises(HTTPForbidden):
        own_machine(SimpleNamespace(remote=remote))  # type: ignore[arg-type]  # all that is read
    own_machine(SimpleNamespace(remote="127.0.0.1"))  # type: ignore[arg-type]
    own_machine(SimpleNamespace(remote="::1"))  # type: ignore[arg-type]


async def test_a_quarantine_ends_by_an_operators_token_and_no_other(
    node: Node, tmp_path: Path
) -> None:
    router, path = node.executor.router, "/v1/backends/cheap/release"

    async def post(path: str, scope: str) -> tuple[int, dict[str, Any]]:
        token = new_token(tmp_path / "tokens.json", scope.partition(":")[0], [scope])
        headers = {"Authorization": f"Bearer {token}"}
        url = node.served.root + path
        async with node.served.session.post(url, headers=headers) as response:
            return response.status, json.loads(await response.text())

    assert (await post(path, "intents:write"))[0] == 403
    router.quarantine("cheap", MODEL.digest, "wrong")
    status, body = await post(path, "backends:write")
    assert (status, body) == (200, {"backend": "cheap", "released": [DIGEST]})
    assert router.usable("cheap", MODEL.digest)


# What a request's tokens may cost


@pytest.mark.parametrize("rate", [10**18, 3 * 10**17 + 1, 7 * 10**9, 10**12])
async def test_a_fee_is_quoted_that_the_cheapest_backend_can_be_paid_of(
    node: Node, config: Path, rate: int
) -> None:
    """As the node reckons what may be spent of a fee, and the router what a call may cost."""
    node.cheap.unit = Price(Decimal(10**15), Decimal(4 * 10**15))
    node.dear.unit = Price(Decimal(10**16), Decimal(4 * 10**16))
    chain = HUB.rpartition(":")[0]
    loaded = load(config)
    settings = loaded.model_copy(
        update={
            "http": loaded.http.model_copy(update={"port": node.served.port}),
            "committee": loaded.committee.model_copy(update={"rates": {chain: rate}}),
            "agents": {"chat@1": {"fee": {"markup_bps": 12_345}, "max_tokens": 64}, "fetch@1": {}},
        }
    )
    said: list[str] = []
    payload = json.dumps({"prompt": "Hello " * 50}).encode()
    fee = await token_fee(settings, "chat@1", MODEL.digest, payload, chain, said.append)
    left = fee * 10**18 // rate * 10_000 // 12_345
    # The router takes a byte for a token, and 1,024 more for what a server puts around them.
    worst = (300 + 1024) * 10**9 + 64 * 4 * 10**9
    assert worst <= left < 2 * worst + 2 * 10**18 // rate * 10_000
    assert len(said) == 1
    assert "is for tokens, 64 of them written" in said[0]
    node.cheap.unit = Price()
    assert await token_fee(settings, "chat@1", MODEL.digest, payload, chain, said.append) == 0
    assert await token_fee(settings, "fetch@1", bytes(32), b"{}", chain, said.append) == 0
    assert len(said) == 1


async def test_a_request_that_no_backend_can_serve_is_said_before_it_is_sent(
    node: Node, config: Path
) -> None:
    loaded, chain, said = load(config), HUB.rpartition(":")[0], list[str]()
    http = loaded.http.model_copy(update={"port": node.served.port})
    settings = loaded.model_copy(update={"http": http})
    assert await token_fee(settings, "chat@1", b"\x07" * 32, b"{}", chain, said.append) == 0
    assert "no backend for it that has a price now: cheap is not within the model 0x0707" in said[0]


async def test_where_no_node_tells_what_tokens_cost_that_is_said(config: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    loaded, said = load(config), list[str]()
    settings = loaded.model_copy(update={"http": loaded.http.model_copy(update={"port": port})})
    chain = HUB.rpartition(":")[0]
    assert await token_fee(settings, "chat@1", bytes(32), b"{}", chain, said.append) == 0
    assert "what tokens cost is not known" in said[0]
    assert "give --fee" in said[0]


# The command line


async def vagus(*words: object, **env: str) -> Result:
    """Run a command in this process, while the test's loop serves what it asks."""
    runner = CliRunner(env=env)
    return await asyncio.to_thread(runner.invoke, app, ["route", *map(str, words)])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    chosen = ChainChoice(HUB.rpartition(":")[0], HUB, ("http://127.0.0.1:9/",))
    return write_config(make_keys(folder, "devnet"), "devnet", [chosen], 9464)


async def test_without_a_node_the_config_is_explained_and_nothing_was_measured(
    config: Path,
) -> None:
    async with scripted(sending(response(GOOD))) as model:
        one = {
            "kind": "openai",
            "name": "one",
            "base_url": model.base_url,
            "models": [{"name": "m"}],
        }
        two = {**one, "name": "two", "price": {"input": "5", "output": "5"}, "region": "eu-de"}
        # No node is on this port, which the system has just given back.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        env = {"VAGUS_BACKENDS": json.dumps([two, one]), "VAGUS_HTTP__PORT": port}
        done = await vagus("explain", "--config", config, "--json", **env)
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert found["running"] is False
        [shown] = found["models"]
        assert [each["backend"] for each in shown["candidates"]] == ["one", "two"]
        assert {each["seen"]["calls"] for each in shown["candidates"]} == {0}
        done = await vagus("explain", "--config", config, "--region", "eu-de", **env)
        assert done.exit_code == 0, done.output
        assert "nothing was measured" in done.stderr
        assert re.search(r"^two +0\.\d{3} ", done.stdout, re.MULTILINE)
        assert re.search(r"^one .* out: not within the terms' regions$", done.stdout, re.MULTILINE)
        done = await vagus("explain", "--config", config, "--region", "EU", **env)
        assert isinstance(done.exception, ConfigError)
        assert str(done.exception).startswith("--region 'EU' is none: write it in lower case")
        done = await vagus("explain", "--config", config, "--agent", "nope", **env)
        assert str(done.exception) == "--agent 'nope' is none: write name@major, as chat@1"
        assert model.requests == []


async def test_two_backends_of_one_name_are_an_error_of_the_config(config: Path) -> None:
    one = {"kind": "openai", "name": "one", "base_url": "http://127.0.0.1:9/v1"}
    env = {"VAGUS_BACKENDS": json.dumps([one, one]), "VAGUS_HTTP__PORT": "9"}
    done = await vagus("explain", "--config", config, **env)
    assert isinstance(done.exception, ConfigError)
    assert "one is there more than once" in str(done.exception)


async def test_a_running_node_is_asked_and_told_to_release_a_backend(
    node: Node, config: Path, tmp_path: Path
) -> None:
    node.executor.router.quarantine("cheap", MODEL.digest, "its canaries fail")
    env = {
        "VAGUS_HTTP__PORT": node.served.root.rpartition(":")[2],
        "VAGUS_HTTP__TOKENS_FILE": str(tmp_path / "tokens.json"),
    }
    done = await vagus("explain", "--config", config, **env)
    assert done.exit_code == 0, done.output
    assert re.search(r"^dear +0\.\d{3} ", done.stdout, re.MULTILINE)
    assert re.search(r"^cheap: quarantined: its canaries fail$", done.stdout, re.MULTILINE)
    assert re.search(
        r"^away .* out: not within this operator's regions$", done.stdout, re.MULTILINE
    )
    done = await vagus("release", "cheap", "--config", config, **env)
    assert done.exit_code == 0, done.output
    assert "asked again" in done.stderr
    assert node.executor.router.usable("cheap", MODEL.digest)
    for name, why in (("cheap", "cheap is not quarantined"), ("none", "no backend of that name")):
        done = await vagus("release", name, "--config", config, **env)
        assert why in str(done.exception)
