"""Why a model's calls go where they go: what `vagus route explain` and /v1/route show."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vagus.agents.policy import rules_of
from vagus.compute.rates import Rates
from vagus.compute.routing import Router, Rule, sift
from vagus.compute.routing.explain import explain
from vagus.daemon.printable import printable
from vagus.daemon.routes import Routes
from vagus.protocol import ZERO32, Refuse, Retry, Terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vagus.agents import AgentRegistry, Policy, Route
    from vagus.compute import Backend, Model
    from vagus.compute.routing.explain import Explained
    from vagus.compute.routing.measure import Estimate
    from vagus.daemon.config import Settings

__all__ = ["Explainer", "Question", "explain_config", "read_question"]

_LABEL = re.compile("[a-z0-9][a-z0-9._-]{0,63}")
_AGENT = re.compile("[a-z][a-z0-9-]{0,31}@[0-9]{1,6}")
_MODEL = re.compile("[ -~]{1,256}")
_FORMS = {
    "model": "a name or a digest, as `vagus models` prints them",
    "agent": "name@major, as chat@1",
    "region": "it in lower case, as eu-de",
    "network": "it in lower case, as akash",
}


@dataclass(frozen=True, slots=True)
class Question:
    """For whom the choice is explained: None for any. model: a name, or a digest in 0x-prefixed hex."""

    model: str | None = None
    agent: str | None = None
    region: str | None = None
    network: str | None = None


def read_question(query: Mapping[str, str]) -> Question:
    """Read a question of an URL's query or of options. Raises Refuse, in words."""
    forms = {"model": _MODEL, "agent": _AGENT, "region": _LABEL, "network": _LABEL}
    for name, value in query.items():
        if name not in forms:
            raise Refuse(f"a choice is explained by {', '.join(forms)}, not by {name}")
        if not forms[name].fullmatch(value):
            raise Refuse(f"{name} {value[:80]!r} is none: write {_FORMS[name]}")
    return Question(**query)


class Explainer:
    """Explains with what the executor chooses by."""

    def __init__(
        self, agents: AgentRegistry, policy: Policy, routes: Routes, router: Router
    ) -> None:
        self._agents = agents
        self._policy = policy
        self._routes = routes
        self._router = router

    async def explain(self, question: Question) -> dict[str, Any]:
        """Return each model that is left with its candidates, the best first, and who fell out, why.

        Raises Refuse for an agent that is not served, Retry where no backend says what it serves.
        """
        rules = self._rules(question)
        sifted = sift(await self._routes.all(), rules)
        models: dict[Model, list[Route]] = {}
        for route in sifted.kept:
            models.setdefault(route.model, []).append(route)
        return {
            "models": [self._model(model, routes) for model, routes in models.items()],
            "out": [
                *(_out(each, "", f"who answers: {why}") for each, why in self._routes.silent()),
                *(_out(route.backend, route.model.name, rule.words) for route, rule in sifted.out),
            ],
        }

    def _rules(self, question: Question) -> list[Rule[Route]]:
        agent = None if question.agent is None else self._agents.get(question.agent)
        manifest = None if agent is None else agent.manifest
        terms = Terms(
            regions=() if question.region is None else (question.region,),
            networks=() if question.network is None else (question.network,),
        )
        rules = list(rules_of(self._policy, manifest, ZERO32, terms))
        if agent is not None and not agent.asks:
            rules.insert(0, Rule(f"{question.agent} asks no model", lambda _: False))
        if (asked := question.model) is not None:
            words = f"the model {asked}"
            rules.insert(0, Rule(words, lambda r: asked in (r.model.name, _hex(r.model))))
        return rules

    def _model(self, model: Model, routes: list[Route]) -> dict[str, Any]:
        found = explain(self._router, model, tuple(route.backend for route in routes))
        return {
            "model": printable(model.name),
            "digest": _hex(model),
            "quantization": model.quantization,
            "candidates": [_candidate(each) for each in found],
        }


async def explain_config(settings: Settings, question: Question) -> dict[str, Any]:
    """Explain without a node: the backends are asked what they serve, and nothing was measured.

    One that rents machines is not asked: only a running node takes a lease. Raises as `Explainer`,
    ConfigError, CredentialError and FetchError.
    """
    out: list[dict[str, Any]] = []
    entered: list[Backend] = []
    async with AsyncExitStack() as stack:
        rates = await stack.enter_async_context(Rates(settings.money))
        for backend in settings.backend_list():
            if backend.rents:
                out.append(_out(backend, "", "a running node: it rents machines"))
                continue
            backend.price_by(rates.money)
            try:
                entered.append(await stack.enter_async_context(backend))
            except (Retry, Refuse) as error:
                out.append(_out(backend, "", f"who can be opened: {error.reason}"))
        routes = Routes(entered)
        explainer = Explainer(settings.agent_registry(), settings.policy, routes, Router())
        found = await explainer.explain(question) if entered else {"models": [], "out": []}
    return {**found, "out": out + found["out"]}


def _out(backend: Backend, model: str, rule: str) -> dict[str, Any]:
    return {"backend": backend.name, "model": printable(model), "rule": printable(rule)}


def _candidate(each: Explained) -> dict[str, Any]:
    price = each.price
    return {
        "backend": each.backend.name,
        "network": each.backend.network,
        "region": each.backend.region,
        "engine": printable(each.backend.engine),
        "score": round(each.score, 4),
        "parts": {name: round(value, 4) for name, value in each.parts._asdict().items()},
        "price": None
        if price is None
        else {"input": format(price.input, "f"), "output": format(price.output, "f")},
        "seen": _seen(each.seen),
        "in_flight": each.in_flight,
        "slots": each.slots,
        "state": each.state,
        "why": printable(each.why),
    }


def _seen(seen: Estimate) -> dict[str, Any]:
    usual = seen.usual
    return {
        "calls": round(seen.weight, 1),
        "success": round(seen.success, 4) if seen.weight else None,
        "first_ms": None if seen.first is None else round(seen.first * 1000),
        "tokens_per_second": None if seen.rate is None else round(seen.rate, 1),
        "p50_ms": None if usual is None else round(usual.p50 * 1000),
        "p95_ms": None if usual is None else round(usual.p95 * 1000),
    }


def _hex(model: Model) -> str:
    return "0x" + model.digest.hex()
