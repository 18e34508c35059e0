"""Dispersed in the sandbox, as its documentation has it. Signatures are OpenSSL's, made by hand:

printf '%s' 'pk_abc123|1706918400000|…' | openssl dgst -sha256 -hmac sk_9f8e7d6c5b4a -hex
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from yarl import URL

from vagus.compute.leases.render_signature import canonical_json, signature
from vagus.compute.sandbox.render import RenderSandbox
from vagus.protocol import Refuse

# The request of the documentation's page "Create Job", as it stands there.
DOCUMENTED = {
    "task": "PERSISTENT",
    "title": "My GPU Instance",
    "cpu_count": 1,
    "gpu_count": 1,
    "min_ram_gb": 16,
    "min_storage_gb": 32,
    "min_vram_gb": 8,
    "max_timeout_run_ms": None,
    "parameters": {
        "type": "docker",
        "parameters": {
            "image": "otoy/dispersed-base",
            "tag": "latest",
            "sshkey": "ssh-ed25519 AAAA... user@host",
            "allowed_ips": ["0.0.0.0/0"],
            "ports": [22, 8080],
        },
    },
}
# The answer of its page "Job Monitoring".
RUNS = {
    "data": [
        {
            "uuid": "run-uuid-here",
            "status": "ASSIGNED",
            "started_at_ms": 1705123456789,
            "node_urls": [
                {"description": "ssh", "hostname": "123.45.67.89", "port": 22, "protocol": "tcp"}
            ],
        }
    ],
    "page": 1,
    "limit": 20,
    "total": 1,
}
PUBLIC, SECRET = "pk_abc123", "sk_9f8e7d6c5b4a"
MOMENT, NONCE = "1706918400000", "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6"


@pytest.fixture
async def sandbox() -> AsyncIterator[RenderSandbox]:
    async with RenderSandbox() as sandbox:
        yield sandbox


def test_a_signature_over_a_body_is_openssls() -> None:
    job = {
        "title": "My GPU Instance",
        "task": "PERSISTENT",
        "gpu_count": 1,
        "parameters": {
            "type": "docker",
            "parameters": {
                "tag": "latest",
                "image": "otoy/dispersed-base",
                "env": {"B": "2", "A": "1"},
            },
        },
    }
    body = canonical_json(job)
    assert body == (
        b'{"gpu_count":1,"parameters":{"parameters":{"env":{"A":"1","B":"2"},'
        b'"image":"otoy/dispersed-base","tag":"latest"},"type":"docker"},'
        b'"task":"PERSISTENT","title":"My GPU Instance"}'
    )
    signed = signature(PUBLIC, SECRET, MOMENT, NONCE, "POST", "/v1/jobs", "", body)
    assert signed == "118513e0f55238d35b62e6d08b1d7fefa7c43274b39ccb590934bdf8a64e72a8"


def test_a_signature_over_a_query_is_openssls() -> None:
    query = "filter%5Bjob_uuid%5D=435e105a-d28c-46d5-bfa9-8a42bc586fb0&limit=10"
    signed = signature(PUBLIC, SECRET, MOMENT, NONCE, "GET", "/v1/job-runs", query, b"")
    assert signed == "c1195fd6b4fcc96fd8918ad04125fae3205ed875f327ab6888ed1344d0017a79"


def test_what_would_be_written_in_two_ways_is_not_signed() -> None:
    with pytest.raises(Refuse, match="ASCII"):
        canonical_json({"title": "café"})


async def ask(
    sandbox: RenderSandbox,
    method: str,
    path: str,
    query: dict[str, str] | None = None,
    body: object = None,
    **wrong: str,
) -> tuple[int, Any]:
    """Ask as the documentation says, by Python's own hmac; `wrong` replaces headers."""
    asked = urlencode(sorted((query or {}).items()))
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")) if body is not None else ""
    parts = [
        sandbox.api_key,
        wrong.get("X-Time") or str(int(time.time() * 1000)),
        wrong.get("X-Nonce") or secrets.token_hex(16),
        method,
        path,
        asked,
        hashlib.sha256(canonical.encode()).hexdigest(),
    ]
    key = sandbox.secret_key.encode()
    signed = hmac.new(key, "|".join(parts).encode(), hashlib.sha256).hexdigest()
    headers = dict(zip(("X-API-Key", "X-Time", "X-Nonce"), parts[:3], strict=True))
    headers |= {"X-Signature": signed, **wrong}
    # Sent with other blanks and another order than what is signed: that must not matter.
    data = None if body is None else json.dumps(body, indent=1)
    url = URL(f"{sandbox.base_url}{path}{'?' + asked if asked else ''}", encoded=True)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=data, headers=headers) as response,
    ):
        return response.status, await response.json()


