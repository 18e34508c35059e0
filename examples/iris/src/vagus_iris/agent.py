"""`iris@1`: tells an iris' species from four measures, and proves that its network did.

Payload: JSON `{"sepal_length": 51, "sepal_width": 35, "petal_length": 14, "petal_width": 2}`, whole
millimetres. Output: one word of an ABI, 32 bytes: `abi.decode(output, (uint256))` is 0 for setosa, 1
for versicolor, 2 for virginica.
"""

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from vagus.agents import Agent, Context, Mode

Millimetres = Annotated[int, Field(strict=True, ge=1, le=200)]


class Flower(BaseModel):
    """The payload."""

    model_config = ConfigDict(extra="forbid")

    sepal_length: Millimetres
    sepal_width: Millimetres
    petal_length: Millimetres
    petal_width: Millimetres


def _circuit() -> dict[str, str]:
    """The hashes of the circuit's files, which are part of what the agent promises."""
    path = Path(__file__).with_name("circuit.json")
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: build.py makes it, see the README")
    found: dict[str, str] = json.loads(path.read_text())
    return found


class IrisAgent(Agent):
    """Has its circuit run on the measures; the highest score wins."""

    name = "iris"
    version = "1.0.0"
    Input = Flower
    Output = bytes
    mode = Mode(name="zk", parameters={**_circuit()})
    asks = False

    async def run(self, ctx: Context, flower: Flower, /) -> bytes:
        """Return the species."""
        scores = await ctx.prove(
            (flower.sepal_length, flower.sepal_width, flower.petal_length, flower.petal_width)
        )
        return scores.index(max(scores)).to_bytes(32, "big")
