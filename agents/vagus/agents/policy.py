"""What an operator serves, and what a requester's terms allow: each no is a Refuse in words."""

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from vagus.agents.context import Route
from vagus.agents.manifest import Manifest
from vagus.compute import Label
from vagus.protocol import ZERO32, Intent, Refuse, Terms

__all__ = ["Policy", "admit", "routes_for"]


class Policy(BaseModel):
    """An operator's rules; an empty list allows all.

    agents: `name@major`. min_fee: the smallest maxFee worth looking at, in the smallest unit of
    the origin's coin. regions, networks: of the backends that may be used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    agents: tuple[str, ...] = ()
    min_fee: Annotated[int, Field(ge=0, lt=1 << 256)] = 0
    regions: tuple[Label, ...] = ()
    networks: tuple[Label, ...] = ()


def admit(policy: Policy, manifest: Manifest, intent: Intent, terms: Terms) -> None:
    """Refuse an intent that this operator or this agent serves on no backend."""
    name = manifest.agent_id
    if manifest.id != intent.agent_id:
        raise Refuse(f"the intent asks for another agent than {name}")
    if policy.agents and name not in policy.agents:
        raise Refuse(f"this operator does not serve {name}")
    if intent.fee_asset != ZERO32:
        raise Refuse("fees are taken in the native coin only")
    if intent.max_fee < policy.min_fee:
        raise Refuse(f"maxFee {intent.max_fee} is under this operator's {policy.min_fee}")
    if terms.verification is not None and terms.verification != manifest.mode.name:
        raise Refuse(
            f"the terms ask for {terms.verification}, {name} is verified by {manifest.mode.name}"
        )
    if terms.privacy is not None:
        raise Refuse(f"the terms ask for privacy {terms.privacy!r}, which nobody here offers")


def routes_for(
    policy: Policy, manifest: Manifest, intent: Intent, terms: Terms, routes: Sequence[Route]
) -> tuple[Route, ...]:
    """Return the routes that policy, manifest and terms allow, in the given order.

    Raises Refuse, naming the rule that left none.
    """
    pinned = intent.model_digest
    rules: tuple[tuple[str, Callable[[Route], bool]], ...] = (
        ("the pinned model 0x" + pinned.hex(), lambda r: pinned in (ZERO32, r.model.digest)),
        (
            f"the models of {manifest.agent_id}",
            lambda r: _allows(manifest.models, "0x" + r.model.digest.hex()),
        ),
        (
            f"the engines of {manifest.agent_id}",
            lambda r: _allows(manifest.config.engines, r.backend.engine),
        ),
        ("this operator's regions", lambda r: _allows(policy.regions, r.backend.region)),
        ("this operator's networks", lambda r: _allows(policy.networks, r.backend.network)),
        ("the terms' regions", lambda r: _allows(terms.regions, r.backend.region)),
        ("the terms' networks", lambda r: _allows(terms.networks, r.backend.network)),
        (
            f"the terms' quantization {terms.quantization}",
            lambda r: terms.quantization in (None, r.model.quantization),
        ),
    )
    left = tuple(routes)
    if not left:
        raise Refuse("no backend serves a model here")
    for rule, holds in rules:
        if not (left := tuple(route for route in left if holds(route))):
            raise Refuse(f"no backend is left by {rule}")
    return left


def _allows(listed: Sequence[str], value: str) -> bool:
    return not listed or value in listed
