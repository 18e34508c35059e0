"""What an operator serves, and what a requester's terms allow: each no is a Refuse in words.

A policy is the operator's own: members of a committee need not share it, and each votes by its own.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from vagus.agents.content import ContentRule, texts_of
from vagus.agents.context import Route
from vagus.agents.manifest import Digest, Manifest
from vagus.compute import Label, Price, PriceConfig
from vagus.compute.routing import Rule, sift
from vagus.protocol import ZERO32, Intent, Refuse, Retry, Terms, agent_id

__all__ = ["CONFIDENTIAL", "Limits", "Policy", "admit", "routes_for", "rules_of", "screen"]

CONFIDENTIAL = "confidential"
"""The terms' `privacy`: to backends alone whose attestation verifies. A sealed payload is so always."""


class Limits(BaseModel):
    """What one agent, or each, may be asked and may use; an empty list allows all.

    min_fee: the smallest maxFee worth looking at, in the smallest unit of the origin's coin.
    regions, networks: of the backends that may be used. models: digests of their models. max_price:
    what tokens may cost there. before: rules about questions. after: rules about answers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_fee: Annotated[int, Field(ge=0, lt=1 << 256)] = 0
    regions: tuple[Label, ...] = ()
    networks: tuple[Label, ...] = ()
    models: tuple[Digest, ...] = ()
    max_price: PriceConfig | None = None
    before: Annotated[tuple[ContentRule, ...], Field(max_length=64)] = ()
    after: Annotated[tuple[ContentRule, ...], Field(max_length=64)] = ()

    @field_validator("min_fee", mode="before")
    @classmethod
    def _is_an_amount(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("write an amount, in the smallest unit of the origin's coin")  # noqa: TRY004 - pydantic reports ValueError only
        return value

    @property
    def rules(self) -> tuple[ContentRule, ...]:
        """All rules about content."""
        return (*self.before, *self.after)

    @model_validator(mode="after")
    def _rules_are_apart(self) -> Self:
        names = [rule.name for rule in self.rules]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"there are two rules {twice[0]!r}: a refusal names its rule")
        if wrong := [rule.name for rule in self.after if rule.networks]:
            raise ValueError(f"rule {wrong[0]!r} is about answers, which go to no network")
        return self


def _agent(name: str) -> str:
    agent_id(name)
    return name


AgentId = Annotated[str, AfterValidator(_agent)]


class Policy(Limits):
    """An operator's rules. agents: `name@major`, those that are served; per_agent: more for one."""

    agents: tuple[AgentId, ...] = ()
    per_agent: dict[AgentId, Limits] = {}

    def limits(self, name: str) -> Iterator[tuple[str, Limits]]:
        """Yield what holds for an agent, each with whose it is in words."""
        yield "this operator's", self
        if name in self.per_agent:
            yield f"this operator's {name}", self.per_agent[name]

    def most(self, name: str) -> Price | None:
        """Return what tokens may cost for an agent; None where nothing is said."""
        said = [each.max_price for _, each in self.limits(name) if each.max_price is not None]
        if not said:
            return None
        return Price(min(each.input for each in said), min(each.output for each in said))


def admit(
    policy: Policy, manifest: Manifest, intent: Intent, terms: Terms, payload: bytes = b""
) -> None:
    """Refuse an intent that this operator or this agent serves on no backend."""
    name = manifest.agent_id
    if manifest.id != intent.agent_id:
        raise Refuse(f"the intent asks for another agent than {name}")
    if policy.agents and name not in policy.agents:
        raise Refuse(f"{name} is not among this operator's agents")
    if intent.fee_asset != ZERO32:
        raise Refuse("fees are taken in the native coin only")
    for whose, limits in policy.limits(name):
        if intent.max_fee < limits.min_fee:
            raise Refuse(f"maxFee {intent.max_fee} is under {whose} min_fee of {limits.min_fee}")
    if terms.verification is not None and terms.verification != manifest.mode.name:
        raise Refuse(
            f"the terms ask for {terms.verification}, {name} is verified by {manifest.mode.name}"
        )
    if terms.privacy not in (None, CONFIDENTIAL):
        raise Refuse(
            f"the terms ask for privacy {terms.privacy!r}, and {CONFIDENTIAL!r} alone is offered here"
        )
    for whose, rule in _matching(policy, name, payload):
        if not rule.networks:
            raise Refuse(f"{whose} rule {rule.name!r} refuses the question")


