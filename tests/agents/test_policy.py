"""What an operator, an agent and a requester's terms allow: each no has its reason."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from support.fleet import Scripted
from vagus.agents import AgentConfig, FeeConfig, Policy, Route, admit, routes_for, screen
from vagus.agents.builtin.chat import Chat, ChatConfig
from vagus.compute import Model, PriceConfig
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.protocol import Intent, Refuse, Retry, Terms, agent_digest, agent_id

ZERO = bytes(32)
INTENT = Intent(
    origin_hub=ZERO, seq=1, requester=ZERO, agent_id=agent_id("chat@1"), payload_hash=ZERO,
    model_digest=ZERO, terms_hash=ZERO, min_signers=1, dest_hub=ZERO, callback=ZERO,
    callback_gas=0, fee_asset=ZERO, max_fee=1000, deadline=2000,
)  # fmt: skip
SMALL, LARGE = Model("small", None, "Q4_1", "ab" * 32), Model("large")
CHAT = Chat()


def route(name: str, model: Model, region: str = "eu-de", network: str = "akash") -> Route:
    config = OpenAIConfig(
        name=name, base_url="http://127.0.0.1:1", region=region, network=network, engine="vllm 1"
    )
    return Route(OpenAIBackend(config), model)


ROUTES = (
    route("a", SMALL),
    route("b", LARGE, region="us-tx"),
    route("c", LARGE, network="ionet"),
)


@pytest.mark.parametrize(
    ("policy", "changes", "terms", "why"),
    [
        (Policy(agents=("other@1",)), {}, Terms(), "chat@1 is not among this operator's agents"),
        (Policy(min_fee=1001), {}, Terms(), "maxFee 1000 is under"),
        (Policy(), {"agent_id": agent_id("chat@2")}, Terms(), "another agent"),
        (Policy(), {"fee_asset": b"\x01" * 32}, Terms(), "native coin"),
        (Policy(), {}, Terms(verification="semantic"), "ask for semantic"),
        (Policy(), {}, Terms(privacy="tee"), "privacy"),
    ],
)
def test_what_is_not_served_is_refused(
    policy: Policy, changes: dict[str, object], terms: Terms, why: str
) -> None:
    with pytest.raises(Refuse, match=why):
        admit(policy, CHAT.manifest, replace(INTENT, **changes), terms)  # type: ignore[arg-type]


def test_what_is_served_passes() -> None:
    policy = Policy(agents=("chat@1",), min_fee=1000)
    admit(policy, CHAT.manifest, INTENT, Terms(verification="exact"))


@pytest.mark.parametrize(
    ("policy", "config", "pinned", "terms", "left"),
    [
        (Policy(), {}, ZERO, Terms(), "abc"),
        (Policy(), {}, LARGE.digest, Terms(), "bc"),
        (Policy(), {"models": ["0x" + SMALL.digest.hex()]}, ZERO, Terms(), "a"),
        (Policy(), {"engines": ["vllm 1"]}, ZERO, Terms(), "abc"),
        (Policy(regions=("us-tx",)), {}, ZERO, Terms(), "b"),
        (Policy(networks=("akash",)), {}, ZERO, Terms(), "ab"),
        (Policy(), {}, ZERO, Terms(regions=("us-tx", "fr")), "b"),
        (Policy(), {}, ZERO, Terms(networks=("ionet",)), "c"),
        (Policy(), {}, ZERO, Terms(quantization="Q4_1"), "a"),
    ],
)
def test_routes_are_those_that_every_rule_allows(
    policy: Policy, config: dict[str, object], pinned: bytes, terms: Terms, left: str
) -> None:
    manifest = Chat(ChatConfig.model_validate(config)).manifest
    found = routes_for(policy, manifest, replace(INTENT, model_digest=pinned), terms, ROUTES)
    assert "".join(route.backend.name for route in found) == left


@pytest.mark.parametrize(
    ("policy", "config", "pinned", "terms", "why"),
    [
        (Policy(), {}, b"\x01" * 32, Terms(), "pinned model 0x0101"),
        (Policy(), {"models": ["0x" + "00" * 32]}, ZERO, Terms(), "models of chat@1"),
        (Policy(), {"engines": ["other"]}, ZERO, Terms(), "engines of chat@1"),
        (Policy(regions=("fr",)), {}, ZERO, Terms(), "operator's regions"),
        (Policy(networks=("x",)), {}, ZERO, Terms(), "operator's networks"),
        (Policy(), {}, ZERO, Terms(regions=("Mars",)), "terms' regions"),
        (Policy(), {}, ZERO, Terms(networks=("x",)), "terms' networks"),
        (Policy(), {}, ZERO, Terms(quantization="FP64"), "quantization FP64"),
        (Policy(), {}, SMALL.digest, Terms(networks=("ionet",)), "terms' networks"),
    ],
)
def test_the_rule_that_leaves_no_route_is_named(
    policy: Policy, config: dict[str, object], pinned: bytes, terms: Terms, why: str
) -> None:
    manifest = Chat(ChatConfig.model_validate(config)).manifest
    with pytest.raises(Refuse, match=why):
        routes_for(policy, manifest, replace(INTENT, model_digest=pinned), terms, ROUTES)


def test_no_backend_at_all_is_a_reason_too() -> None:
    with pytest.raises(Refuse, match="no backend serves"):
        routes_for(Policy(), CHAT.manifest, INTENT, Terms(), ())


# Manifests


def test_a_manifest_digest_covers_version_and_config() -> None:
    assert CHAT.manifest.digest == agent_digest(
        "chat",
        "1.0.0",
        {
            "engines": [],
            "fee": {"base": "0", "markup_bps": 10000},
            "margin": 20,
            "max_tokens": 128,
            "models": [],
        },
    )
    other = Chat(ChatConfig(fee=FeeConfig(base=1 << 200)))
    assert other.manifest.digest != CHAT.manifest.digest
    assert other.manifest.fee.base == 1 << 200
    assert other.manifest.id == CHAT.manifest.id == agent_id("chat@1")


def test_a_manifest_shows_what_goes_in_and_out() -> None:
    shown = CHAT.manifest.model_dump(mode="json")
    assert shown["input_schema"]["required"] == ["prompt"]
    assert shown["input_schema"]["additionalProperties"] is False
    assert shown["output_schema"] == {"type": "string"}
    assert shown["config"]["max_tokens"] == 128


@pytest.mark.parametrize(
    "config",
    [
        {"unknown": 1},
        {"margin": 0},
        {"models": ["abc"]},
        {"models": ["0x" + "AB" * 32]},
        {"fee": {"base": -1}},
        {"fee": {"base": 1 << 256}},
    ],
)
def test_a_wrong_agent_config_is_an_error(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AgentConfig.model_validate(config)


@pytest.mark.parametrize(
    ("name", "version"), [("Chat", "1.0.0"), ("a@1", "1.0.0"), ("a", "1.0"), ("a", "01.0.0")]
)
def test_a_name_or_version_that_is_none_is_an_error_where_it_is_written(
    name: str, version: str
) -> None:
    with pytest.raises(ValueError, match="agent's"):
        type("Bad", (Chat,), {"name": name, "version": version})


CARD = b'{"prompt":"Charge 4242 4242 4242 4242."}'
NO_CARDS = {"name": "no cards", "data": ["card"]}


def policy_of(**rules: object) -> Policy:
    return Policy.model_validate(rules)


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (policy_of(before=[NO_CARDS]), "^this operator's rule 'no cards' refuses the question$"),
        (
            policy_of(per_agent={"chat@1": {"before": [NO_CARDS]}}),
            "^this operator's chat@1 rule 'no cards' refuses the question$",
        ),
        (
            policy_of(per_agent={"chat@1": {"min_fee": 1001}}),
            "maxFee 1000 is under .* chat@1 min_fee of 1001",
        ),
    ],
)
def test_a_question_that_a_rule_is_against_is_refused_by_the_rules_name(
    policy: Policy, why: str
) -> None:
    with pytest.raises(Refuse, match=why):
        admit(policy, CHAT.manifest, INTENT, Terms(), CARD)


def test_a_rule_about_another_agent_or_another_text_lets_a_question_pass() -> None:
    policy = policy_of(before=[NO_CARDS], per_agent={"number@1": {"before": [NO_CARDS]}})
    admit(policy, CHAT.manifest, INTENT, Terms(), b'{"prompt":"Charge 42."}')
    admit(
        policy_of(per_agent={"number@1": {"before": [NO_CARDS]}}),
        *(CHAT.manifest, INTENT, Terms(), CARD),
    )


def test_an_answer_that_a_rule_is_against_is_refused_by_the_rules_name() -> None:
    policy = policy_of(
        after=[{"name": "no cards", "data": ["card"]}],
        per_agent={"chat@1": {"after": [{"name": "short", "longer": 40}]}},
    )
    screen(policy, CHAT.manifest, b"Paris")
    with pytest.raises(Refuse, match=r"^this operator's rule 'no cards' refuses the answer$"):
        screen(policy, CHAT.manifest, b"4242424242424242")
    with pytest.raises(Refuse, match=r"^this operator's chat@1 rule 'short' refuses the answer$"):
        screen(policy, CHAT.manifest, b"x" * 41)


def test_what_matches_a_rule_with_networks_goes_there_and_nowhere_else() -> None:
    stay = {**NO_CARDS, "networks": ["ionet"]}
    policy = policy_of(before=[stay])
    admit(policy, CHAT.manifest, INTENT, Terms(), CARD)
    found = routes_for(policy, CHAT.manifest, INTENT, Terms(), ROUTES, CARD)
    assert found == (ROUTES[2],)
    assert routes_for(policy, CHAT.manifest, INTENT, Terms(), ROUTES, b'{"prompt":"Hi"}') == ROUTES
    with pytest.raises(Refuse, match="no backend is left by this operator's rule 'no cards'"):
        routes_for(policy, CHAT.manifest, INTENT, Terms(), ROUTES[:2], CARD)


def priced(name: str, cost: str) -> Route:
    config = OpenAIConfig(
        name=name,
        base_url="http://127.0.0.1:1",
        models=(ModelConfig(name="large"),),
        price=PriceConfig(input=Decimal(cost), output=Decimal(cost)),
    )
    return Route(OpenAIBackend(config), LARGE)


def unpriced() -> Route:
    backend = Scripted("unpriced")
    backend.unit = Retry("no rate of the dollar")
    return Route(backend, LARGE)


@pytest.mark.parametrize("where", ["of all", "of one"])
def test_models_and_prices_are_limited_for_all_agents_or_for_one(where: str) -> None:
    def limited(**limits: object) -> Policy:
        return policy_of(**limits if where == "of all" else {"per_agent": {"chat@1": limits}})

    dear, cheap = priced("dear", "501"), priced("cheap", "500")
    limit = limited(max_price={"input": "500", "output": "500"})
    assert routes_for(limit, CHAT.manifest, INTENT, Terms(), (dear, cheap)) == (cheap,)
    with pytest.raises(Refuse, match=r"no backend is left by this operator's .*maximum price"):
        routes_for(limit, CHAT.manifest, INTENT, Terms(), (dear,))
    with pytest.raises(Retry, match="what unpriced costs is not known now"):
        routes_for(limit, CHAT.manifest, INTENT, Terms(), (dear, unpriced()))
    elsewhere = Terms(networks=("elsewhere",))
    with pytest.raises(Refuse, match="no backend is left"):
        routes_for(limit, CHAT.manifest, INTENT, elsewhere, (unpriced(),))
    own = limited(models=["0x" + SMALL.digest.hex()])
    assert routes_for(own, CHAT.manifest, INTENT, Terms(), ROUTES) == (ROUTES[0],)
    with pytest.raises(Refuse, match=r"no backend is left by this operator's .*models"):
        routes_for(own, CHAT.manifest, INTENT, Terms(), ROUTES[1:])


def test_a_backend_whose_price_is_not_known_is_over_every_limit() -> None:
    unknown = Route(priced("a", "1").backend, SMALL)
    limit = policy_of(max_price={"input": "500", "output": "500"})
    with pytest.raises(Refuse, match="maximum price"):
        routes_for(limit, CHAT.manifest, INTENT, Terms(), (unknown,))
    assert routes_for(Policy(), CHAT.manifest, INTENT, Terms(), (unknown,)) == (unknown,)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ({"agents": ["chat"]}, "agents"),
        ({"per_agent": {"chat": {}}}, "per_agent"),
        ({"per_agent": {"chat@1": {"agents": []}}}, "agents"),
        ({"models": ["large"]}, "model digest"),
        ({"max_price": {"input": 0.5}}, "price"),
        ({"before": [NO_CARDS], "after": [NO_CARDS]}, "two rules 'no cards'"),
        ({"after": [{**NO_CARDS, "networks": ["a"]}]}, "which go to no network"),
        ({"before": [{"name": "empty"}]}, "no condition"),
        ({"rules": []}, "rules"),
    ],
)
def test_a_policy_that_is_misspelt_is_none(written: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Policy.model_validate(written)


SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "policy.schema.json").read_text())


def test_the_published_schema_is_that_of_the_code_and_judges_alike() -> None:
    assert Policy.model_json_schema() == SCHEMA
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    known = jsonschema.Draft202012Validator(SCHEMA)
    good: list[dict[str, object]] = [
        {},
        {"agents": ["chat@1"], "min_fee": 5, "regions": ["eu"], "networks": ["akash"]},
        {"max_price": {"input": "0.5", "output": "1.5"}, "models": ["0x" + "ab" * 32]},
        {"per_agent": {"page@1": {"before": [NO_CARDS], "after": [{"name": "x", "longer": 9}]}}},
    ]
    bad: list[dict[str, object]] = [
        {"agent": []},
        {"min_fee": -1},
        {"regions": "eu"},
        {"before": [{"data": ["card"]}]},
        {"before": [{"name": "x", "data": ["dna"]}]},
        {"after": [{"name": "x", "longer": 0}]},
        {"per_agent": {"chat@1": {"agents": []}}},
    ]
    for each in good:
        assert known.is_valid(each), each
        Policy.model_validate(each)
    for each in bad:
        assert not known.is_valid(each), each
        with pytest.raises(ValidationError):
            Policy.model_validate(each)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"before": [{"name": "n", "words": ["   "]}]}, "a word without letters"),
        ({"after": [{"name": "n", "words": ["ok", "\u200b"]}]}, "a word without letters"),
        ({"min_fee": True}, "write an amount"),
    ],
)
def test_what_can_match_nothing_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Policy.model_validate(wrong)
