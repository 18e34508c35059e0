"""A stranger's chain: its adapter is built, installed beside vagus, held to the kit and served by a node."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from coincurve import PrivateKey

from support.client import Question, hurried_client_of
from support.installed import ROOT, UV, run
from support.lumina.chain import lumina_builds, renamed
from support.node import Node
from support.node_model import StubModel
from vagus.adapters.base import HubParameters
from vagus.adapters.evm.deploy import deploy_hub
from vagus.adapters.evm.devnet import DEV_KEYS, Anvil
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.fetch import anvil_path
from vagus.daemon.folder import make_keys
from vagus.daemon.scaffold import new_adapter

pytestmark = pytest.mark.xdist_group("e2e_adapter_plugin")

LUMINA = ROOT / "tests" / "support" / "lumina"
CHAIN_ID = 31339
FUNDS = 10**18
# Of the kit: one test of a part at least, and those that go another way without a websocket.
CHOSEN = (
    "the_heads_are or a_backlog_is or asked_delivered_settled or from_broadcast_to_final or "
    "another_chain_halts_at or retry[dropped] or of_any_contract or a_bad_websocket or quorum_is"
)
CONFIG = """\
profile = "devnet"
data = "data"

[http]
port = 0

[log]
format = "json"

[signer]
keystore = "keys/signer.json"
password_file = "keys/password"

[[committee.members]]
signer = "0x{signer}"
addresses."{chain}" = "0x{account}"

[committee.gas_allowance]
"{chain}" = "200000000000000"

[[chains]]
id = "{chain}"
hub = "{hub}"
rpc = "{rpc}"
poll_interval = 0.2
keystore = "keys/account.json"
password_file = "keys/password"

{backends}
"""


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `vagus adapters new` writes, filled in."""
    folder = tmp_path_factory.mktemp("adapter") / "lumina"
    new_adapter("lumina", folder)
    shutil.copy(LUMINA / "adapter.py", folder / "src" / "vagus_lumina" / "adapter.py")
    shutil.copy(LUMINA / "harness.py", folder / "tests" / "harness.py")
    return folder


@pytest.fixture(scope="module")
def programs(environment: Path, distribution: Path) -> Path:
    """The programs of an environment in which vagus and the adapter are installed."""
    where = ("--no-build-isolation", "--python", sys.executable, "--offline", "-q")
    run(UV, "build", "--wheel", *where, "-o", distribution.parent, distribution)
    (wheel,) = distribution.parent.glob("vagus_lumina-*.whl")
    run(UV, "pip", "install", "-q", "--python", environment / "python", "--no-deps", wheel)
    return environment


def test_it_is_listed_beside_those_whose_extras_are_missing(programs: Path) -> None:
    shown = json.loads(run(programs / "vagus", "adapters", "list", "--json"))["adapters"]
    found = {each["namespace"]: each for each in shown}
    assert found["lumina"] == {
        "namespace": "lumina",
        "target": "vagus_lumina.adapter:LuminaAdapter",
        "distribution": "vagus-lumina 0.1.0",
        "error": None,
    }
    assert found["eip155"]["error"] is None
    assert found["solana"]["error"] == "Solana needs more packages: pip install 'vagus[solana]'"
    assert "pip install 'vagus[cosmos]'" in found["cosmos"]["error"]


def test_it_passes_the_kit_there(programs: Path, distribution: Path) -> None:
    tested = subprocess.run(
        [programs / "vagus", "adapters", "test", distribution],
        env={"PYTEST_ADDOPTS": f'-k "{CHOSEN}"', "PYTHONPATH": str(ROOT / "tests")}
        | {"PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert "lumina: passed" in tested.stderr
    assert "NOT TRIED, this chain lacks 'websocket'" in tested.stdout
    last = tested.stdout.splitlines()[-1]
    assert re.search(r"[1-9] passed, [1-9] skipped, \d+ deselected", last), last


@pytest.mark.asyncio(loop_scope="session")
async def test_a_node_serves_its_chain_by_the_config_alone(
    programs: Path, stub: StubModel, tmp_path: Path
) -> None:
    keys = make_keys(tmp_path / "node", "devnet")
    async with Anvil(anvil_path(), chain_id=CHAIN_ID) as anvil:
        await anvil.fund(keys.account, FUNDS)
        with lumina_builds():
            hub = await deploy_hub(
                anvil.rpc,
                Wallet(PrivateKey.from_hex(DEV_KEYS[8].removeprefix("0x"))),
                HubParameters(signers=(keys.signer,), threshold=1),
            )
        await anvil.call("anvil_mine", hex(3))  # a hub is read at the final block
        chain = {
            "caip2": renamed(anvil.chain),
            "rpc": anvil.rpc,
            "ws": anvil.ws,
            "hub": renamed(hub.account),
            "private_key": DEV_KEYS[9],
        }
        config = keys.path / "vagus.toml"
        config.write_text(
            CONFIG.format(
                signer=keys.signer.hex(),
                account=keys.account.rjust(32, b"\0").hex(),
                chain=chain["caip2"],
                hub=chain["hub"],
                rpc=anvil.rpc,
                backends=stub.backends,
            )
        )
        run(programs / "vagus", "check", "--config", config)
        (state,) = json.loads(run(programs / "vagus", "hub", "show", "-c", config, "--json"))[
            "hubs"
        ]
        assert state["hub"] == chain["hub"]
        async with (
            hurried_client_of([chain]) as client,
            Node(config, tmp_path / "log", program=programs / "vagus") as node,
        ):
            await node.start()
            (asked,) = await client.ask_all([Question(b'{"prompt":"Where?"}', dest=0)])
            shown = await node.reaches(asked.hex, "settled")
            assert shown["status"] == "fulfilled"
            (delivered,) = await client.events("Delivered", asked)
            assert delivered["outputHash"] == client.chains[0].web3.keccak(b"answer 1 to Where?")
            assert await client.chains[0].credit("0x" + keys.account.hex()) > 0
