"""The command line, as a person or a script uses it against a running node."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from support.client import Client
from support.node import Node, vagus
from support.node_devnet import Devnet
from vagus.daemon.cli import app

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_cli"),
]

ACROSS = ("--to", "eip155:31338")
CALLED = ("--callback", f"0x{'12' * 20}")
MISTYPED = "5FbDB2315678afecb367f032d93f642f64180aA3"
COMMANDS = (
    (),
    *(("init",), ("run",), ("demo",), ("models",)),
    *(("check",), ("doctor",), ("resume",)),
    *(("devnet",), ("devnet", "up"), ("devnet", "down")),
    *(("hub",), ("hub", "deploy"), ("hub", "show")),
    ("intent",),
    *(("intent", name) for name in ("quote", "send", "show", "list", "watch", "poke")),
    *(("verify",), ("evidence",), ("evidence", "show")),
    *(("keys",), ("keys", "new"), ("keys", "import"), ("keys", "show")),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def node(
    devnet: Devnet, client: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Node]:
    """The devnet's own node: its config's port is the one that commands ask."""
    async with Node(devnet.config, tmp_path_factory.mktemp("cli") / "log") as found:
        await found.start()
        yield found


async def test_every_command_explains_itself() -> None:
    """The first as it is installed, the others without starting Python for each."""
    assert (await vagus("--help"))[::2] == (0, "")
    for command in COMMANDS:
        result = CliRunner().invoke(app, [*command, "--help"])
        assert result.exit_code == 0, command
        assert "Usage: " in result.output


async def test_a_prompt_is_sent_and_its_answer_printed(devnet: Devnet, node: Node) -> None:
    code, out, err = await vagus(
        *("intent", "send", "--prompt", "Name an animal.", "--config", devnet.config),
        *("--from", "eip155:31337", "--to", "eip155:31338", "--json"),
    )
    assert code == 0, err
    sent = json.loads(out)
    assert (sent["stage"], sent["status"]) == ("settled", "fulfilled")
    assert sent["output"]

    code, out, _ = await vagus("intent", "show", sent["id"], "--config", devnet.config, "--json")
    shown = json.loads(out)
    assert code == 0
    assert [line["stage"] for line in shown["history"]][-1] == "settled"
    assert shown["output"] == sent["output"]
    code, out, _ = await vagus("intent", "show", sent["id"], "--config", devnet.config)
    assert code == 0
    assert "settled" in out

    code, out, _ = await vagus("intent", "list", "--config", devnet.config, "--json")
    assert code == 0
    assert sent["id"] in {each["id"] for each in json.loads(out)["intents"]}
    code, out, _ = await vagus("intent", "list", "--config", devnet.config)
    assert code == 0
    assert "settled" in out


async def test_a_refused_question_ends_with_exit_code_1_and_its_reason(
    devnet: Devnet, node: Node
) -> None:
    nobody_has = ("--model", "0x" + "11" * 32)
    command = ("intent", "send", "--prompt", "x", *nobody_has, "--config", devnet.config)
    code, out, err = await vagus(*command)
    assert code == 1, err
    assert "the pinned model 0x1111" in out


async def test_a_quote_is_what_the_node_accepts(devnet: Devnet, node: Node, client: Client) -> None:
    code, out, _ = await vagus("intent", "quote", "--config", devnet.config, "--json")
    assert code == 0
    fee = int(json.loads(out)["max_fee"])
    enough = await client.ask("Say yes.", dest=0, fee=fee)
    low = await client.ask("Say no.", dest=0, fee=fee - 1)
    assert (await node.reaches(enough.hex, "settled"))["status"] == "fulfilled"
    assert (await node.reaches(low.hex, "settled"))["status"] == "refused"


async def test_hubs_and_models_are_shown(devnet: Devnet, node: Node, client: Client) -> None:
    code, out, _ = await vagus("hub", "show", "--config", devnet.config, "--json")
    assert code == 0
    hubs = json.loads(out)["hubs"]
    assert [hub["hub"] for hub in hubs] == [chain.hub for chain in client.chains]
    assert [hub["hub_id"] for hub in hubs] == ["0x" + c.hub_id.hex() for c in client.chains]
    assert (await vagus("hub", "show", "--config", devnet.config))[0] == 0

    code, out, _ = await vagus("models", "--json")
    assert code == 0
    (model,) = json.loads(out)["models"]
    assert len(bytes.fromhex(model["digest"].removeprefix("0x"))) == 32
    pinned = await client.ask("Say hello.", model=bytes.fromhex(model["digest"][2:]))
    assert (await node.reaches(pinned.hex, "settled"))["status"] == "fulfilled"


async def test_a_node_that_is_not_there_is_said_in_one_line(devnet: Devnet) -> None:
    code, out, err = await vagus("intent", "list", "--config", devnet.config, VAGUS_HTTP__PORT="1")
    assert (code, out) == (1, "")
    assert "vagus run" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--prompt", "x" * 9000), "8192 at most"),
        (("--prompt", "x", "--model", "0x12"), "--model 0x12: a digest is"),
        (("--prompt", "x", "--callback", "0x12"), "--callback 0x12: "),
        (("--prompt", "x", "--to", "eip155:1:0x11"), "--to eip155:1:0x11: "),
        (("--prompt", "x", "--fee", "1"), "--fee 1 is under the hub's minimum"),
        (("--prompt", "x", "--fee", str(1 << 256)), "is more than there is"),
        (("--prompt", "x", "--fee", str(1 << 255)), f"--fee {1 << 255} is more than 0x"),
        (
            ("--prompt", "x", *CALLED, "--callback-gas", "2000001"),
            "the destination's hub takes 0 to",
        ),
        (("--prompt", "x", *ACROSS, *CALLED, "--callback-gas", "2000001"), "takes 0 to 2000000"),
        (
            ("--prompt", "x", *CALLED, "--callback-gas", "-1"),
            "a hub takes 0 to 18446744073709551615",
        ),
        (("--prompt", "x", "--callback", f"0x{MISTYPED}"), "its checksum (EIP-55) does not fit"),
        (("--prompt", "x", "--to", f"eip155:31337:0x{MISTYPED}"), "its checksum (EIP-55) does not"),
        (("--prompt", "x", "--ttl", "5"), "--ttl 5: the hub takes 65 to 2592000 seconds"),
        (("--prompt", "x", "--from", "eip155:1"), "--from 'eip155:1' is not in the config"),
        (("--prompt", "x", "--agent", "x@1"), "number@1, extract@1, and not x@1"),
        ((), "give --prompt or --payload"),
    ],
    ids=lambda value: " ".join(value)[:24] if isinstance(value, tuple) else "",
)
async def test_a_request_that_cannot_be_is_refused_before_it_costs_anything(
    devnet: Devnet, node: Node, client: Client, options: tuple[str, ...], said: str
) -> None:
    before = [await chain.sent(chain.user.address) for chain in client.chains]
    code, out, err = await vagus("intent", "send", "--config", devnet.config, *options)
    assert (code, out) == (2, ""), err
    assert said in err
    assert "Traceback" not in err
    assert [await chain.sent(chain.user.address) for chain in client.chains] == before


async def test_a_hub_that_the_node_does_not_serve_is_said_before_the_fee_is_escrowed(
    devnet: Devnet, node: Node, client: Client
) -> None:
    """The chain is served, and another of its addresses was named."""
    nobody = f"eip155:31338:0x{'12' * 20}"
    command = ("intent", "send", "--config", devnet.config, "--prompt", "x", "--no-wait")
    code, out, err = await vagus(*command, "--to", nobody)
    assert code == 0, err
    assert f"this node does not serve {nobody}: unless another committee does, the fee " in err
    origin = client.chains[0]
    (asked,) = await origin.events("IntentRequested", bytes.fromhex(out.strip()[2:]))
    hub = origin.web3.eth.contract(
        origin.contract.address, abi=origin.contract.abi, decode_tuples=True
    )
    back = asked["intent"]["deadline"] + (await hub.functions.config().call()).grace
    assert f"after {datetime.fromtimestamp(back, UTC):%Y-%m-%d %H:%M:%S} UTC" in err

    code, _, err = await vagus(*command, "--to", client.chains[1].hub)
    assert (code, err) == (0, "")


async def test_nobody_asks_from_the_nodes_own_account(devnet: Devnet, node: Node) -> None:
    own = devnet.config.parent / "keys" / "account.json"
    code, _, err = await vagus(
        *("intent", "send", "--config", devnet.config, "--prompt", "x", "--keystore", own)
    )
    assert code == 2
    assert "is the node's own account" in err


async def test_the_version_is_said() -> None:
    assert (await vagus("--version"))[:2] == (0, "vagus 0.1.0\n")
