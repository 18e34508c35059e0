"""The tables that docs/compute.md shows are configs, and say what they seem to say."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vagus.compute.backends.gpunet import GpuNetConfig
from vagus.compute.backends.ionet_caas import IonetCaasBackend, IonetCaasConfig
from vagus.compute.backends.render import RenderBackend, RenderConfig
from vagus.compute.leases.ionet import IonetProvisioner
from vagus.compute.leases.render import RenderProvisioner
from vagus.compute.registry import backend_config, make_backend
from vagus.protocol import Refuse

GUIDE = (Path(__file__).parents[3] / "docs" / "compute.md").read_text()


def shown(kind: str) -> dict[str, Any]:
    """The table of a kind, as the guide shows it."""
    for block in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL):
        for table in tomllib.loads(block).get("backends", []):
            if table["kind"] == kind:
                return dict(table)
    raise AssertionError(f"docs/compute.md shows no {kind}")


def test_the_table_for_io_net_rents_there() -> None:
    config = backend_config(shown("ionet-caas"))
    assert isinstance(config, IonetCaasConfig)
    assert (config.network, config.hours, config.max_hourly) == ("io.net", 1, Decimal("0.60"))
    backend = make_backend(config)
    assert isinstance(backend, IonetCaasBackend)
    assert isinstance(backend.provisioner(), IonetProvisioner)


async def test_the_table_for_render_asks_for_a_job_that_can_be() -> None:
    config = backend_config(shown("render"))
    assert isinstance(config, RenderConfig)
    backend = make_backend(config)
    assert isinstance(backend, RenderBackend)
    provisioner = backend.provisioner()
    assert isinstance(provisioner, RenderProvisioner)
    [quote] = await provisioner.quote(config.plan().want)
    assert (quote.gpu, quote.hourly) == ("NVIDIA RTX 4090", Decimal("0.35"))


@pytest.mark.parametrize("kind", ["akash", "ionet-caas", "render"])
def test_an_hours_tokens_bring_in_what_the_hour_costs(kind: str) -> None:
    """By the guide's own figures: 200 tokens written a second, and a unit worth 3,000 dollars."""
    table = shown(kind)
    million = Decimal(table["price"]["output"]) / 10**18 * 3000
    hour = million * 200 * 3600 / 1_000_000
    assert Decimal(table["max_hourly"]) <= hour < Decimal(table["max_hourly"]) * Decimal("1.1")


def test_so_do_those_of_gpu_nets_machine() -> None:
    """1,500 tokens a second for 2 dollars an hour."""
    hour = Decimal(shown("gpunet")["price"]["output"]) / 10**18 * 3000 * 1500 * 3600 / 1_000_000
    assert 2 <= hour < Decimal("2.2")


def test_the_table_for_gpu_net_names_its_market() -> None:
    config = backend_config(shown("gpunet"))
    assert isinstance(config, GpuNetConfig)
    assert (config.chain_id, config.machine) == (4048, 10_001)


@pytest.mark.parametrize(
    ("kind", "wrong", "words"),
    [
        ("gpunet", {"rpc": []}, "contract and rpc are missing"),
        ("gpunet", {"rpc": ["ws://x.example"]}, "http://"),
        ("gpunet", {"quorum": 2}, "over half of 1"),
        ("gpunet", {"contract": "0x12"}, "contract"),
        ("render", {"public_key": "pk|1"}, "public_key"),
        ("render", {"offers": []}, "offers"),
        ("render", {"allowed_ips": ["anyone"]}, "allowed_ips"),
        ("ionet-caas", {"base_url": "api.io.solutions"}, "base_url"),
    ],
)
def test_a_table_that_can_not_be_meant_is_refused(
    kind: str, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        backend_config({**shown(kind), **wrong})


async def test_a_leased_backend_without_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(Refuse, match="folder"):
        async with make_backend(backend_config(shown("ionet-caas"))):
            pass


def test_the_rpc_of_a_market_may_hold_a_key_and_is_not_shown() -> None:
    config = backend_config({**shown("gpunet"), "rpc": ["https://rpc.example/secret-key-123"]})
    assert "secret-key-123" not in repr(config)


def test_the_kit_runs_as_the_guide_for_provisioners_says(tmp_path: Path) -> None:
    """In a folder of an author's own, whose network is io.net by another name."""
    [block] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "campus.py").write_text(
        "from vagus.compute.leases.ionet import IonetProvisioner as CampusProvisioner\n"
        "from vagus.compute.sandbox.ionet import IonetSandbox as CampusSandbox\n"
    )
    (tmp_path / "test_campus.py").write_text(block)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "vagus.compute.conformance_plugin"]
    chosen = ["--kit", "--rootdir", ".", "-o", "asyncio_mode=auto", "-k", "quotes or asked_twice"]
    done = subprocess.run(
        [*command, *chosen], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    assert "Warning" not in done.stdout
