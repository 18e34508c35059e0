"""The guide for backends' authors works to the letter."""

import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from vagus.compute import Backend, backend_config
from vagus.compute.backends.local import LocalBackend
from vagus.compute.conformance import BackendConformance

GUIDE = Path(__file__).parents[2] / "docs" / "backends.md"
NAMES: dict[str, Any] = {"__name__": "guide"}
for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
    exec(compile(block, str(GUIDE), "exec"), NAMES)

kit: type[BackendConformance] = NAMES["TestCampus"]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.xdist_group("local-model-compute")
class TestGuide(BackendConformance):
    streams = kit.streams

    @pytest_asyncio.fixture(loop_scope="session")
    async def backend(self, local_model: LocalBackend, tmp_path: Path) -> AsyncIterator[Backend]:
        endpoint = local_model._client._endpoint
        key = tmp_path / "key"
        key.write_text(endpoint.api_key)
        key.chmod(0o600)
        config = NAMES["CampusConfig"](name="campus", base_url=endpoint.base_url, api_key_file=key)
        async with NAMES["Campus"](config) as backend:
            yield backend


def test_its_config_is_one() -> None:
    block = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)[0]
    local, openai = (backend_config(table) for table in tomllib.loads(block)["backends"])
    assert (local.kind, openai.kind) == ("local", "openai")
    assert openai.price.input == 150_000
