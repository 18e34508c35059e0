"""What is Dispersed's own in renting there: the operator's prices, jobs without arguments, signatures."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.leases import MODEL, Clock
from support.scripted import Request, Scripted, response, scripted
from vagus.compute.client import ChatClient
from vagus.compute.leases.base import Container, Lease, Want
from vagus.compute.leases.render import GpuOffer, RenderProvisioner
from vagus.compute.sandbox.render import RenderSandbox
from vagus.protocol import Refuse, Retry

KEY = "container-key-0123456789"
SECRET = "sk_0123456789abcdef"
CONTAINER = Container(
    "ghcr.io/ggml-org/llama.cpp:server-cuda",
    env={"LLAMA_ARG_ALIAS": MODEL, "LLAMA_ARG_HF_REPO": "Qwen/Qwen3-8B-GGUF"},
    key_env="LLAMA_API_KEY",
)
WANT = Want(CONTAINER, hours=1, max_hourly=Decimal("0.60"))
OFFERS = (
    GpuOffer("NVIDIA RTX 5090", 32, Decimal("0.69")),
    GpuOffer("NVIDIA RTX 4090", 24, Decimal("0.35")),
)
UUID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[RenderSandbox]:
    async with RenderSandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def render(sandbox: RenderSandbox, tmp_path: Path) -> AsyncIterator[RenderProvisioner]:
    made = provisioner(tmp_path, sandbox.base_url, sandbox.api_key, sandbox.secret_key)
    async with made as render:
        yield render


def provisioner(
    folder: Path, base_url: str, public: str = "pk_1", secret: str = SECRET, **more: Any
) -> RenderProvisioner:
    path = folder / "render.key"
    path.touch(mode=0o600)
    path.write_text(secret)
    return RenderProvisioner(public, path, OFFERS, base_url=base_url, **more)


async def leased(render: RenderProvisioner, label: str = "vagus-0-1") -> Lease:
    return await render.lease((await render.quote(WANT))[0], label, KEY)


async def released(render: RenderProvisioner, lease: Lease) -> int:
    """Release until it is done, and return how often it was not yet."""
    for tries in range(8):
        try:
            await render.release(lease)
        except Retry:
            continue
        return tries
    raise AssertionError("never released")


def test_a_provisioner_shows_no_key_and_reads_none_before_it_is_entered(tmp_path: Path) -> None:
    made = RenderProvisioner("pk_1", tmp_path / "missing", OFFERS)
    assert "sk_" not in repr(made)


async def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    made = provisioner(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "render.key").chmod(0o644)
    with pytest.raises(Refuse, match="chmod 600"):
        async with made:
            pass


async def test_quotes_are_the_operators_offers(render: RenderProvisioner) -> None:
    [quote] = await render.quote(WANT)
    assert (quote.gpu, quote.hourly, quote.prepaid) == ("NVIDIA RTX 4090", Decimal("0.35"), True)
    dear = dataclasses.replace(WANT, max_hourly=Decimal(2), vram=30, count=2)
    assert [(q.gpu, q.hourly) for q in await render.quote(dear)] == [
        ("NVIDIA RTX 5090", Decimal("1.38"))
    ]


@pytest.mark.parametrize(
    ("container", "regions", "words"),
    [
        (dataclasses.replace(CONTAINER, args=("--model", "x")), (), "no arguments"),
        (dataclasses.replace(CONTAINER, image="a/b@sha256:" + "0" * 64), (), "digest"),
        (CONTAINER, ("de",), "region"),
    ],
)
async def test_what_a_job_cannot_be_is_refused(
    render: RenderProvisioner, container: Container, regions: tuple[str, ...], words: str
) -> None:
    with pytest.raises(Refuse, match=words):
        await render.quote(dataclasses.replace(WANT, container=container, regions=regions))


async def test_a_job_is_tried_once_on_one_machine_and_has_its_key_in_its_environment(
    render: RenderProvisioner, sandbox: RenderSandbox
) -> None:
    await leased(render)
    [job] = sandbox.alive
    asked, docker = job.asked, job.asked.parameters.parameters
    assert (asked.task, asked.title, asked.gpu_name) == (
        "PERSISTENT",
        "vagus-0-1",
        "NVIDIA RTX 4090",
    )
    assert (asked.max_node_count, asked.max_retry_count) == (1, 0)
    assert (docker.image, docker.tag) == ("ghcr.io/ggml-org/llama.cpp", "server-cuda")
    assert docker.env == {**CONTAINER.env, "LLAMA_API_KEY": KEY}
    assert docker.ports == [8000]
    assert KEY not in f"{asked.title} {docker.image} {docker.tag}"


async def test_a_job_that_costs_more_than_its_quote_is_not_made(
    render: RenderProvisioner, sandbox: RenderSandbox
) -> None:
    """As where the config wants more GPUs by now than when it was booked."""
    [quote] = await render.quote(WANT)
    more = dataclasses.replace(quote, want=dataclasses.replace(WANT, count=2))
    with pytest.raises(Refuse, match=r"not offered at 0\.35 USD"):
        await render.lease(more, "vagus-0-1", KEY)
    assert not sandbox.alive


async def test_an_address_of_a_job_answers(
    render: RenderProvisioner, sandbox: RenderSandbox
) -> None:
    lease = await leased(render)
    found = None
    for _ in range(12):
        found = found or await render.ready(lease)
    assert found is not None
    assert found.base_url.endswith("/v1")
    async with ChatClient(dataclasses.replace(found, api_key=KEY)) as client:
        assert [each.name for each in await client.models(timeout=5)] == [MODEL]
    sandbox.jobs[lease.id].status = "FAILED"
    with pytest.raises(Refuse, match="FAILED"):
        await render.ready(lease)


@pytest.mark.parametrize("fault", [{"status": 500}, {"hang_up": True}])
async def test_an_answer_that_is_lost_makes_one_job(
    render: RenderProvisioner, sandbox: RenderSandbox, fault: dict[str, Any]
) -> None:
    sandbox.faults.add(method="POST", path="/v1/jobs$", after_work=True, times=1, **fault)
    with pytest.raises(Retry) as raised:
        await leased(render)
    assert raised.value.after >= 60  # by then it is listed
    lease = await leased(render)
    assert [each.uuid for each in sandbox.alive] == [lease.id]


async def test_a_label_whose_job_is_over_is_not_rented_again(
    render: RenderProvisioner, sandbox: RenderSandbox
) -> None:
    await released(render, await leased(render))
    with pytest.raises(Refuse, match="CANCELLED"):
        await leased(render)
    assert not sandbox.alive


async def test_a_release_is_done_once_the_network_says_so(
    render: RenderProvisioner, sandbox: RenderSandbox
) -> None:
    lease = await leased(render)
    sandbox.patience = 2
    assert await released(render, lease) > 0
    assert not sandbox.alive
    await render.release(lease)
    await render.release(Lease(UUID, "vagus-0-2"))  # never heard of
    assert sandbox.calls.count(f"PUT /v1/jobs/{lease.id}/cancel") == 1


async def test_a_job_goes_on_until_it_is_cancelled(render: RenderProvisioner, clock: Clock) -> None:
    lease = await leased(render)
    assert (await render.renew(lease, clock.now + 3600)).ends is None
    await released(render, lease)
    with pytest.raises(Refuse, match="over"):
        await render.renew(lease, clock.now + 7200)


async def test_a_long_history_is_read_to_its_end(
    render: RenderProvisioner, sandbox: RenderSandbox
) -> None:
    first = await leased(render)
    job = sandbox.jobs[first.id]
    for at in range(120):
        asked = type(job.asked)(**{**_fields(job.asked), "title": f"other {at}"})
        sandbox.jobs[f"id-{at}"] = dataclasses.replace(
            job, uuid=f"id-{at}", asked=asked, created=job.created + 1 + at
        )
    assert await render.owned("vagus-0-") == (Lease(first.id, "vagus-0-1"),)


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


async def test_a_wrong_secret_says_where_to_look_and_not_what_it_is(
    sandbox: RenderSandbox, tmp_path: Path
) -> None:
    made = provisioner(tmp_path, sandbox.base_url, sandbox.api_key)
    async with made as render:
        with pytest.raises(Refuse, match="clock") as raised:
            await render.owned("vagus-0-")
    assert SECRET not in str(raised.value)


async def test_the_secret_is_in_nothing_that_is_sent(tmp_path: Path) -> None:
    async def answer(request: Request) -> None:
        await request.send(response({"data": [], "total": 0}))

    async with scripted(answer) as server, provisioner(tmp_path, root(server)) as render:
        await render.owned("vagus-0-")
    [request] = server.requests
    assert SECRET not in f"{request.line} {request.headers} {request.body!r}"
    assert len(request.headers["x-signature"]) == 64


async def test_what_is_not_ascii_is_not_asked_for(
    render: RenderProvisioner, sandbox: RenderSandbox
) -> None:
    container = dataclasses.replace(CONTAINER, env={"NAME": "café"})
    [quote] = await render.quote(dataclasses.replace(WANT, container=container))
    with pytest.raises(Refuse, match="ASCII"):
        await render.lease(quote, "vagus-0-1", KEY)
    assert not sandbox.jobs


@pytest.mark.parametrize(
    ("urls", "base_url"),
    [
        (
            [{"hostname": "node.example", "port": 31000, "tls": True}],
            "https://node.example:31000/v1",
        ),
        ([{"hostname": "1.1.1.1", "port": 31000, "description": 8000}], "http://1.1.1.1:31000/v1"),
        ([{"hostname": "1.1.1.1", "port": 22, "description": "ssh"}], None),
        ([], None),
        (None, None),
    ],
)
async def test_the_address_is_the_ports_that_is_no_ssh(
    tmp_path: Path, urls: object, base_url: str | None
) -> None:
    async with saying(urls) as server, provisioner(tmp_path, root(server)) as render:
        found = await render.ready(Lease(UUID, "vagus-0-1"))
    assert (None if found is None else found.base_url) == base_url


@pytest.mark.parametrize(
    "url",
    [
        {"hostname": "a b", "port": 80},
        {"hostname": "x@y", "port": 80},
        {"hostname": "node.example/v1?", "port": 80},
        {"hostname": "node.example", "port": 0},
        {"hostname": "node.example", "port": "eighty"},
        {"hostname": "x" * 300, "port": 80},
    ],
)
async def test_an_address_that_is_none_is_a_retry(tmp_path: Path, url: dict[str, object]) -> None:
    async with saying([url]) as server, provisioner(tmp_path, root(server)) as render:
        with pytest.raises(Retry):
            await render.ready(Lease(UUID, "vagus-0-1"))


def root(server: Scripted) -> str:
    return f"http://127.0.0.1:{server.port}"


def saying(urls: object) -> Any:
    """Serve a job that runs, with a run that has these URLs."""

    async def answer(request: Request) -> None:
        run = {"uuid": UUID, "job_uuid": UUID, "status": "RUNNING", "node_urls": urls}
        job = {"uuid": UUID, "status": "RUNNING", "title": "vagus-0-1"}
        await request.send(response({"data": [run]} if "job-runs" in request.line else job))

    return scripted(answer)
