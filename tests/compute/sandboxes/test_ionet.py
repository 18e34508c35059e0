"""io.net's CaaS in the sandbox, as its reference has it, and as io.net's own client takes it."""

import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import iocloud
import pytest
from iocloud.errors import (
    APIError,
    AuthenticationError,
    NotFoundError,
    ServerError,
    UnprocessableError,
)

from support.loop_thread import loop_thread
from vagus.compute.sandbox.ionet import CAAS, IonetSandbox

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

# Requests and answers copied by hand from io.net's reference and guides, with their example values.
DEPLOY = {
    "resource_private_name": "my-deployment",
    "duration_hours": 2,
    "gpus_per_container": 1,
    "hardware_id": 203,
    "location_ids": [9],
    "container_config": {
        "replica_count": 1,
        "env_variables": {"MODE": "prod"},
        "secret_env_variables": {"VLLM_API_KEY": "hidden-value"},
        "args": ["--model", "Qwen/Qwen3-8B"],
        "traffic_port": 8000,
    },
    "registry_config": {"image_url": "vllm/vllm-openai:latest"},
}
REPLICAS = {"data": [{"id": 0, "iso2": "string", "name": "string", "available_replicas": 0}]}
MAX_GPUS = {
    "data": {
        "hardware": [
            {
                "max_gpus_per_container": 8,
                "available": 3,
                "hardware_id": 7,
                "hardware_name": "H100",
                "brand_name": "NVIDIA",
            }
        ],
        "total": 3,
    }
}
LISTED = {
    "data": {
        "deployments": [
            {
                "id": "dep-1",
                "status": "running",
                "name": "alpha",
                "completed_percent": 10.5,
                "hardware_quantity": 2,
                "brand_name": "NVIDIA",
                "hardware_name": "H100",
                "compute_minutes_served": 5,
                "compute_minutes_remaining": 55,
                "created_at": "2026-01-02T03:04:05",
            }
        ],
        "total": 1,
        "statuses": ["running"],
    }
}
INVALID = {"detail": [{"loc": ["string"], "msg": "string", "type": "string"}]}


@pytest.fixture
async def sandbox() -> AsyncIterator[IonetSandbox]:
    async with IonetSandbox() as sandbox:
        yield sandbox


def shape(value: Any) -> Any:
    """The keys and kinds of a document; of a list, those of its first entry."""
    match value:
        case dict():
            return {key: shape(each) for key, each in value.items()}
        case list():
            return [shape(each) for each in value[:1]]
        case bool() | int() | float() | str() | None:
            return type(value).__name__
    raise AssertionError(value)


async def ask(
    sandbox: IonetSandbox, method: str, path: str, body: object = None, key: str | None = None
) -> tuple[int, Any]:
    headers = {"x-api-key": sandbox.api_key if key is None else key}
    async with (
        aiohttp.ClientSession(sandbox.base_url, headers=headers) as session,
        session.request(method, CAAS + path, json=body) as response,
    ):
        return response.status, await response.json()


async def deployed(sandbox: IonetSandbox, **changed: object) -> str:
    status, answer = await ask(sandbox, "POST", "/deploy", {**DEPLOY, **changed})
    assert status == 200, answer
    ident: str = answer["deployment_id"]
    return ident


async def test_what_there_is_reads_as_the_reference_shows_it(sandbox: IonetSandbox) -> None:
    _, found = await ask(sandbox, "GET", "/hardware/max-gpus-per-container")
    assert shape(found) == shape(MAX_GPUS)
    _, found = await ask(sandbox, "GET", "/available-replicas?hardware_id=203&hardware_qty=1")
    assert shape(found) == shape(REPLICAS)
    assert {(each["id"], each["iso2"]) for each in found["data"]} == {(9, "DE"), (12, "US")}


async def test_a_price_covers_all_hours_gpus_and_the_fee(sandbox: IonetSandbox) -> None:
    query = (
        "location_ids=[9]&hardware_id=203&duration_hours=10&gpus_per_container=2&replica_count=1"
    )
    _, found = await ask(sandbox, "GET", f"/price?{query}")
    # 0.30 USD an hour, 10 hours, 2 GPUs, 2 % for io.net.
    assert Decimal(str(found["data"]["total_cost_usdc"])) == Decimal("6.12")


async def test_the_documented_deployment_is_accepted_and_listed(sandbox: IonetSandbox) -> None:
    status, answer = await ask(sandbox, "POST", "/deploy", DEPLOY)
    assert status == 200
    assert answer["status"] == "success"
    assert UUID.match(answer["deployment_id"])
    _, listed = await ask(sandbox, "GET", "/deployments?page=1&page_size=10")
    assert shape(listed) == shape(LISTED)
    assert listed["data"]["deployments"][0]["name"] == "my-deployment"


async def test_secrets_come_back_as_names_only(sandbox: IonetSandbox) -> None:
    ident = await deployed(sandbox)
    for path in (f"/deployment/{ident}", f"/deployment/{ident}/containers", "/deployments"):
        _, found = await ask(sandbox, "GET", path)
        assert "hidden-value" not in str(found)
    _, found = await ask(sandbox, "GET", f"/deployment/{ident}")
    assert found["data"]["container_config"]["secret_env_keys"] == ["VLLM_API_KEY"]