def shape(value: Any) -> Any:
    """The keys and kinds of a document; of a list, those of its first entry."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(value[0])] if isinstance(value, list) else type(value).__name__


async def created(sandbox: RenderSandbox, **changed: object) -> str:
    status, job = await ask(sandbox, "POST", "/v1/jobs", body={**DOCUMENTED, **changed})
    assert status == 201, job
    ident: str = job["uuid"]
    return ident


async def test_the_documented_job_comes_to_run_and_has_its_addresses(
    sandbox: RenderSandbox,
) -> None:
    ident = await created(sandbox)
    seen = []
    for _ in range(8):
        _, job = await ask(sandbox, "GET", f"/v1/jobs/{ident}")
        seen.append(job["status"])
    assert list(dict.fromkeys(seen)) == ["PENDING", "ASSIGNED", "PREPARING", "RUNNING"]
    _, runs = await ask(sandbox, "GET", "/v1/job-runs", {"filter[job_uuid]": ident})
    expected = shape(RUNS)
    expected["data"][0]["job_uuid"] = "str"
    assert shape(runs) == expected
    assert runs["data"][0]["node_urls"][0]["description"] == "8080"


async def test_a_cancelled_job_is_over_some_looks_later(sandbox: RenderSandbox) -> None:
    ident = await created(sandbox)
    reason = {"reason": "Cancelled by user"}
    _, job = await ask(sandbox, "PUT", f"/v1/jobs/{ident}/cancel", body=reason)
    assert job["status"] == "CANCELLING"
    statuses = [(await ask(sandbox, "GET", f"/v1/jobs/{ident}"))[1]["status"] for _ in range(3)]
    assert statuses[-1] == "CANCELLED"
    status, said = await ask(sandbox, "PUT", f"/v1/jobs/{ident}/cancel", body=reason)
    assert (status, said["error"]["code"]) == (409, "CONFLICT")


async def test_jobs_are_listed_in_pages_by_their_status(sandbox: RenderSandbox) -> None:
    idents = [await created(sandbox, title=f"job {at}") for at in range(3)]
    query = {"page": "2", "limit": "2", "sort": "created_at", "filter[status]": "PENDING,RUNNING"}
    _, listed = await ask(sandbox, "GET", "/v1/jobs", query)
    assert [each["uuid"] for each in listed["data"]] == idents[2:]
    assert listed["total"] == 3
    _, listed = await ask(sandbox, "GET", "/v1/jobs", {"filter[status]": "FAILED"})
    assert listed["data"] == []
    status, _ = await ask(sandbox, "GET", "/v1/jobs", {"limit": "51"})
    assert status == 400


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"X-API-Key": "pk_other"}, "INVALID_API_KEY"),
        ({"X-Time": "-400"}, "INVALID_TIMESTAMP"),  # seconds from now
        ({"X-Time": "+400"}, "INVALID_TIMESTAMP"),
        ({"X-Time": "soon"}, "INVALID_TIMESTAMP"),
        ({"X-Nonce": "abc"}, "INVALID_NONCE"),
        ({"X-Nonce": "G" * 32}, "INVALID_NONCE"),
        ({"X-Signature": "0" * 64}, "INVALID_SIGNATURE"),
        ({"X-Signature": ""}, "INVALID_SIGNATURE"),
    ],
)
async def test_a_request_that_is_signed_wrongly_is_turned_away(
    sandbox: RenderSandbox, wrong: dict[str, str], code: str
) -> None:
    if wrong.get("X-Time", "soon") != "soon":
        wrong = {"X-Time": str(int((time.time() + int(wrong["X-Time"])) * 1000))}
    status, said = await ask(sandbox, "GET", "/v1/jobs", **wrong)
    assert (status, said["error"]["code"]) == (401, code)


async def test_a_nonce_counts_once(sandbox: RenderSandbox) -> None:
    nonce = {"X-Nonce": secrets.token_hex(16)}
    assert (await ask(sandbox, "GET", "/v1/jobs", **nonce))[0] == 200
    status, said = await ask(sandbox, "GET", "/v1/jobs", **nonce)
    assert (status, said["error"]["code"]) == (401, "NONCE_REUSED")


@pytest.mark.parametrize(
    "changed",
    [
        {"task": "SOMETIMES"},
        {"title": ""},
        {"max_timeout_run_ms": 3_600_000},
        {"gpu_name": "Abacus"},
        {"parameters": {"type": "podman", "parameters": {"image": "x"}}},
        {"surplus": 1},
    ],
)
async def test_a_job_that_is_not_of_the_form_is_a_400(
    sandbox: RenderSandbox, changed: dict[str, object]
) -> None:
    status, said = await ask(sandbox, "POST", "/v1/jobs", body={**DOCUMENTED, **changed})
    assert (status, set(said["error"])) == (400, {"code", "message"})
    assert not sandbox.jobs


async def test_hours_are_billed_as_they_begin_and_end_with_the_credit(
    sandbox: RenderSandbox,
) -> None:
    sandbox.credit = Decimal("0.70")  # two hours at 0.35
    ident = await created(sandbox)
    for _ in range(8):
        await ask(sandbox, "GET", f"/v1/jobs/{ident}")
    assert sandbox.spent == Decimal("0.35")
    sandbox.ahead = 3601.0
    await ask(sandbox, "GET", f"/v1/jobs/{ident}")
    assert sandbox.spent == Decimal("0.70")
    sandbox.ahead = 7201.0
    _, job = await ask(sandbox, "GET", f"/v1/jobs/{ident}")
    assert (job["status"], sandbox.spent) == ("CANCELLED", Decimal("0.70"))
    status, said = await ask(sandbox, "POST", "/v1/jobs", body=DOCUMENTED)
    assert (status, said["error"]["code"]) == (402, "INSUFFICIENT_BALANCE")