def screen(policy: Policy, manifest: Manifest, output: bytes) -> None:
    """Refuse an answer that a rule of this operator's is against."""
    texts = texts_of(output)
    for whose, limits in policy.limits(manifest.agent_id):
        for rule in limits.after:
            if rule.matches(texts):
                raise Refuse(f"{whose} rule {rule.name!r} refuses the answer")


def rules_of(
    policy: Policy,
    manifest: Manifest | None,
    pinned: bytes,
    terms: Terms,
    *,
    unpriced: bool = False,
) -> tuple[Rule[Route], ...]:
    """Return what a route must hold to, each rule in words.

    manifest: the agent's, None for any. pinned: a model's digest, zero for any.
    unpriced: a price that is not known for now is within a maximum.
    """
    agent = () if manifest is None else _agent_rules(manifest)
    name = "" if manifest is None else manifest.agent_id
    own = (
        rule
        for whose, limits in policy.limits(name)
        for rule in _limit_rules(whose, limits, unpriced)
    )
    return (
        Rule("the pinned model 0x" + pinned.hex(), lambda r: pinned in (ZERO32, r.model.digest)),
        *agent,
        *own,
        Rule("the terms' regions", lambda r: _allows(terms.regions, r.backend.region)),
        Rule("the terms' networks", lambda r: _allows(terms.networks, r.backend.network)),
        Rule(
            f"the terms' quantization {terms.quantization}",
            lambda r: terms.quantization in (None, r.model.quantization),
        ),
        Rule(
            f"the privacy {terms.privacy}: it goes to backends alone that prove what they run first",
            lambda r: terms.privacy is None or r.backend.attests,
        ),
    )


def _agent_rules(manifest: Manifest) -> tuple[Rule[Route], ...]:
    models, engines = manifest.models, manifest.config.engines
    return (
        Rule(
            f"the models of {manifest.agent_id}",
            lambda r: _allows(models, "0x" + r.model.digest.hex()),
        ),
        Rule(f"the engines of {manifest.agent_id}", lambda r: _allows(engines, r.backend.engine)),
    )


def _limit_rules(whose: str, limits: Limits, unpriced: bool) -> tuple[Rule[Route], ...]:
    return (
        Rule(f"{whose} regions", lambda r: _allows(limits.regions, r.backend.region)),
        Rule(f"{whose} networks", lambda r: _allows(limits.networks, r.backend.network)),
        Rule(f"{whose} models", lambda r: _allows(limits.models, "0x" + r.model.digest.hex())),
        Rule(f"{whose} maximum price", lambda r: _within(limits.max_price, r, unpriced)),
    )


def _within(limit: PriceConfig | None, route: Route, unpriced: bool) -> bool:
    """Whether a route's tokens cost no more than a limit; `unpriced` where it is not known for now."""
    if limit is None:
        return True
    try:
        price = route.backend.price(route.model)
    except Retry:
        return unpriced
    except Refuse:
        return False
    return price.input <= limit.input and price.output <= limit.output


def routes_for(
    policy: Policy,
    manifest: Manifest,
    intent: Intent,
    terms: Terms,
    routes: Sequence[Route],
    payload: bytes = b"",
) -> tuple[Route, ...]:
    """Return the routes that policy, manifest and terms allow, in the given order.

    Raises Refuse, naming the rule that left none; Retry where that is a maximum price, and what a
    backend costs is not known for now.
    """
    if not routes:
        raise Refuse("no backend serves a model here")
    found = _matching(policy, manifest.agent_id, payload)
    staying = [_staying(whose, rule) for whose, rule in found if rule.networks]
    rules = (*rules_of(policy, manifest, intent.model_digest, terms), *staying)
    sifted = sift(routes, rules)
    if (rule := sifted.last(rules)) is not None:
        lenient = rules_of(policy, manifest, intent.model_digest, terms, unpriced=True)
        for route in sift(routes, (*lenient, *staying)).kept[:1]:
            raise Retry(
                f"what {route.backend.name} costs is not known now, and {rule.words} is set"
            )
        raise Refuse(f"no backend is left by {rule.words}")
    return sifted.kept


def _allows(listed: Sequence[str], value: str) -> bool:
    return not listed or value in listed


def _matching(policy: Policy, name: str, payload: bytes) -> Iterator[tuple[str, ContentRule]]:
    """Yield the rules about questions that a payload matches, each with whose it is."""
    texts = texts_of(payload)
    for whose, limits in policy.limits(name):
        for rule in limits.before:
            if rule.matches(texts):
                yield whose, rule


def _staying(whose: str, rule: ContentRule) -> Rule[Route]:
    """Return the rule that what matched goes to a rule's networks alone."""
    return Rule(f"{whose} rule {rule.name!r}", lambda r: r.backend.network in rule.networks)
