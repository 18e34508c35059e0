"""A network whose API is hostile costs one failed call, in words, within bounds."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest

from support.hostile import WAYS
from support.scripted import Request, response, scripted
from vagus.compute.leases.api import Api, ApiRefused
from vagus.compute.leases.ionet import IonetProvisioner
from vagus.protocol import Refuse, Retry

MIB = 1 << 20


@pytest.mark.parametrize("way", WAYS)
async def test_a_hostile_api_costs_one_failed_call(way: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text("network-key-abc")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with scripted(WAYS[way]) as server:
        made = IonetProvisioner(key, base_url=f"http://127.0.0.1:{server.port}", timeout=1.0)
        async with made as ionet, asyncio.timeout(30):
            with pytest.raises((Retry, Refuse)) as raised:
                await ionet.owned("vagus-")
    assert "network-key-abc" not in str(raised.value)
    assert len(str(raised.value)) < 500
    assert len(server.requests) == 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 64 * MIB


async def test_what_an_error_repeats_of_a_secret_is_taken_out() -> None:
    async def answer(request: Request) -> None:
        await request.send(response(b"the key sk_1234 is bad", status="400 Bad Request"))

    async with scripted(answer) as server:
        api = Api(f"http://127.0.0.1:{server.port}", secrets=("sk_1234",))
        async with api:
            with pytest.raises(ApiRefused) as raised:
                await api.call("GET", "/x", dict)
    assert raised.value.status == 400
    assert "the key … is bad" in raised.value.reason.encode().decode("unicode_escape")
    assert "sk_1234" not in raised.value.reason


async def test_a_connection_that_fails_is_a_retry_and_one_that_is_closed_too() -> None:
    api = Api("http://127.0.0.1:9")
    async with api:
        with pytest.raises(Retry, match="failed at GET /x"):
            await api.call("GET", "/x", dict)
    with pytest.raises(Retry, match="closed"):
        await api.call("GET", "/x", dict)


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "[fd00:ec2::254]"])
def test_an_api_is_not_where_no_api_can_be(host: str) -> None:
    with pytest.raises(Refuse, match="no public address"):
        Api(f"http://{host}/v1")


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("7", 7), ("9" * 400, 3600), ("9" * 5000, 1), ("-" + "9" * 400, 0), ("soon", 1)],
)
async def test_a_wait_without_end_is_an_hour(told: str, seconds: float) -> None:
    async def answer(request: Request) -> None:
        down = "/down" in request.line
        status = "503 Unavailable" if down else "200 OK"
        await request.send(response({}, status=status, headers=f"Retry-After: {told}\r\n"))

    async with scripted(answer) as server, Api(f"http://127.0.0.1:{server.port}") as api:
        assert await api.call("GET", "/up", dict) == {}
        with pytest.raises(Retry) as raised:
            await api.call("GET", "/down", dict)
    assert raised.value.after == seconds
