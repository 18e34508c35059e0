"""A leased backend: entered at once, serving once a machine does, and rented for by requests alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from support.leases import MODEL, Network
from vagus.compute import Backend, Completion, Message, Model
from vagus.compute.backends.akash import AkashBackend, AkashConfig
from vagus.compute.backends.openai import ModelConfig
from vagus.compute.conformance import BackendConformance
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.records import State
from vagus.compute.sandbox.chat import Chat, ScriptedModel
from vagus.protocol import Refuse, Retry

HELLO = Completion(model=Model(MODEL), messages=(Message("user", "Hello"),), max_tokens=4)


def made(akash: Network, folder: Path, **changes: Any) -> AkashBackend:
    """Make a backend as a node does, with its ledger in a folder."""
    akash.sandbox.bids_after = akash.sandbox.starts_after = 0
    table = {
        "name": "gpu",
        "base_url": akash.sandbox.base_url,
        "api_key_file": folder / "network.key",
        "models": (ModelConfig(name=MODEL),),
        "image": "vllm/vllm-openai:v0.11.0",
        "args": ("--model", MODEL),
        "gpus": ("rtx4090",),
        "max_hourly": Decimal("0.60"),
        "spend_hour": Decimal(2),
        "spend_day": Decimal(20),
        **changes,
    }
    backend = AkashBackend(AkashConfig.model_validate(table))
    backend.keep_in(folder)
    return backend


async def served(backend: AkashBackend) -> None:
    """Ask until a machine answers; what happens between takes no time but that of the calls."""
    async with asyncio.timeout(30):
        while backend._client is None:
            try:
                await backend.complete(HELLO, timeout=10)
            except Retry:
                await asyncio.sleep(0.01)


class TestAkash(BackendConformance):
    @pytest.fixture
    async def backend(self, akash: Network, tmp_path: Path) -> AsyncIterator[Backend]:
        async with made(akash, tmp_path) as backend:
            await served(backend)
            [lease] = akash.sandbox.alive
            # A GPU takes its time, too.
            akash.sandbox.machines[lease.dseq].chat = Chat(ScriptedModel(MODEL, first=0.05))
            yield backend


async def test_it_is_entered_before_anything_is_rented_and_says_why_it_does_not_serve(
    akash: Network, tmp_path: Path
) -> None:
    async with made(akash, tmp_path) as backend:
        assert [model.name for model in await backend.models()] == [MODEL]
        for _ in range(3):
            with pytest.raises(Retry, match="no machine that serves"):
                await backend.check(timeout=5)
        assert "POST /v1/deployments" not in akash.sandbox.calls, "a check is no reason to rent"
        await served(backend)
        assert (await backend.complete(HELLO, timeout=10)).text
    assert len(akash.sandbox.alive) == 1, "a stop of the node keeps what is rented"


async def test_the_next_start_goes_on_with_what_is_rented(akash: Network, tmp_path: Path) -> None:
    async with made(akash, tmp_path) as backend:
        await served(backend)
    [first] = akash.labels()
    async with made(akash, tmp_path) as backend:
        async with asyncio.timeout(30):
            while backend._client is None:
                await asyncio.sleep(0.01)
        assert akash.labels() == [first]


async def test_a_stop_releases_where_the_config_says_so(akash: Network, tmp_path: Path) -> None:
    async with made(akash, tmp_path, release_on_stop=True) as backend:
        await served(backend)
    assert akash.labels() == []
    async with Ledger(tmp_path) as ledger:
        assert [row.state for row in await ledger.recent()] == [State.RELEASED]


async def test_the_machines_key_is_of_this_node_and_in_no_log_or_name(
    akash: Network, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with made(akash, tmp_path) as backend:
        await served(backend)
        async with Ledger(tmp_path) as ledger:
            key = ledger.key(akash.labels()[0])
        [lease] = akash.sandbox.alive
        assert f"VLLM_API_KEY={key}" in lease.service["env"]
        assert key not in repr(backend)
        assert key not in repr(backend._endpoint)
    said = "".join(capfd.readouterr())
    assert key not in said
    assert akash.sandbox.api_key not in said


async def test_it_is_no_backend_without_a_folder_or_a_key(akash: Network, tmp_path: Path) -> None:
    backend = made(akash, tmp_path)
    backend._folder = None
    with pytest.raises(Refuse, match="folder"):
        async with backend:
            pass
    with pytest.raises(Refuse, match="can't be read"):
        async with made(akash, tmp_path, api_key_file=tmp_path / "gone"):
            pass


def test_nothing_is_rented_without_caps(akash: Network, tmp_path: Path) -> None:
    for missing in ("spend_hour", "spend_day", "max_hourly"):
        with pytest.raises(ValidationError):
            made(akash, tmp_path, **{missing: None})
