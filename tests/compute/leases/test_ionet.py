"""What is io.net's own in renting there: whole hours paid before, names, pages, states, secrets."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.leases import CONTAINER, Clock
from support.scripted import Request, Scripted, response, scripted
from vagus.compute.client import ChatClient
from vagus.compute.leases.base import Lease, Quote, Want
from vagus.compute.leases.ionet import IonetProvisioner
from vagus.compute.pinning import Reach
from vagus.compute.sandbox.ionet import CAAS, IonetSandbox
from vagus.protocol import Refuse, Retry

KEY = "container-key-0123456789"
WANT = Want(CONTAINER, gpus=("GeForce RTX 4090",), hours=1, max_hourly=Decimal("0.60"))
UUID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[IonetSandbox]:
    async with IonetSandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def ionet(sandbox: IonetSandbox, tmp_path: Path) -> AsyncIterator[IonetProvisioner]:
    async with provisioner(tmp_path, sandbox.base_url, sandbox.api_key) as ionet:
        yield ionet


def provisioner(folder: Path, base_url: str, key: str = "network-key-abc") -> IonetProvisioner:
    path = folder / "ionet.key"
    path.touch(mode=0o600)
    path.write_text(key)
    return IonetProvisioner(path, base_url=base_url)


async def leased(ionet: IonetProvisioner, label: str = "vagus-0-1", want: Want = WANT) -> Lease:
    quotes = await ionet.quote(want)
    return await ionet.lease(quotes[0], label, KEY)


async def serving(ionet: IonetProvisioner, lease: Lease) -> None:
    for _ in range(8):
        if await ionet.ready(lease) is not None:
            return
    raise AssertionError("no address")


async def test_quotes_are_by_hardware_and_place_with_all_fees(ionet: IonetProvisioner) -> None:
    quotes = await ionet.quote(WANT)
    assert [(q.region, q.hourly, q.prepaid) for q in quotes] == [
        ("de", Decimal("0.306"), True),
        ("us", Decimal("0.306"), True),
    ]
    any_gpu = Want(CONTAINER, hours=2, count=2, max_hourly=Decimal("2.30"), regions=("DE",))
    assert [(q.gpu, q.hourly) for q in await ionet.quote(any_gpu)] == [
        ("GeForce RTX 4090", Decimal("0.612")),
        ("A100-SXM4-80GB", Decimal("2.244")),
    ]


@pytest.mark.parametrize(
    ("want", "words"),
    [
        (Want(CONTAINER, hours=0.5, max_hourly=Decimal(1)), "whole hours"),
        (Want(CONTAINER, vram=24, max_hourly=Decimal(1)), "name the gpus"),
    ],
)
async def test_what_the_network_cannot_promise_is_refused(
    ionet: IonetProvisioner, want: Want, words: str
) -> None:
    with pytest.raises(Refuse, match=words):
        await ionet.quote(want)


async def test_the_containers_key_goes_where_no_value_comes_back(
    ionet: IonetProvisioner, sandbox: IonetSandbox
) -> None:
    await leased(ionet)
    [made] = sandbox.alive
    config = made.asked.container_config
    assert config.secret_env_variables == {"VLLM_API_KEY": KEY}
    assert (
        KEY not in f"{config.args} {config.env_variables} {made.asked.registry_config} {made.name}"
    )


@pytest.mark.parametrize("fault", [{"status": 500}, {"hang_up": True}])
async def test_an_answer_that_is_lost_rents_once(
    ionet: IonetProvisioner, sandbox: IonetSandbox, fault: dict[str, Any]
) -> None:
    [quote, *_] = await ionet.quote(WANT)
    sandbox.faults.add(path="/deploy$", after_work=True, times=1, **fault)
    with pytest.raises(Retry) as raised:
        await ionet.lease(quote, "vagus-0-1", KEY)
    assert raised.value.after >= 60  # by then it is listed
    lease = await ionet.lease(quote, "vagus-0-1", KEY)
    assert [each.id for each in sandbox.alive] == [lease.id]
    assert sandbox.spent == Decimal("0.306")


async def test_a_label_whose_machine_is_over_is_not_rented_again(
    ionet: IonetProvisioner, sandbox: IonetSandbox
) -> None:
    [quote, *_] = await ionet.quote(WANT)
    lease = await ionet.lease(quote, "vagus-0-1", KEY)
    await released(ionet, lease)
    with pytest.raises(Refuse, match="destroyed"):
        await ionet.lease(quote, "vagus-0-1", KEY)
    assert not sandbox.alive


async def released(ionet: IonetProvisioner, lease: Lease) -> int:
    """Release until it is done, and return how often it was not yet."""
    for tries in range(8):
        try:
            await ionet.release(lease)
        except Retry:
            continue
        return tries
    raise AssertionError("never released")


async def test_a_price_that_rose_in_between_is_refused(
    ionet: IonetProvisioner, sandbox: IonetSandbox
) -> None:
    [quote, *_] = await ionet.quote(WANT)
    sandbox.hardware[203].price = Decimal("0.31")
    with pytest.raises(Refuse, match="price"):
        await ionet.lease(quote, "vagus-0-1", KEY)
    assert not sandbox.deployments


async def test_renewing_buys_what_is_missing_and_no_more(
    ionet: IonetProvisioner, sandbox: IonetSandbox, clock: Clock
) -> None:
    lease = await leased(ionet)
    await serving(ionet, lease)
    ends = clock.now + 2 * 3600
    clock.sleep(1799.5)  # within a minute, which the network tells rounded down
    renewed = await ionet.renew(lease, ends)
    assert sandbox.deployments[lease.id].hours == 2
    assert renewed.ends == pytest.approx(ends, abs=61)
    await ionet.renew(lease, ends)
    assert sandbox.deployments[lease.id].hours == 2
    assert sandbox.spent == Decimal("0.612")


async def test_a_renewal_is_refused_at_a_price_that_rose(
    ionet: IonetProvisioner, sandbox: IonetSandbox, clock: Clock
) -> None:
    lease = await leased(ionet)
    await serving(ionet, lease)
    paid = sandbox.spent
    sandbox.hardware[203].price = Decimal("0.31")
    with pytest.raises(Refuse, match=r"price for .* is over 0\.306 USD"):
        await ionet.renew(lease, clock.now + 2 * 3600)
    assert (sandbox.deployments[lease.id].hours, sandbox.spent) == (1, paid)
    sandbox.hardware[203].price = Decimal("0.29")
    await ionet.renew(lease, clock.now + 2 * 3600)
    assert sandbox.deployments[lease.id].hours == 2


async def test_an_hour_whose_answer_is_lost_is_bought_once(
    ionet: IonetProvisioner, sandbox: IonetSandbox, clock: Clock
) -> None:
    lease = await leased(ionet)
    await serving(ionet, lease)
    ends = clock.now + 2 * 3600
    sandbox.faults.add(path="/extend$", after_work=True, hang_up=True, times=1)
    with pytest.raises(Retry) as raised:
        await ionet.renew(lease, ends)
    assert raised.value.after >= 60
    await ionet.renew(lease, ends)
    assert sandbox.deployments[lease.id].hours == 2


async def test_what_is_over_is_neither_renewed_nor_ready(
    ionet: IonetProvisioner, clock: Clock
) -> None:
    lease = await leased(ionet)
    await serving(ionet, lease)
    clock.sleep(3700)
    with pytest.raises(Refuse, match="over"):
        await ionet.renew(lease, clock.now + 3600)
    with pytest.raises(Refuse, match="completed"):
        await ionet.ready(lease)
    await ionet.release(lease)


async def test_a_release_is_done_once_the_network_says_so(
    ionet: IonetProvisioner, sandbox: IonetSandbox
) -> None:
    lease = await leased(ionet)
    sandbox.patience = 2
    assert await released(ionet, lease) > 0
    assert not sandbox.alive
    await ionet.release(lease)
    await ionet.release(Lease(UUID, "vagus-0-2"))  # never heard of
    assert sandbox.calls.count(f"DELETE {CAAS}/deployment/{lease.id}") == 1


async def test_without_credit_nothing_is_rented_and_it_is_said(
    ionet: IonetProvisioner, sandbox: IonetSandbox
) -> None:
    sandbox.credit = Decimal("0.1")
    with pytest.raises(Refuse, match="credits"):
        await leased(ionet)


async def test_a_long_history_is_read_to_its_end(
    ionet: IonetProvisioner, sandbox: IonetSandbox
) -> None:
    sandbox.credit = Decimal(1000)
    sandbox.hardware[203].replicas[9] = 1000
    quote = (await ionet.quote(WANT))[0]
    first = await ionet.lease(quote, "vagus-0-1", KEY)
    made = sandbox.deployments[first.id]
    for at in range(250):
        clone = type(made)(**{**vars(made), "id": f"id-{at}", "name": f"other-{at}"})
        clone.created = made.created + at + 1
        sandbox.deployments[clone.id] = clone
    assert [each.id for each in await ionet.owned("vagus-0-")] == [first.id]


def entry(at: int) -> dict[str, object]:
    return {"id": f"id-{at}", "status": "running", "name": f"vagus-0-{at}"}


@pytest.mark.parametrize("total", [150, None])
async def test_pages_that_count_from_zero_are_read_too(tmp_path: Path, total: int | None) -> None:
    entries = [entry(at) for at in range(150)]

    async def answer(request: Request) -> None:
        query = dict(part.split("=") for part in request.line.split()[1].split("?")[1].split("&"))
        page, size = int(query["page"]), int(query["page_size"])
        listed = {"deployments": entries[page * size :][:size], "total": total}
        await request.send(response({"data": listed}))

    async with scripted(answer) as server, provisioner(tmp_path, root(server)) as ionet:
        assert len(await ionet.owned("vagus-0-")) == 150


async def test_a_list_that_lacks_some_is_a_retry(tmp_path: Path) -> None:
    async with (
        saying({"data": {"deployments": [entry(1)], "total": 3}}) as server,
        provisioner(tmp_path, root(server)) as ionet,
    ):
        with pytest.raises(Retry, match="1 of 3"):
            await ionet.owned("vagus-0-")


def root(server: Scripted) -> str:
    return f"http://127.0.0.1:{server.port}"


def saying(body: object, status: str = "200 OK", headers: str = "") -> Any:
    async def answer(request: Request) -> None:
        await request.send(response(body, status=status, headers=headers))

    return scripted(answer)


NONSENSE: dict[str, object] = {
    "nothing": b"",
    "no JSON": b"no JSON",
    "no UTF-8": b"\xff\xfe",
    "lists in lists": b"[" * 100_000,
    "objects in objects": b'{"a":' * 100_000,
    "blanks": b" " * (5 << 20),
    "no data": {"data": None},
    "an id that is a path": {"data": {"deployments": [{"id": "../../v1", "status": "running"}]}},
    "a name without end": {
        "data": {"deployments": [{"id": "x", "status": "running", "name": "n" * 10_000}]}
    },
    "minutes below none": {
        "data": {"deployments": [{"id": "x", "compute_minutes_remaining": -1, "status": "r"}]}
    },
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_a_retry(
    tmp_path: Path, body: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Libraries raise it so far, and what is nested as deep then ends a process that does not look.
    monkeypatch.setattr(sys, "getrecursionlimit", lambda: 100_000)
    async with saying(body) as server, provisioner(tmp_path, root(server)) as ionet:
        with pytest.raises(Retry):
            await ionet.owned("vagus-0-")


@pytest.mark.parametrize("total", ["0", "-1", "1e999", "1e30", '"free"', "null"])
async def test_a_price_that_is_none_is_a_retry(tmp_path: Path, total: str) -> None:
    quote = Quote(WANT, '[203,"9"]', "GPU", Decimal(1), prepaid=True)

    async def answer(request: Request) -> None:
        empty = json.dumps({"data": {"deployments": [], "total": 0}}).encode()
        price = b'{"data":{"total_cost_usdc":%s}}' % total.encode()
        await request.send(response(price if "/price" in request.line else empty))

    async with scripted(answer) as server, provisioner(tmp_path, root(server)) as ionet:
        with pytest.raises(Retry):
            await ionet.lease(quote, "vagus-0-1", KEY)
        assert not [each for each in server.requests if each.line.startswith("POST")]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", Refuse),
        ("403 Forbidden", Refuse),
        ("404 Not Found", Refuse),
        ("429 Too Many Requests", Retry),
        ("503 Unavailable", Retry),
        ("302 Found", Refuse),
    ],
)
async def test_an_error_says_what_to_do_and_never_the_key(
    tmp_path: Path, status: str, kind: type[Exception]
) -> None:
    said = {"detail": "your key network-key-abc is wrong", "location": "http://127.0.0.1:1/"}
    elsewhere = "Location: http://127.0.0.1:1/\r\nRetry-After: 17\r\n"
    async with (
        saying(said, status, elsewhere) as server,
        provisioner(tmp_path, root(server)) as ionet,
    ):
        with pytest.raises(kind) as raised:
            await ionet.owned("vagus-0-")
        assert "network-key-abc" not in str(raised.value)
        assert "network-key-abc" not in repr(ionet)
        assert len(server.requests) == 1
        if kind is Retry:
            assert raised.value.after == 17  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example",
        "http://",
        "https://a@b.example",
        "https://b.example/?q",
        "https://é.example",
    ],
)
async def test_an_address_that_is_none_is_a_retry(tmp_path: Path, url: str) -> None:
    async with machine_at(url) as server, provisioner(tmp_path, root(server)) as ionet:
        with pytest.raises(Retry, match="address"):
            await ionet.ready(Lease(UUID, "vagus-0-1"))


def machine_at(url: str) -> Any:
    async def answer(request: Request) -> None:
        worker: dict[str, object] = {"workers": [{"public_url": url}]}
        state = {"id": UUID, "status": "running", "compute_minutes_remaining": 60}
        await request.send(response({"data": worker if "containers" in request.line else state}))

    return scripted(answer)


def test_what_a_network_calls_a_machine_may_not_be_on_this_one() -> None:
    # The API is on the internet: an address that leads here, or to a cloud's metadata, is refused.
    from vagus.compute.http_bounds import Endpoint
    from vagus.compute.leases.checks import reach_of

    assert reach_of("https://api.io.solutions") is Reach.PUBLIC
    assert reach_of("http://127.0.0.1:4000") is Reach.NAMED
    for host in ("127.0.0.1", "169.254.169.254", "10.0.0.1", "[::1]"):
        with pytest.raises(Refuse):
            ChatClient(Endpoint(f"http://{host}/v1", reach=reach_of("https://api.io.solutions")))
