"""What an agent promises: its manifest, and the part of it that a committee fixes."""

import re
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, SerializeAsAny

from vagus.protocol import FeeFormula, agent_digest, agent_id
from vagus.protocol import Mode as ModeName

__all__ = ["AgentConfig", "Digest", "FeeConfig", "Manifest", "Mode"]

_DIGEST = re.compile("0x[0-9a-f]{64}")


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise ValueError("a model digest is 0x and 64 lower-case hex digits, see `vagus models`")
    return text


Digest = Annotated[str, AfterValidator(_digest)]
# Amounts pass 2^53, which RFC 8785 numbers can't: as JSON they are decimal strings.
Amount = Annotated[int, Field(ge=0, lt=1 << 256), PlainSerializer(str, when_used="json")]


class Mode(BaseModel):
    """How the committee verifies an output, with the mode's own parameters.

    Parameters enter evidence and digests, so fractions are decimal strings, never floats.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ModeName
    parameters: dict[str, str | int | bool | tuple[str, ...]] = {}


class FeeConfig(BaseModel):
    """The parameters of the fee formula, in the smallest unit of the origin's coin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Amount = 0
    markup_bps: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000

    def formula(self) -> FeeFormula:
        """Return the formula as the protocol computes it."""
        return FeeFormula(base=self.base, markup_bps=self.markup_bps)


class AgentConfig(BaseModel):
    """What every agent's config has; an agent adds its own keys in a subclass.

    All of it enters the agent digest, so a committee shares it. models: digests the agent may use
    (none named: any). engines: likewise, as backends name theirs. margin: seconds before the
    deadline after which no run is started.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[Digest, ...] = ()
    engines: tuple[str, ...] = ()
    margin: Annotated[int, Field(ge=1, le=3600)] = 20
    fee: FeeConfig = FeeConfig()


class Manifest(BaseModel):
    """An agent as its operators publish it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    mode: Mode
    config: SerializeAsAny[AgentConfig]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]

    @property
    def agent_id(self) -> str:
        """`name@major`, what intents ask for."""
        return f"{self.name}@{self.version.split('.')[0]}"

    @cached_property
    def id(self) -> bytes:
        """The agentId in an intent, 32 bytes."""
        return agent_id(self.agent_id)

    @cached_property
    def digest(self) -> bytes:
        """The agentDigest in an attestation, 32 bytes: of name, version and config."""
        return agent_digest(self.name, self.version, self.config.model_dump(mode="json"))

    @property
    def models(self) -> tuple[str, ...]:
        """Digests of the models the agent may use; empty is any."""
        return self.config.models

    @property
    def margin(self) -> int:
        """Seconds before the deadline after which no run is started."""
        return self.config.margin

    @property
    def fee(self) -> FeeFormula:
        """The fee formula."""
        return self.config.fee.formula()
