"""What an agent fetches may be without end: it takes neither memory nor time of the node."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.apart import MOST, PATIENT, Apart, apart
from support.hostile import WAYS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asker() -> AsyncIterator[Apart]:
    async with apart("pages", WAYS) as found:
        yield found


@pytest.mark.parametrize("way", WAYS)
async def test_a_hostile_page_is_left_within_bounds(asker: Apart, way: str) -> None:
    found = await asker.round(way)
    # The first of many responses is one; its connection ends with it.
    assert found.ends["answered"] == (found.ends.total() if way == "whole responses" else 0)
    assert found.grown <= MOST
    assert found.lag <= PATIENT
