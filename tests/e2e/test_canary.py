"""Secrets stay where they are: not in a log, an answer over HTTP, a command line, a child."""

import asyncio
import json
import os
import signal
import sqlite3
import tomllib
from pathlib import Path

import pytest
from eth_account import Account

from support.client import Client, until
from support.node import Node, children, vagus
from support.node_devnet import Devnet
from support.node_model import StubModel
from support.proxy import Proxy

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_canary"),
]

RPC_KEY = "CanaryOfTheRpcEndpoint0123456789"
WS_KEY = "CanaryOfTheWebsocket0123456789"
API_KEY = "sk-CanaryOfTheModelServer0123456789"


def secrets_of(devnet: Devnet) -> dict[str, bytes]:
    """What may appear nowhere: decrypted by eth-account, not by what is tested."""
    keys = devnet.folder / "keys"
    password = (keys / "password").read_text().strip()
    found = {"password": password.encode(), "rpc": RPC_KEY.encode(), "ws": WS_KEY.encode()}
    found["api"] = API_KEY.encode()
    for name in ("signer", "account", "user"):
        key = Account.decrypt(json.loads((keys / f"{name}.json").read_text()), password)
        found[f"{name} key"] = bytes(key)
        found[f"{name} key in hex"] = bytes(key).hex().encode()
    return found


def assert_none(secrets: dict[str, bytes], where: str, text: bytes) -> None:
    leaked = [name for name, secret in secrets.items() if secret.lower() in text.lower()]
    assert not leaked, f"{where} holds {leaked}"


async def test_no_secret_leaves_a_node_in_good_and_in_bad_times(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    secrets = secrets_of(devnet)
    (devnet.folder / "keys" / "api").write_text(API_KEY + "\n")
    (devnet.folder / "keys" / "api").chmod(0o600)
    backends = stub.backends + 'api_key_file = "keys/api"\n[[backends]]\nkind = "local"\n'
    config = devnet.variant("canary", backends=backends)
    async with Proxy(client.chains[0].rpc) as proxy, Node(config, tmp_path / "log") as node:
        chains = tomllib.loads(config.read_text())["chains"]
        chains[0]["rpc"] = f"{proxy.rpc}/v2/{RPC_KEY}"
        chains[0]["ws"] = f"{proxy.ws}?key={WS_KEY}"
        # Through the environment, which a child would inherit.
        env = {"VAGUS_CHAINS": json.dumps(chains), "VAGUS_LOG__LEVEL": "debug"}
        await node.start(**env)
        asked = [await client.ask("keep a secret"), await client.ask("and another", agent="no@1")]
        for each in asked:
            await node.reaches(each.hex, "settled")
        assert f"Bearer {API_KEY}" in stub.authorizations

        # A node that quotes its own URL in an error, a cut websocket, an endpoint that is down.
        url = f"{proxy.rpc}/v2/{RPC_KEY}"
        failing = {"eth_getBlockByNumber", "eth_getLogs", "eth_call", "eth_estimateGas"}
        fault = {"code": -32000, "message": f"no quota left for {url}"}
        proxy.bend = lambda asked, answer: (
            {"jsonrpc": "2.0", "id": asked["id"], "error": fault}
            if asked["method"] in failing
            else answer
        )
        await until(lambda: node.get("/readyz"), lambda got: got[0] == 503)
        bodies = [await node.get("/readyz")]
        await proxy.cut()
        proxy.down, proxy.bend = True, None
        seen = proxy.refused
        await until(lambda: node.get("/readyz"), lambda _: proxy.refused > seen + 1)
        (model,) = children(node.pid)
        # The node itself has them: what follows looks where they would be.
        assert RPC_KEY.encode() in Path(f"/proc/{node.pid}/environ").read_bytes()
        for pid in (node.pid, model):
            cmdline = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert_none(secrets, f"the command line of {pid}", cmdline)
            files = "\n".join(os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir())
            assert_none(secrets, f"the open files of {pid}", files.encode())
            threads = [each.read_bytes() for each in Path(f"/proc/{pid}/task").glob("*/comm")]
            assert_none(secrets, f"the threads of {pid}", b"".join(threads))
        assert_none(secrets, "the child's environment", Path(f"/proc/{model}/environ").read_bytes())
        os.kill(model, signal.SIGKILL)
        await until(lambda: node.get("/healthz"), lambda _: "local model down" in node.log)

        paths = ["/metrics", "/healthz", "/readyz", "/v1/intents"]
        paths += ["/v1/status", "/v1/chains", "/v1/models"]
        for each in asked:
            shown = await node.intent(each.hex)
            paths += [f"/v1/intents/{each.hex}", f"/v1/evidence/{shown['evidence_hash']}"]
        bodies += [await node.get(path) for path in paths]
        for path, (status, body) in zip(["/readyz", *paths], bodies, strict=True):
            assert status in {200, 503}
            assert_none(secrets, path, body)
        assert (await vagus("backup", tmp_path / "backup", "--config", config))[0] == 0
        assert_none(secrets, "a backup", (tmp_path / "backup").read_bytes())

        # A defect, which is logged with its traceback: somebody moves an intent behind its back.
        proxy.down = False
        stub.open.clear()
        last = await client.ask("and a third")
        await until(lambda: asyncio.sleep(0, stub.asked["and a third"]), bool)
        db = sqlite3.connect(devnet.folder / "canary" / "journal.sqlite")
        db.execute("UPDATE intents SET stage=11 WHERE id=?", (last.id,))
        db.commit()
        db.close()
        stub.open.set()
        await until(lambda: asyncio.sleep(0, node.log), lambda log: "Traceback" in log)
        node.send(signal.SIGTERM)
        assert await node.ended() == 0
    assert "is not at ROUTED any more" in node.log
    assert "no quota left" in node.log
    assert_none(secrets, "the log", node.log.encode())
    for path in (devnet.folder / "canary").iterdir():
        assert_none(secrets, path.name, path.read_bytes())


async def test_no_command_prints_a_secret(devnet: Devnet) -> None:
    secrets = secrets_of(devnet)
    keys = devnet.folder / "keys"
    for command in (
        ("keys", "show", keys / "account.json"),
        ("keys", "show", keys / "signer.json", "--json"),
        ("keys", "new", devnet.folder / "new" / "key.json", "--password-file", keys / "password"),
        ("hub", "show", "--config", devnet.config),
        ("intent", "quote", "--config", devnet.config),
    ):
        code, out, err = await vagus(*command)
        assert code == 0, err
        assert_none(secrets, " ".join(map(str, command)), (out + err).encode())
