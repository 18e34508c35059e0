"""`vagus leases offers` asks every network of a config, in another process, and rents nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.anvil import AwaitedAnvil, running_anvil
from support.node import vagus
from vagus.adapters.evm.artifacts import artifact
from vagus.compute.sandbox.gpunet import CHAIN_ID, GpuNetSandbox
from vagus.compute.sandbox.ionet import IonetSandbox
from vagus.compute.sandbox.render import RenderSandbox

SIGNER = "0x" + "11" * 20
NODE = f"""
[signer]
keystore = "signer.json"
password_file = "password"
[[committee.members]]
signer = "{SIGNER}"
[committee.gas_allowance]
"eip155:31337" = "1000"
[[chains]]
id = "eip155:31337"
rpc = "http://127.0.0.1:9"
hub = "eip155:31337:{SIGNER}"
"""
RENTED = """
[[backends]]
kind = "{kind}"
name = "{name}"
base_url = "{base_url}"
models = [{{ name = "Qwen/Qwen3-8B" }}]
image = "ghcr.io/ggml-org/llama.cpp:server-cuda"
max_hourly = "1.20"
spend_hour = "1.20"
spend_day = "9"
{more}
"""


@pytest.fixture
def chain() -> Iterator[AwaitedAnvil]:
    with running_anvil(CHAIN_ID) as anvil:
        yield AwaitedAnvil(anvil)


def secret(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text)
    return name


async def test_every_network_says_what_it_would_rent_out(
    tmp_path: Path, chain: AwaitedAnvil
) -> None:
    async with (
        IonetSandbox() as ionet,
        RenderSandbox() as render,
        GpuNetSandbox(chain, artifact("market")["bytecode"]) as gpunet,
    ):
        keys = {
            "io": f'api_key_file = "{secret(tmp_path, "io.key", ionet.api_key)}"\nregions = ["de"]',
            "re": f'secret_key_file = "{secret(tmp_path, "re.key", render.secret_key)}"\n'
            f'public_key = "{render.api_key}"\nkey_env = "LLAMA_API_KEY"\n'
            'offers = [{ name = "NVIDIA RTX 4090", vram = 24, hourly = "0.35" }]',
        }
        tables = [
            RENTED.format(kind="ionet-caas", name="io", base_url=ionet.base_url, more=keys["io"]),
            RENTED.format(kind="render", name="re", base_url=render.base_url, more=keys["re"]),
            f'[[backends]]\nkind = "gpunet"\nname = "gn"\nbase_url = "{gpunet.base_url}"\n'
            f'rpc = ["{chain.rpc}"]\ncontract = "{gpunet.contract}"\n',
        ]
        config = tmp_path / "vagus.toml"
        config.write_text(NODE + "".join(tables))
        code, out, err = await vagus("leases", "offers", "--config", config, "--json")
        assert code == 0, err
        found = {each["backend"]: each["offers"] for each in json.loads(out)["backends"]}
        assert [each["gpu"] for each in found["io"]] == ["GeForce RTX 4090", "A100-SXM4-80GB"]
        assert [each["hourly_usd"] for each in found["io"]] == ["0.3060", "1.1220"]
        assert [each["hourly_usd"] for each in found["re"]] == ["0.3500"]
        assert [each["number"] for each in found["gn"]] == [10_003, 10_002]
        ionet.faults.add(status=503)
        code, out, err = await vagus("leases", "offers", "io", "--config", config)
        assert (code, out) == (1, "")
        assert "io: " in err
        assert "503" in err
        assert not ionet.deployments
        assert not render.jobs


async def test_a_config_that_rents_nothing_says_so(tmp_path: Path) -> None:
    config = tmp_path / "vagus.toml"
    config.write_text(
        NODE + '[[backends]]\nkind = "openai"\nname = "o"\nbase_url = "http://127.0.0.1:9"\n'
    )
    code, _, err = await vagus("leases", "offers", "--config", config)
    assert code == 2
    assert "no backend in the config rents" in err
