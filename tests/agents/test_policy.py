"""What an operator, an agent and a requester's terms allow: each no has its reason."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from vagus.agents import AgentConfig, FeeConfig, Policy, Route, admit, routes_for
from vagus.agents.builtin.chat import Chat, ChatConfig
from vagus.compute import Model
from vagus.compute.backends.openai import OpenAIBackend, OpenAIConfig
from vagus.protocol import Intent, Refuse, Terms, agent_digest, agent_id

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
        (Policy(agents=("other@1",)), {}, Terms(), "does not serve chat@1"),
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
