"""`vagus init`, `check`, `doctor` and the profiles, as an operator meets them: on real chains."""

import contextlib
import json
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from web3.types import RPCEndpoint

from support.client import Chain, Client
from support.node import Node, vagus
from support.node_devnet import Devnet
from support.node_model import StubModel
from support.proxy import Proxy

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_doctor"),
]

CANARY = "canary-5d1e-an-api-key"


async def doctor(config: Path) -> tuple[int, dict[str, dict[str, str]], str]:
    """The exit code, the checks by name, and all that was printed."""
    code, out, err = await vagus("doctor", "--config", config, "--json", within=180)
    assert out, err
    report = json.loads(out)
    assert out.count("\n") == 1
    names = [each["name"] for each in report["checks"]]
    assert len(names) == len(set(names))
    verdicts = {each["verdict"] for each in report["checks"]}
    worst = next(each for each in ("fail", "warn", "ok") if each in verdicts)
    assert report["verdict"] == worst
    assert code == (1 if worst == "fail" else 0)
    return code, {each["name"]: each for each in report["checks"]}, out + err


def failed(checks: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, each in checks.items() if each["verdict"] == "fail"}


async def test_beside_a_running_node_all_is_well_and_no_key_is_shown(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    async with Proxy(client.chains[0].rpc) as proxy:
        config = devnet.variant("sound", backends=stub.backends, rpc0=f"{proxy.rpc}/v3/{CANARY}")
        async with Node(config, tmp_path / "log") as node:
            await node.start()
            code, checks, printed = await doctor(config)
            assert (await node.get("/readyz"))[0] == 200
            process = node.pid
        assert code == 0, failed(checks)
        assert CANARY not in printed
        assert (config.parent / "keys" / "password").read_text().strip() not in printed
        assert str(process) in checks["node"]["finding"]
        for chain in client.chains:
            latest = await chain.web3.eth.block_number
            found = checks[f"quorum {chain.caip2}"]["finding"]
            assert found == "1 of 1 endpoints are sound, 1 must agree"
            assert "threshold 1 of 1, open" in checks[f"hub {chain.caip2}"]["finding"]
            assert "nobody can change" in checks[f"code {chain.caip2}"]["finding"]
            (endpoint,) = [n for n in checks if n.startswith(f"endpoint {chain.caip2} ")]
            seen = int(checks[endpoint]["finding"].split()[1])
            assert 0 < seen <= latest
            assert "deliveries and settlements" in checks[f"account {chain.caip2}"]["finding"]
        assert checks["halts"]["verdict"] == checks["model stub"]["verdict"] == "ok"
        code, out, _ = await vagus("doctor", "--config", config, within=180)
        assert code == 0
        assert out.splitlines()[-1].startswith(("ok: ", "warn: "))


async def test_an_endpoint_that_is_down_and_one_of_another_chain_fail(
    devnet: Devnet, client: Client, stub: StubModel
) -> None:
    a, b = client.chains
    down = devnet.variant("doctor-down", backends=stub.backends, rpc1="http://127.0.0.1:9")
    code, checks, _ = await doctor(down)
    assert (code, failed(checks)) == (1, {f"quorum {b.caip2}"})
    assert checks[f"quorum {a.caip2}"]["verdict"] == "ok"
    crossed = devnet.variant("doctor-crossed", backends=stub.backends, rpc0=b.rpc)
    code, checks, _ = await doctor(crossed)
    assert (code, failed(checks)) == (1, {f"head {a.caip2}"})
    assert b.caip2 in checks[f"head {a.caip2}"]["finding"]


@contextlib.asynccontextmanager
async def balance(chain: Chain, account: str, wei: int) -> AsyncIterator[None]:
    async def put(amount: int) -> None:
        method = RPCEndpoint("anvil_setBalance")
        await chain.web3.provider.make_request(method, [account, hex(amount)])

    before = await chain.web3.eth.get_balance(chain.web3.to_checksum_address(account))
    await put(wei)
    try:
        yield
    finally:
        await put(before)


async def test_an_account_that_runs_dry_is_said_with_what_is_left(
    devnet: Devnet, client: Client, stub: StubModel
) -> None:
    config = devnet.variant("dry", backends=stub.backends)
    a, b = client.chains
    # Enough for twenty to eighty deliveries and settlements: the base fee moves with each block.
    few = 40 * 486_474 * await b.web3.eth.gas_price
    async with balance(a, devnet.account, 0), balance(b, devnet.account, few):
        code, checks, _ = await doctor(config)
    assert (code, failed(checks)) == (1, {f"account {a.caip2}"})
    assert checks[f"account {a.caip2}"]["finding"].endswith("has nothing")
    low = checks[f"account {b.caip2}"]
    assert (low["verdict"], low["advice"]) == ("warn", "send it coins")
    assert str(few) in low["finding"]


async def test_a_config_of_a_profile_is_written_checked_and_its_rules_hold_the_node_back(
    client: Client, stub: StubModel, tmp_path: Path
) -> None:
    """From nothing: keys at full cost, a hub, three endpoints; then the hub's threshold is one."""
    chain, folder = client.chains[0], tmp_path / "node"
    hosts = ("127.0.0.1", "localhost", "127.1")
    rpc = ",".join(f"rpc={chain.rpc.replace('127.0.0.1', host)}" for host in hosts)
    one = ("--chain", f"id={chain.caip2},hub={chain.hub},rpc={chain.rpc}")
    code, _, err = await vagus("init", folder, "--profile", "mainnet", *one)
    assert code == 2
    assert "wants 3 endpoints" in err
    assert not folder.exists()

    many = ("--chain", f"id={chain.caip2},hub={chain.hub},{rpc}", "--port", "0")
    code, _, err = await vagus("init", folder, "--profile", "mainnet", *many)
    assert code == 0, err
    config = folder / "vagus.toml"
    written: dict[str, Any] = tomllib.loads(config.read_text())
    assert written["chains"][0]["quorum"] == 2
    assert written["chains"][0]["rpc"] == [part.removeprefix("rpc=") for part in rpc.split(",")]
    code, out, _ = await vagus("check", "--config", config, "--json")
    assert code == 0, out
    before = config.read_text()
    code, _, err = await vagus("init", folder)
    assert (code, config.read_text()) == (0, before)
    assert "stays as it is" in err

    text = before.replace('[[backends]]\nkind = "local"\n', stub.backends, 1)
    config.write_text(text)
    code, checks, _ = await doctor(config)
    assert code == 1
    assert f"profile mainnet: threshold {chain.caip2}" in failed(checks)
    code, out, err = await vagus("run", "--config", config)
    assert (code, out) == (3, "")
    assert "takes one signature of 1" in err.splitlines()[-1]

    config.write_text(text.replace('"http://127.1', '"http://127.0.0.1'))
    code, _, err = await vagus("run", "--config", config)
    assert code == 2
    assert "has an endpoint twice" in err
    config.write_text(text.replace('host = "127.0.0.1"', 'host = "0.0.0.0"'))
    for command in ("run", "check"):
        code, out, err = await vagus(command, "--config", config)
        assert code == (2 if command == "run" else 1)
        assert "http.host 0.0.0.0 is reached from elsewhere" in out + err
