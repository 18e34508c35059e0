"""A node with edge workers among its backends: which key it signs with, and what it is told."""

import json
from pathlib import Path

import pytest
from eth_account import Account

from vagus.compute.edge.backend import EdgeBackend
from vagus.daemon.choices import ChainChoice
from vagus.daemon.config import load
from vagus.daemon.doctor.config import look_at
from vagus.daemon.doctor.finding import Verdict
from vagus.daemon.folder import make_keys, write_config
from vagus.protocol import Refuse, address_of

CHAIN = "eip155:31337"
LOCAL = '[[backends]]\nkind = "local"\n'
EDGE = (
    '[[backends]]\nkind = "edge"\nname = "gpus"\nurl = "mqtts://broker"\nusername = "node"\n'
    f'password_file = "edge-password"\nworkers = ["0x{"ab" * 20}"]\n'
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    chosen = ChainChoice(CHAIN, f"{CHAIN}:0x{'11' * 20}", ("http://127.0.0.1:9",))
    path = write_config(make_keys(tmp_path, "devnet"), "devnet", [chosen], 9464)
    text = path.read_text()
    assert LOCAL in text
    path.write_text(text.replace(LOCAL, EDGE))
    return path


def test_what_is_asked_is_signed_with_the_transport_key(config: Path) -> None:
    [backend] = load(config).backend_list()
    assert isinstance(backend, EdgeBackend)
    assert backend._key is not None
    keys = config.parent / "keys"
    password = (keys / "password").read_text().strip()
    secret = Account.decrypt(json.loads((keys / "transport.json").read_text()), password)
    assert f"0x{address_of(backend._key).hex()}" == Account.from_key(secret).address.lower()
    assert secret.hex() not in repr(vars(backend)) + repr(backend)
    # Its files are sought beside the config, like all others.
    assert backend._config.password_file == config.parent / "edge-password"


async def test_a_node_without_a_transport_key_is_told_what_is_missing(config: Path) -> None:
    text = config.read_text()
    begin = text.index("[transport_key]")
    end = text.index("\n\n", begin)
    config.write_text(text[:begin] + text[end:])
    found = [each for each in look_at(config).findings if each.name == "backend gpus"]
    assert [each.verdict for each in found] == [Verdict.OK, Verdict.FAIL]
    assert "name a keystore under [transport_key]" in found[1].advice
    [backend] = load(config).backend_list()
    with pytest.raises(Refuse, match="this node has none"):
        await backend.__aenter__()


def test_a_price_in_dollars_wants_somebody_who_says_what_those_are_worth(config: Path) -> None:
    def said() -> list[Verdict]:
        return [each.verdict for each in look_at(config).findings if each.name == "backend gpus"]

    assert said() == [Verdict.OK]
    text = config.read_text()
    config.write_text(text.replace(EDGE, EDGE + 'max_price = { output = "0.5" }\n'))
    assert said() == [Verdict.OK, Verdict.WARN]
