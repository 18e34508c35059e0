"""docs/modes.md says what the code does: which modes there are, and what holds by default."""

import re
from pathlib import Path
from typing import get_args

import pytest

from support.modes import said, verifier_of
from vagus.agents import Mode
from vagus.agents.builtin.chat import Chat
from vagus.agents.modes import mode_of, rescoring, semantic
from vagus.agents.modes.tee import Tee
from vagus.protocol import Mode as ModeName

GUIDE = (Path(__file__).parents[3] / "docs" / "modes.md").read_text()
NAMES = get_args(ModeName)
FILES = ("circuit", "settings", "vk", "srs")
NEEDED = {"tee": {"signers": ("0x" + "11" * 20,)}, "zk": dict.fromkeys(FILES, "11" * 32)}


def test_each_mode_is_in_the_guide() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \|", GUIDE, re.MULTILINE)
    assert tuple(rows[: len(NAMES)]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_mode_does_what_the_guide_says(name: str) -> None:
    agent = said(str, name, **NEEDED.get(name, {}))
    verifier = mode_of(agent.manifest)
    again = {"exact", "fields", "collect", "jury", "semantic"}
    assert verifier.runs_again == (name in again)
    assert verifier.combines == (name in {"collect", "jury"})
    assert verifier.records == (name in {"rescoring", "tee"})
    assert (verifier.prover is not None) == (name == "zk")


def test_the_guides_defaults_are_the_codes() -> None:
    assert f"the least cosine of two embeddings, `{semantic.THRESHOLD}`" in GUIDE
    assert f"tokens, in nats: `{rescoring.MEAN}`" in GUIDE
    assert f"one token's gap may be: `{rescoring.WORST}`" in GUIDE
    tee = verifier_of(str, "tee", **NEEDED["tee"])
    assert isinstance(tee, Tee)
    assert f"time may lie, `{tee.days}`" in GUIDE


def test_the_guides_example_is_understood() -> None:
    (source,) = re.findall(r"```python\nmode = (.*?)\n```", GUIDE, re.DOTALL)
    from pydantic import BaseModel

    class Quote(BaseModel):
        price: float
        volume: float

    mode = eval(source, {"Mode": Mode})
    assert mode_of(said(Quote, mode.name, **mode.parameters).manifest).combines


def test_an_agent_need_not_say_more_than_a_modes_name() -> None:
    assert mode_of(Chat().manifest).manifest.mode.parameters == {}
