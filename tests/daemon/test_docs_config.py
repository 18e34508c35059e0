"""docs/config.md names every key of the config, with its default and its variable, and no other."""

import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter

from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.signers import KeyConfig, KmsKey, Pkcs11Key
from vagus.agents import AgentConfig, Policy
from vagus.agents.builtin.chat import ChatConfig
from vagus.agents.builtin.extract import ExtractConfig
from vagus.agents.builtin.fetch import FetchConfig
from vagus.agents.builtin.page import PageConfig
from vagus.agents.content import ContentRule
from vagus.agents.http import HttpPolicy
from vagus.agents.manifest import FeeConfig
from vagus.compute import BackendConfig, PriceConfig
from vagus.compute.backends.akashml import AkashMLConfig
from vagus.compute.backends.confidential_config import ConfidentialConfig
from vagus.compute.backends.http import HttpConfig as HttpBackendConfig
from vagus.compute.backends.ionet import IonetConfig
from vagus.compute.backends.local import LocalConfig
from vagus.compute.backends.openai import ModelConfig, OpenAIConfig
from vagus.compute.edge.config import EdgeConfig, MaxPrice
from vagus.compute.mqtt import MqttConfig
from vagus.compute.rates import MoneyConfig, SourceConfig
from vagus.compute.routing.canary import CanaryConfig
from vagus.daemon.committee.transport import BrokerConfig, PeerConfig, PeersConfig
from vagus.daemon.config import (
    HttpConfig,
    LogConfig,
    Settings,
    SignerConfig,
    TransportKeyConfig,
    load,
)
from vagus.daemon.roster import Member, Roster

PAGE = (Path(__file__).parents[2] / "docs" / "config.md").read_text()


def own(model: type[BaseModel]) -> list[str]:
    """What a model adds to the one it extends, or has another default for; `kind` picks it."""
    return [key for key in model.__annotations__ if key in model.model_fields and key != "kind"]


# Each heading of the page: the model behind it, and which of the model's keys stand there.
SECTIONS: dict[str, tuple[type[BaseModel], list[str]]] = {
    "Top level": (Settings, ["profile", "data", "roster_file", "policy_file"]),
    "`[http]`": (HttpConfig, list(HttpConfig.model_fields)),
    "`[log]`": (LogConfig, list(LogConfig.model_fields)),
    "`[signer]`": (SignerConfig, list(SignerConfig.model_fields)),
    "`pkcs11`": (Pkcs11Key, list(Pkcs11Key.model_fields)),
    "`kms`": (KmsKey, list(KmsKey.model_fields)),
    "`[transport_key]`": (TransportKeyConfig, list(TransportKeyConfig.model_fields)),
    "`[[transports]]`": (BrokerConfig, [*MqttConfig.model_fields]),
    '`kind = "http"`': (PeersConfig, own(PeersConfig)),
    "`peers`": (PeerConfig, list(PeerConfig.model_fields)),
    "`[committee]`": (Roster, list(Roster.model_fields)),
    "`[[committee.members]]`": (Member, list(Member.model_fields)),
    "`[policy]`": (Policy, list(Policy.model_fields)),
    "`before`, `after`": (ContentRule, list(ContentRule.model_fields)),
    "`[[chains]]`": (EvmConfig, [*own(EvmConfig), *KeyConfig.model_fields]),
    "`[[backends]]`": (BackendConfig, list(BackendConfig.model_fields)),
    "`price`": (PriceConfig, list(PriceConfig.model_fields)),
    '`kind = "local"`': (LocalConfig, own(LocalConfig)),
    "Over HTTP": (HttpBackendConfig, own(HttpBackendConfig)),
    '`kind = "openai"`': (OpenAIConfig, own(OpenAIConfig)),
    "`models`": (ModelConfig, list(ModelConfig.model_fields)),
    '`kind = "akashml"`': (AkashMLConfig, own(AkashMLConfig)),
    '`kind = "ionet"`': (IonetConfig, own(IonetConfig)),
    '`kind = "ionet-confidential"`': (ConfidentialConfig, own(ConfidentialConfig)),
    '`kind = "edge"`': (EdgeConfig, [*MqttConfig.model_fields, *own(EdgeConfig)]),
    "`max_price`": (MaxPrice, list(MaxPrice.model_fields)),
    "`[money]`": (MoneyConfig, list(MoneyConfig.model_fields)),
    "`sources`": (SourceConfig, list(SourceConfig.model_fields)),
    "`[canaries]`": (CanaryConfig, list(CanaryConfig.model_fields)),
    '`[agents."name@major"]`': (AgentConfig, list(AgentConfig.model_fields)),
    "`fee`": (FeeConfig, list(FeeConfig.model_fields)),
    "`chat@1`": (ChatConfig, own(ChatConfig)),
    "`extract@1`": (ExtractConfig, own(ExtractConfig)),
    "`fetch@1`": (FetchConfig, own(FetchConfig)),
    "`page@1`": (PageConfig, own(PageConfig)),
    "`http`": (HttpPolicy, list(HttpPolicy.model_fields)),
}
# Tables of the top level that the environment reaches key by key.
REACHED = {
    "Top level",
    "`[http]`",
    "`[log]`",
    "`[signer]`",
    "`[transport_key]`",
    "`[committee]`",
    "`[policy]`",
}


