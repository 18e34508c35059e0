"""Akash's Console API in the sandbox, as its documents have it: examples copied by hand.

Source: akash.network/docs, "Console API" (getting started, API reference), and the OpenAPI document of
akash-network/console. No client of someone else's speaks this API from Python.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from vagus.compute.sandbox.akash import AkashSandbox

# The reference's SDL, its names and sizes, with a GPU as "SDL" shows it; JSON is YAML.
SDL = {
    "version": "2.0",
    "services": {
        "web": {
            "image": "vllm/vllm-openai:latest",
            "env": ["VLLM_API_KEY=secret"],
            "args": ["--model", "Qwen/Qwen3-8B"],
            "expose": [{"port": 8000, "as": 80, "to": [{"global": True}]}],
        }
    },
    "profiles": {
        "compute": {
            "web": {
                "resources": {
                    "cpu": {"units": 4},
                    "memory": {"size": "16Gi"},
                    "storage": [{"size": "50Gi"}],
                    "gpu": {
                        "units": 1,
                        "attributes": {"vendor": {"nvidia": [{"model": "rtx4090", "ram": "24Gi"}]}},
                    },
                }
            }
        },
        "placement": {"dcloud": {"pricing": {"web": {"denom": "uact", "amount": 1000}}}},
    },
    "deployment": {"web": {"dcloud": {"profile": "web", "count": 1}}},
}
# Answers with the names that the documents give them, copied by hand, and values of ours: names and kinds
# are what is compared.
BID_ID = {
    "owner": "akash1…",
    "dseq": "1748000000000",
    "gseq": 1,
    "oseq": 1,
    "provider": "akash1…",
    "bseq": 0,
}
CREATED = {
    "dseq": "1748000000000",
    "manifest": "[…]",
    "signTx": {"code": 0, "transactionHash": "AB12…", "rawLog": ""},
}
PRICE = {"denom": "uact", "amount": "700.000000000000000000"}
FORWARDED = {"host": "provider.example", "port": 8000, "externalPort": 31234}
ERROR = {"error": "NotFoundError", "message": "…", "code": "not_found", "type": "client_error"}
GPUS = {
    "vendor": "nvidia",
    "model": "rtx4090",
    "ram": "24Gi",
    "interface": "PCIe",
    "availability": {"total": 8, "available": 4},
    "providerAvailability": {"total": 2, "available": 1},
    "price": {
        "currency": "USD",
        "min": 0.3,
        "max": 0.6,
        "avg": 0.4,
        "weightedAverage": 0.4,
        "med": 0.4,
    },
}
# What the document of the API requires of each answer.
ID = {"owner", "dseq"}
LEASE_ID = {"owner", "dseq", "gseq", "oseq", "provider", "bseq"}
SERVICE = {
    *("name", "available", "total", "uris", "observed_generation", "replicas"),
    *("updated_replicas", "ready_replicas", "available_replicas"),
}
ESCROW = {"owner", "state", "transferred", "settled_at", "funds", "deposits"}


class Caller:
    """Calls the API as its guide does: with `x-api-key`, and JSON both ways."""

    def __init__(self, sandbox: AkashSandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox, self.session = sandbox, session
        self.headers = {"Content-Type": "application/json", "x-api-key": sandbox.api_key}

    async def __call__(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body)
        url = self.sandbox.base_url + path
        async with self.session.request(method, url, data=data, headers=self.headers) as found:
            return found.status, await found.json()

    async def deployed(self) -> str:
        status, made = await self(
            "POST", "/v1/deployments", {"data": {"sdl": json.dumps(SDL), "deposit": 5}}
        )
        assert status == 201
        return made["data"]["dseq"]


@pytest.fixture
async def api() -> AsyncIterator[Caller]:
    async with AkashSandbox() as sandbox, aiohttp.ClientSession() as session:
        sandbox.bids_after = 0
        yield Caller(sandbox, session)


async def test_the_guides_workflow_runs_from_a_deployment_to_its_end(api: Caller) -> None:
    status, made = await api(
        "POST", "/v1/deployments", {"data": {"sdl": json.dumps(SDL), "deposit": 5}}
    )
    assert (status, set(made["data"])) == (201, {"dseq", "manifest", "signTx"})
    assert set(made["data"]["signTx"]) == {"code", "transactionHash", "rawLog"}
    dseq, manifest = made["data"]["dseq"], made["data"]["manifest"]

    status, bids = await api("GET", f"/v1/bids?dseq={dseq}")
    assert status == 200
    first = bids["data"][0]["bid"]
    assert set(first["id"]) == LEASE_ID
    assert first["state"] == "open"
    assert first["price"]["denom"] == "uact"

    taken = {name: first["id"][name] for name in ("dseq", "gseq", "oseq", "provider")}
    status, leased = await api("POST", "/v1/leases", {"manifest": manifest, "leases": [taken]})
    assert status == 200
    assert set(leased["data"]) == {"deployment", "leases", "escrow_account"}

    for _ in range(2):
        status, found = await api("GET", f"/v1/deployments/{dseq}")
    lease = found["data"]["leases"][0]
    assert set(lease) >= {"id", "state", "price", "created_at", "closed_on", "status"}
    assert set(lease["id"]) == LEASE_ID
    assert set(lease["status"]) == {"forwarded_ports", "ips", "services"}
    assert set(lease["status"]["services"]["web"]) == SERVICE
    assert set(found["data"]["deployment"]) == {"id", "state", "hash", "created_at"}
    assert len(base64.b64decode(found["data"]["deployment"]["hash"])) == 32
    assert set(found["data"]["escrow_account"]["state"]) == ESCROW

    [uri] = lease["status"]["services"]["web"]["uris"]
    body = {
        "model": "Qwen/Qwen3-8B",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 2,
    }
    headers = {"Authorization": "Bearer secret"}
    async with api.session.post(
        f"http://{uri}/v1/chat/completions", json=body, headers=headers
    ) as said:
        assert said.status == 200
    async with api.session.post(f"http://{uri}/v1/chat/completions", json=body) as said:
        assert said.status == 401

    assert await api("DELETE", f"/v1/deployments/{dseq}") == (200, {"data": {"success": True}})
    assert await api("DELETE", f"/v1/deployments/{dseq}") == (200, {"data": {"success": True}})


async def test_errors_have_the_apis_form_and_codes(api: Caller) -> None:
    dseq = await api.deployed()
    api.sandbox.credit = api.sandbox.credit * 0
    cases = [
        (("GET", "/v1/deployments/123", None), 404, "NotFoundError", "not_found"),
        (
            ("POST", "/v1/deployments", {"data": {"sdl": "{}"}}),
            400,
            "BadRequestError",
            "bad_request",
        ),
        (
            ("POST", "/v1/deployments", {"data": {"sdl": json.dumps(SDL)}}),
            402,
            "PaymentRequiredError",
            "insufficient_balance",
        ),
        (
            (
                "POST",
                "/v1/leases",
                {"leases": [{"dseq": dseq, "gseq": 1, "oseq": 1, "provider": "x"}]},
            ),
            400,
            "BadRequestError",
            "bad_request",
        ),
    ]
    for asked, status, name, code in cases:
        found, error = await api(*asked)
        assert (found, error["error"], error["code"]) == (status, name, code)
        assert error["type"] == "client_error"
        assert error["message"]
    api.headers["x-api-key"] = "another"
    status, error = await api("GET", "/v1/deployments")
    assert (status, error["code"]) == (401, "unauthorized")


async def test_a_provider_out_of_reach_leaves_a_lease_without_a_manifest(api: Caller) -> None:
    dseq = await api.deployed()
    _, bids = await api("GET", f"/v1/bids?dseq={dseq}")
    for each in api.sandbox.providers:
        each.online = False
    taken = {
        name: bids["data"][0]["bid"]["id"][name] for name in ("dseq", "gseq", "oseq", "provider")
    }
    status, _ = await api("POST", "/v1/leases", {"leases": [taken]})
    assert status == 400, "a provider that is gone has no open bid"
    api.sandbox.providers[1].online = True
    api.sandbox.faults.add(
        path="/v1/leases", status=502, code="provider_unreachable", after_work=True, times=1
    )
    status, error = await api("POST", "/v1/leases", {"leases": [taken]})
    assert (status, error["code"]) == (502, "provider_unreachable")
    status, found = await api("GET", f"/v1/deployments/{dseq}")
    assert found["data"]["leases"][0]["state"] == "active"


async def test_deployments_are_listed_in_pages(api: Caller) -> None:
    made = [await api.deployed() for _ in range(3)]
    status, first = await api("GET", "/v1/deployments?skip=0&limit=2")
    assert first["data"]["pagination"] == {"total": 3, "skip": 0, "limit": 2, "hasMore": True}
    _, rest = await api("GET", "/v1/deployments?skip=2&limit=2")
    listed = [
        each["deployment"]["id"]["dseq"]
        for page in (first, rest)
        for each in page["data"]["deployments"]
    ]
    assert (status, listed) == (200, made)
    assert rest["data"]["pagination"]["hasMore"] is False


async def test_a_placements_name_is_the_groups_name_on_the_chain(api: Caller) -> None:
    dseq = await api.deployed()
    _, listed = await api("GET", "/v1/deployments")
    owner = listed["data"]["deployments"][0]["deployment"]["id"]["owner"]
    status, full = await api("GET", f"/v1/deployment/{owner}/{dseq}")
    assert (status, full["other"]["groups"][0]["group_spec"]["name"]) == (200, "dcloud")


async def test_a_lease_that_nobody_told_otherwise_refills_for_ever(api: Caller) -> None:
    dseq = await api.deployed()
    _, bids = await api("GET", f"/v1/bids?dseq={dseq}")
    taken = {
        name: bids["data"][0]["bid"]["id"][name] for name in ("dseq", "gseq", "oseq", "provider")
    }
    await api("POST", "/v1/leases", {"leases": [taken]})
    api.sandbox.ahead += 7 * 86_400
    _, setting = await api("GET", f"/v2/deployment-settings/{dseq}")
    assert setting["data"]["autoTopUpEnabled"] is True
    assert api.sandbox.deployments[dseq].paid > 50, "a week at 0.42 USD an hour"
    assert api.sandbox.deployments[dseq].state == "active"


async def test_the_market_has_the_documented_form(api: Caller) -> None:
    del api.headers["x-api-key"]
    status, market = await api("GET", "/v1/gpu-prices")
    assert (status, set(market)) == (200, {"availability", "models"})
    for each in market["models"]:
        assert set(each) == {
            *("vendor", "model", "ram", "interface"),
            *("availability", "providerAvailability", "price"),
        }
        price = each["price"]
        assert price is None or set(price) == {
            *("currency", "min", "max", "avg", "weightedAverage", "med"),
        }


def shape(value: Any) -> Any:
    """The names and kinds of a document; of a list, those of its first entry; all numbers are one kind."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if number else type(value).__name__


