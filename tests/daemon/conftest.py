"""A node between two scripted chains and a scripted model, and each kind of journal."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from coincurve import PrivateKey

from support.journals import JOURNALS, Open
from support.pipelines import Node, Pauses, two_chains, without_pauses
from support.scripted import GOOD, Scripted, response, scripted, sending


@pytest.fixture(params=JOURNALS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same journal each time it is called."""
    return JOURNALS[request.param](tmp_path)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    return without_pauses(monkeypatch)


@pytest.fixture
async def model() -> AsyncIterator[Scripted]:
    async with scripted(sending(response(GOOD))) as served:
        yield served


@pytest.fixture
async def node(tmp_path: Path, model: Scripted, pauses: Pauses) -> AsyncIterator[Node]:
    key = PrivateKey(b"\x05" * 32)
    async with two_chains(key) as (a, b):
        node = Node(tmp_path, model.base_url, key, a, b)
        async with node.start():
            yield node
