"""What a node refuses to start with: one line that says where and what, and its exit code."""

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.node import vagus
from support.node_devnet import Devnet
from support.node_model import StubModel

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_refusals"),
]

SECRET = "0123456789abcdef0123456789abcdef"


@dataclass
class Fault:
    """A line of the config, what stands in its place, and what stderr has to say."""

    line: str
    instead: str
    says: tuple[str, ...]


FAULTS = {
    "a key of a section": Fault("port = 0", "prot = 0", ("http.prot", '"port"')),
    "a section": Fault("[policy]", "[polcy]", ("polcy", '"policy"')),
    "a chain's key": Fault('finality = "', 'finalty = "', ("chains.0.finalty", '"finality"')),
    "a backend's key": Fault("base_url", "base_ulr", ("backends.0.base_ulr", '"base_url"')),
    "a backend's kind": Fault('kind = "openai"', 'kind = "openapi"', ("backends.0", "openai")),
    "a value": Fault("port = 0", "port = 70000", ("http.port", "65535")),
    "an agent's value": Fault("max_tokens = 64", "max_tokens = -1", ("chat@1", "max_tokens")),
    "a key of the roster": Fault(
        "signer = ", "singer = ", ("committee.members.0.singer", '"signer"')
    ),
    "TOML": Fault("[http]", "[http", (".toml", "line")),
    "an endpoint": Fault('rpc = "http://', f'rpc = "htp://{SECRET}@', ("chains.0.rpc", "https://")),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_in_the_config_is_named_and_ends_with_exit_code_2(
    name: str, devnet: Devnet, stub: StubModel
) -> None:
    fault = FAULTS[name]
    config = devnet.variant("faulty", backends=stub.backends)
    text = config.read_text()
    assert fault.line in text
    config.write_text(text.replace(fault.line, fault.instead, 1))
    code, out, err = await vagus("run", "--config", config)
    assert (code, out) == (2, "")
    for part in fault.says:
        assert part in err
    assert all(line.startswith("vagus: ") for line in err.splitlines())
    assert SECRET not in err


async def test_a_config_that_is_missing_ends_with_exit_code_2(tmp_path: Path) -> None:
    code, _, err = await vagus("run", "--config", tmp_path / "vagus.toml")
    assert code == 2
    assert "vagus init" in err


async def test_the_wrong_password_ends_with_exit_code_3_and_shows_no_secret(
    devnet: Devnet, stub: StubModel
) -> None:
    (devnet.folder / "keys" / "wrong").write_text(SECRET)
    (devnet.folder / "keys" / "wrong").chmod(0o600)
    config = devnet.variant("wrong", backends=stub.backends)
    config.write_text(config.read_text().replace('"keys/password"', '"keys/wrong"'))
    code, out, err = await vagus("run", "--config", config)
    assert (code, out) == (3, "")
    assert "wrong password" in err
    assert err.count("\n") == 1
    assert SECRET not in err
    assert (devnet.folder / "keys" / "password").read_text() not in err


@pytest.mark.parametrize("name", ["account.json", "signer.json", "password"])
async def test_a_key_file_that_others_can_read_ends_with_exit_code_3(
    name: str, devnet: Devnet, stub: StubModel
) -> None:
    shutil.copytree(devnet.folder / "keys", devnet.folder / "loose", dirs_exist_ok=True)
    (devnet.folder / "loose" / name).chmod(0o644)
    config = devnet.variant("loose-config", backends=stub.backends)
    config.write_text(config.read_text().replace('"keys/', '"loose/'))
    code, out, err = await vagus("run", "--config", config)
    shutil.rmtree(devnet.folder / "loose")
    assert (code, out) == (3, "")
    assert f"{name} has mode 0644" in err
    assert "chmod 600" in err
    assert err.count("\n") == 1


async def test_a_port_that_is_taken_ends_in_one_line(devnet: Devnet, stub: StubModel) -> None:
    """Whoever has it may go: the exit code lets systemd try again."""
    config = devnet.variant("taken", backends=stub.backends)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = await vagus("run", "--config", config, VAGUS_HTTP__PORT=str(port))
    assert (code, out) == (1, "")
    assert str(port) in err
    assert "Traceback" not in err
