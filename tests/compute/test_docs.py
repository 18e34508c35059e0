"""The guide for backends' authors works to the letter."""

import re
import tomllib
from pathlib import Path
from typing import Any

from vagus.compute import backend_config

GUIDE = Path(__file__).parents[2] / "docs" / "backends.md"
NAMES: dict[str, Any] = {"__name__": "guide"}
for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
    exec(compile(block, str(GUIDE), "exec"), NAMES)

TestGuide = NAMES["TestParrot"]


def test_its_config_is_one() -> None:
    block = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)[0]
    local, openai = (backend_config(table) for table in tomllib.loads(block)["backends"])
    assert (local.kind, openai.kind) == ("local", "openai")
    assert openai.price.input == 150_000
