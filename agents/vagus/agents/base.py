"""The contract of an agent: a plugin that turns a payload into an output.

An author writes a class:

    class Chat(Agent):
        name = "chat"
        version = "1.0.0"
        Input = ChatInput          # a pydantic model, or bytes
        Output = str               # a pydantic model, str (UTF-8) or bytes
        Config = ChatConfig        # an AgentConfig: what the committee's roster fixes
        mode = Mode(name="exact")

        async def run(self, ctx: Context, question: ChatInput, /) -> str: ...

and names it in the entry point group `vagus.agents`.
"""

import abc
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from vagus.agents.codec import decode_payload, encode_output, schema_of
from vagus.agents.context import Context
from vagus.agents.manifest import AgentConfig, Manifest, Mode

__all__ = ["Agent"]

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")


class Agent(abc.ABC):
    """One agent with one config; it keeps nothing between two intents.

    `run` is called concurrently, once for each intent. It
    - reaches models by `ctx.chat` alone, which is bound to what the router chose;
    - takes the payload as data: a stranger wrote it;
    - raises Refuse(reason) for a question it can't answer, Retry(reason, after) for a passing
      fault; any other exception is a defect, recorded and answered like a Refuse;
    - may be cancelled at each await, and leaves nothing running.

    asks: it may ask a model. One that never does is run without any, on nodes without backends too.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    Input: ClassVar[type[BaseModel] | type[bytes]]
    Output: ClassVar[type[BaseModel] | type[str] | type[bytes]]
    Config: ClassVar[type[AgentConfig]] = AgentConfig
    mode: ClassVar[Mode]
    asks: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Check the name and the version (major.minor.patch) where they are written."""
        super().__init_subclass__(**kwargs)
        if "name" in cls.__dict__ and not _NAME.fullmatch(cls.name):
            raise ValueError(f"an agent's name is {_NAME.pattern}, not {cls.name!r}")
        if "version" in cls.__dict__ and not _VERSION.fullmatch(cls.version):
            raise ValueError(f"an agent's version is major.minor.patch, not {cls.version!r}")

    def __init__(self, config: AgentConfig | None = None) -> None:
        self.config = self.Config() if config is None else config
        self.manifest = Manifest(
            name=self.name,
            version=self.version,
            mode=self.mode,
            config=self.config,
            input_schema=schema_of(self.Input),
            output_schema=schema_of(self.Output),
        )

    @abc.abstractmethod
    async def run(self, ctx: Context, value: Any, /) -> Any:
        """Turn an `Input` into an `Output`."""

    def decode(self, payload: bytes) -> Any:
        """Read a payload as `Input`: strict, bounded, hostile. Raises Refuse, nothing else."""
        return decode_payload(self.Input, payload)

    def numeric(self, value: Any, /) -> bool:
        """Say whether the output to a payload is what a numeric rule of the mode compares.

        For agents whose Output is bytes, and not always int256 words: what is not numeric must be
        identical (`vagus.agents.modes.fields`). A pure function of the payload.
        """
        return True

    def sealed(self, value: Any, /) -> Sequence[tuple[bytes, str]]:
        """Return the sealed secrets of a payload, each with the one HTTPS host that it is for.

        The node opens them before the run, which has them by `Context.secret`. Raises Refuse, nothing else.
        """
        return ()

    def encode(self, output: Any) -> bytes:
        """Return an `Output` as the bytes that are signed: UTF-8, RFC 8785 JSON, or as they are.

        Raises Refuse over 8,192 bytes: a cut answer is another answer, so none is cut.
        """
        return encode_output(self.Output, output)