async def test_answers_have_the_documented_names_and_kinds(api: Caller) -> None:
    for each in api.sandbox.providers:
        each.forwards = True
    _, made = await api("POST", "/v1/deployments", {"data": {"sdl": json.dumps(SDL), "deposit": 5}})
    assert shape(made) == shape({"data": CREATED})
    dseq = made["data"]["dseq"]
    _, bids = await api("GET", f"/v1/bids?dseq={dseq}")
    first = bids["data"][0]["bid"]
    assert (shape(first["id"]), shape(first["price"])) == (shape(BID_ID), shape(PRICE))
    taken = {name: first["id"][name] for name in ("dseq", "gseq", "oseq", "provider")}
    await api("POST", "/v1/leases", {"leases": [taken]})
    for _ in range(2):
        _, found = await api("GET", f"/v1/deployments/{dseq}")
    [lease] = found["data"]["leases"]
    assert shape(lease["id"]) == shape(BID_ID)
    assert shape(lease["price"]) == shape(PRICE)
    assert shape(lease["status"]["forwarded_ports"]) == shape({"web": [FORWARDED]})
    assert lease["status"]["services"]["web"]["uris"] == []
    _, error = await api("GET", "/v1/deployments/123")
    assert shape({name: error[name] for name in ERROR}) == shape(ERROR)
    _, market = await api("GET", "/v1/gpu-prices")
    assert shape(market["models"][0]) == shape(GPUS)
