"""`vagus intent` against a node's HTTP, and against payloads that would be paid for in vain."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.commands import vagus_beside as vagus
from support.served import Served, serving
from vagus.daemon.choices import ChainChoice
from vagus.daemon.folder import make_keys, write_config
from vagus.daemon.journal.records import Stage

UNKNOWN = "0x" + "11" * 32
HUB = f"eip155:31337:0x{'ab' * 20}"
# Nobody listens there: a command that gets as far as asking the chain says so.
NOWHERE = "http://127.0.0.1:1"


def config_of(folder: Path, port: int, tokens: str = 'tokens_file = "tokens.json"\n') -> Path:
    """The config of a node that answers on a port, and whose chain is nowhere."""
    keys = make_keys(folder / "node", "devnet")
    path = write_config(keys, "devnet", [ChainChoice("eip155:31337", HUB, (NOWHERE,))], port)
    text = path.read_text()
    assert text.count("[http]\n") == 1
    path.write_text(text.replace("[http]\n", f"[http]\n{tokens}"))
    return path


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path, tokens_file=tmp_path / "node" / "tokens.json") as served:
        yield served


@pytest.fixture
def config(node: Served, tmp_path: Path) -> Path:
    return config_of(tmp_path, node.port)


async def test_a_poke_wakes_what_waits_and_says_what_happens_next(
    node: Served, config: Path
) -> None:
    (record,) = await node.observe(1)
    found = f"0x{record.id.hex()}"
    pause = asyncio.create_task(node.pauses.sleep(record.id, 3600), name="pause")
    code, out, err = await vagus("intent", "poke", found, "--config", config)
    assert (code, out) == (0, ""), err
    assert "it waited at observed, and is tried again now" in err
    assert f"vagus intent show {found} --config {config}" in err
    await pause

    code, out, err = await vagus("intent", "poke", found, "--config", config)
    assert (code, out) == (0, "")
    assert "nothing was changed: at observed it waits for no other try" in err
    code, out, err = await vagus("intent", "poke", found, "--config", config, "--json")
    assert (code, json.loads(out), err) == (0, {"stage": "observed", "woken": False}, "")

    await node.journal.move(record, Stage.CLOSED)
    code, out, err = await vagus("intent", "poke", found, "--config", config)
    assert (code, out, err) == (1, "", "vagus: it has ended, as closed\n")


async def test_the_token_of_a_poke_is_gone_after_it(node: Served, config: Path) -> None:
    assert (await vagus("intent", "poke", UNKNOWN, "--config", config))[0] == 1
    file = config.parent / "tokens.json"
    assert json.loads(file.read_bytes()) == {"tokens": []}
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("intent_id", "code", "said"),
    [
        (UNKNOWN, 1, "this node has not seen that intent"),
        ("0x12", 2, "'0x12' is no intent's id"),
        ("../status", 2, "'../status' is no intent's id"),
    ],
)
async def test_what_cannot_be_poked_or_shown_is_one_line(
    node: Served, config: Path, intent_id: str, code: int, said: str
) -> None:
    for command in ("poke", "show"):
        found, out, err = await vagus("intent", command, intent_id, "--config", config)
        assert (found, out) == (code, "")
        assert said in err
        assert err.count("\n") == 1


async def test_a_node_that_takes_no_tokens_is_not_poked(node: Served, tmp_path: Path) -> None:
    without = config_of(tmp_path, node.port, tokens="")
    code, out, err = await vagus("intent", "poke", UNKNOWN, "--config", without)
    assert (code, out) == (2, "")
    assert 'write tokens_file = "tokens.json" under [http]' in err
    other = tmp_path / "other"
    elsewhere = config_of(other, node.port)
    code, out, err = await vagus("intent", "poke", UNKNOWN, "--config", elsewhere)
    assert (code, out, err) == (1, "", "vagus: the node knows no such token\n")


async def test_tokens_that_systemd_hands_over_are_not_written_to(
    node: Served, tmp_path: Path
) -> None:
    tokens = 'tokens_file = "${CREDENTIALS_DIRECTORY}/tokens"\n'
    config = config_of(tmp_path, node.port, tokens=tokens)
    code, out, err = await vagus("intent", "poke", UNKNOWN, "--config", config)
    assert (code, out) == (2, "")
    assert f"send POST {node.root}/v1/intents/{UNKNOWN}/poke with one of yours" in err


async def test_no_node_is_said_in_one_line(tmp_path: Path) -> None:
    code, out, err = await vagus("intent", "poke", UNKNOWN, "--config", config_of(tmp_path, 1))
    assert (code, out) == (1, "")
    assert err == "vagus: no node answers at http://127.0.0.1:1: start it with `vagus run`\n"


async def test_a_node_on_an_address_of_version_6_is_asked_there(tmp_path: Path) -> None:
    config = config_of(tmp_path, 1)
    _, _, err = await vagus("intent", "list", "--config", config, VAGUS_HTTP__HOST="::1")
    assert "no node answers at http://[::1]:1" in err


async def test_what_a_node_shows_of_strangers_steers_no_terminal(
    node: Served, config: Path
) -> None:
    (record,) = await node.observe(1)
    await node.journal.move(record, Stage.FINAL)
    reason = "\x1b[2Jgone \x9b31m\nstage  settled"
    await node.journal.move(record, Stage.ROUTED, note=reason, reason=reason)
    for command in (("show", f"0x{record.id.hex()}"), ("list",)):
        code, out, err = await vagus("intent", *command, "--config", config)
        assert (code, err) == (0, "")
        assert "gone" in out
        assert {"\x1b", "\x9b"}.isdisjoint(out)
        assert "stage  settled" not in out.splitlines()
    _, out, _ = await vagus("intent", "list", "--config", config, "--json")
    assert out.removesuffix("\n").isprintable()
    assert json.loads(out)["intents"][0]["reason"] == reason


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--payload", "{}"), "chat@1 would refuse it: the payload is not understood: prompt"),
        (("--payload", "hello"), "chat@1 would refuse it: the payload is not JSON"),
        (("--payload", '{"prompt":"a","x":1}'), "chat@1 would refuse it"),
        (("--agent", "number@1", "--prompt", "How many?"), "number@1 would refuse it: the payload"),
        (("--agent", "nobody", "--prompt", "x"), "--agent 'nobody' is not name@major"),
    ],
    ids=["empty", "no JSON", "unknown key", "another agent's", "no agent"],
)
async def test_a_payload_that_its_agent_cannot_read_costs_nothing(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    command = ("intent", "send", "--config", config_of(tmp_path, 1), "--fee", "1")
    code, out, err = await vagus(*command, *options)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


async def test_a_payload_of_an_agent_that_is_not_here_is_sent_and_said_to_be_unchecked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.daemon.client.ANSWER_SECONDS", 0.5)
    config = config_of(tmp_path, 1)
    key, password = config.parent / "keys" / "user.json", config.parent / "keys" / "password"
    assert (await vagus("keys", "new", key, "--password-file", password))[0] == 0
    asked = ("--agent", "chat@2", "--payload", "anything", "--fee", "1")
    code, out, err = await vagus("intent", "send", "--config", config, *asked)
    assert (code, out) == (1, "")
    assert "the payload cannot be checked here: agent chat@2 is not installed" in err
    assert "eip155:31337 does not answer" in err


@pytest.mark.parametrize(
    ("backend", "waits"),
    [("local/SmolLM2", "for the answer of local/SmolLM2, since "), ("", "for its refusal, since ")],
)
async def test_a_routed_intent_says_for_what_it_waits_since_when_and_until_when(
    node: Served, config: Path, backend: str, waits: str
) -> None:
    (record,) = await node.observe(1)
    await node.journal.move(record, Stage.FINAL)
    await node.journal.move(record, Stage.ROUTED, backend=backend)
    shown = await node.journal.intent(record.id)
    assert shown is not None
    since = datetime.fromtimestamp(int(shown.updated_at), UTC)
    code, out, _ = await vagus("intent", "show", "0x" + record.id.hex(), "--config", config)
    (line,) = [line for line in out.splitlines() if line.startswith("waits")]
    assert code == 0
    assert line.split(maxsplit=1)[1] == (
        f"{waits}{since:%Y-%m-%d %H:%M:%S} UTC; its deadline is 2033-05-18 03:33:20 UTC"
    )


async def test_an_intent_that_has_ended_waits_for_nothing(node: Served, config: Path) -> None:
    (record,) = await node.observe(1)
    await node.journal.move(record, Stage.LEFT, reason="left to its refund")
    _, out, _ = await vagus("intent", "show", "0x" + record.id.hex(), "--config", config)
    assert "waits" not in out