async def test_an_address_comes_some_looks_after_it_runs(sandbox: IonetSandbox) -> None:
    ident = await deployed(sandbox)
    statuses, addresses = [], []
    for _ in range(4):
        _, found = await ask(sandbox, "GET", f"/deployment/{ident}")
        statuses.append(found["data"]["status"])
        _, found = await ask(sandbox, "GET", f"/deployment/{ident}/containers")
        addresses.append([each["public_url"] for each in found["data"]["workers"]])
    assert statuses[0] == "deployment requested"
    assert statuses[-1] == "running"
    assert addresses[-1][0].startswith("http")
    async with aiohttp.ClientSession() as session:
        asked = {"model": "Qwen/Qwen3-8B", "messages": [{"role": "user", "content": "Hi"}]}
        url = addresses[-1][0] + "/v1/chat/completions"
        async with session.post(url, json=asked) as response:
            assert response.status == 401
        key = {"Authorization": "Bearer hidden-value"}
        async with session.post(url, json=asked, headers=key) as response:
            answer = await response.json()
            assert answer["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "changed",
    [
        {"duration_hours": 0},
        {"gpus_per_container": 9},
        {"location_ids": [9, 12]},
        {"location_ids": []},
        {"hardware_id": "many"},
        {"surplus": 1},
        {"resource_private_name": ""},
    ],
)
async def test_what_is_not_of_the_form_is_a_422(
    sandbox: IonetSandbox, changed: dict[str, object]
) -> None:
    status, found = await ask(sandbox, "POST", "/deploy", {**DEPLOY, **changed})
    assert status == 422
    assert shape(found) == shape(INVALID)
    assert not sandbox.deployments


async def test_another_key_and_an_unknown_deployment_are_told_apart(sandbox: IonetSandbox) -> None:
    assert await ask(sandbox, "GET", "/deployments", key="other") == (
        401,
        {"detail": "Invalid API key"},
    )
    status, found = await ask(sandbox, "GET", "/deployment/00000000-0000-0000-0000-000000000000")
    assert (status, found["status"]) == (404, "failed")


async def test_hours_are_paid_at_once_and_not_paid_back(sandbox: IonetSandbox) -> None:
    ident = await deployed(sandbox)  # 2 hours of one GPU at 0.30, and 2 %
    assert sandbox.spent == Decimal("0.612")
    await ask(sandbox, "DELETE", f"/deployment/{ident}")
    assert sandbox.spent == Decimal("0.612")


async def test_without_credit_nothing_is_rented(sandbox: IonetSandbox) -> None:
    sandbox.credit = Decimal("0.6")
    status, _ = await ask(sandbox, "POST", "/deploy", DEPLOY)
    assert status == 402
    assert not sandbox.deployments


async def test_a_deployment_ends_by_itself_when_its_hours_are_over(sandbox: IonetSandbox) -> None:
    ident = await deployed(sandbox)
    await ask(sandbox, "GET", f"/deployment/{ident}")
    await ask(sandbox, "GET", f"/deployment/{ident}")
    sandbox.ahead = 7200.0
    _, found = await ask(sandbox, "GET", f"/deployment/{ident}")
    assert found["data"]["status"] == "completed"


def test_the_networks_own_client_runs_a_deployment_from_start_to_end() -> None:
    with loop_thread() as thread:
        sandbox = thread.enter(IonetSandbox())
        with iocloud.Client(sandbox.api_key, sandbox.base_url, max_retries=0) as io:
            assert {str(each.hardware_id) for each in io.hardware.list()} == {"203", "190", "7"}
            quote = io.pricing.estimate(
                hardware_id=203, hours=10, gpus_per_container=2, location_ids=[9]
            )
            assert quote.total_cost_usdc == pytest.approx(6.12)
            made = io.deployments.create(
                name="judged",
                image="vllm/vllm-openai:latest",
                gpu="GeForce RTX 4090:1",
                hours=1,
                location=9,
                secrets={"VLLM_API_KEY": "hidden-value"},
                args=["--model", "Qwen/Qwen3-8B"],
            )
            made.wait(poll=0)
            while made.refresh().url() is None:
                pass
            assert made.data.compute_minutes_remaining == 60
            assert made.extend(2).data.compute_minutes_remaining == 180
            assert [each.name for each in io.deployments.list()] == ["judged"]
            assert made.cost.amount_paid == pytest.approx(0.918)
            made.delete()
            made.wait(until="destroyed", poll=0)


async def test_the_clients_async_twin_runs_one_too(sandbox: IonetSandbox) -> None:
    async with iocloud.AsyncClient(sandbox.api_key, sandbox.base_url, max_retries=0) as io:
        made = await io.deployments.create(
            name="judged", image="ollama/ollama", gpu="203:1", hours=1, location=9
        )
        await made.wait(poll=0)
        assert [each.name async for each in io.deployments.list()] == ["judged"]
        assert len(await made.containers()) == 1
        await made.delete()
        await made.wait(until="destroyed", poll=0)
        assert not sandbox.alive


async def test_the_client_knows_each_error_for_what_it_is(sandbox: IonetSandbox) -> None:
    async def create(io: iocloud.AsyncClient, **changed: Any) -> None:
        asked = {"name": "judged", "image": "ollama/ollama", "gpu": "203:1", "hours": 1}
        await io.deployments.create(**{**asked, "location": 9, **changed})

    url = sandbox.base_url
    async with iocloud.AsyncClient("other", url, max_retries=0) as io:
        with pytest.raises(AuthenticationError):
            await create(io)
    async with iocloud.AsyncClient(sandbox.api_key, url, max_retries=0) as io:
        with pytest.raises(UnprocessableError):
            await create(io, gpu="203:9")
        with pytest.raises(NotFoundError):
            await io.deployments.get("00000000-0000-0000-0000-000000000000")
        sandbox.faults.add(path="/deploy$", status=500, after_work=True, times=1)
        with pytest.raises(ServerError):
            await create(io)
        assert len(sandbox.alive) == 1  # the work was done all the same
        sandbox.credit = Decimal(0)
        with pytest.raises(APIError, match="credits"):
            await create(io)