def documented() -> dict[str, list[list[str]]]:
    """Return the rows below each heading, as cells; a table's head is no row."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in PAGE.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found.setdefault(heading, []).append(cells)
    return found


ROWS = documented()


def test_every_part_of_the_config_has_its_section_and_no_section_is_left_over() -> None:
    assert list(ROWS) == list(SECTIONS)
    headings = {re.split(r"[.\"]", heading.strip("`[]"))[0] for heading in SECTIONS}
    assert set(Settings.model_fields) - headings == {
        "profile",
        "data",
        "roster_file",
        "policy_file",
    }


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_names_each_key_once_in_the_models_order(section: str) -> None:
    _, keys = SECTIONS[section]
    assert [row[0].strip("`") for row in ROWS[section]] == keys


@pytest.mark.parametrize("section", SECTIONS)
def test_each_default_is_the_models(section: str) -> None:
    model, _ = SECTIONS[section]
    for key, default, *_ in ROWS[section]:
        field = model.model_fields[key.strip("`")]
        if field.is_required():
            assert default == "*required*", key
        elif field.default is None:
            assert default == "*none*", key
        else:
            kind: Any = Annotated[(field.annotation, *field.metadata, "as in TOML")]
            written = tomllib.loads(f"value = {default.strip('`')}")["value"]
            assert TypeAdapter(kind).validate_python(written) == field.default, key


@pytest.mark.parametrize("section", SECTIONS)
def test_each_row_says_what_the_key_means(section: str) -> None:
    width = 4 if section in REACHED else 3
    for row in ROWS[section]:
        assert len(row) == width
        assert row[-1]


@pytest.mark.parametrize("section", sorted(REACHED))
def test_each_variable_has_the_name_that_reaches_its_key(section: str) -> None:
    outer = "" if section == "Top level" else section.strip("`[]").upper() + "__"
    for key, _, variable, _ in ROWS[section]:
        assert variable == f"`VAGUS_{outer}{key.strip('`').upper()}`"


FILE = """
data = "here"
[http]
port = 1
[signer]
keystore = "keys/signer.json"
password_file = "keys/password"
[committee]
members = [{ signer = "0x1111111111111111111111111111111111111111" }]
[[chains]]
id = "eip155:1"
[agents."chat@1"]
margin = 30
max_tokens = 64
"""


def test_the_environment_goes_over_the_file_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vagus.toml"
    path.write_text(FILE)
    monkeypatch.setenv("VAGUS_DATA", "there")
    monkeypatch.setenv("VAGUS_HTTP__PORT", "2")
    monkeypatch.setenv("VAGUS_SIGNER__KEYSTORE", "other.json")
    monkeypatch.setenv("VAGUS_COMMITTEE__GAS_ALLOWANCE", json.dumps({"eip155:1": "3"}))
    monkeypatch.setenv("VAGUS_POLICY__AGENTS", json.dumps(["chat@1"]))
    monkeypatch.setenv("VAGUS_CHAINS", json.dumps([{"id": "eip155:2"}, {"id": "eip155:3"}]))
    monkeypatch.setenv("VAGUS_AGENTS", json.dumps({"chat@1": {"max_tokens": 8}}))
    settings = load(path)
    assert settings.data == tmp_path / "there"
    assert settings.http.port == 2
    assert settings.signer.keystore == tmp_path / "other.json"
    assert settings.signer.password_file == tmp_path / "keys" / "password"
    assert settings.committee.gas_allowance == {"eip155:1": 3}
    assert settings.policy.agents == ("chat@1",)
    assert [chain["id"] for chain in settings.chains] == ["eip155:2", "eip155:3"]
    assert settings.agents == {"chat@1": {"margin": 30, "max_tokens": 8}}
