"""`vagus worker` as its owner calls it."""

import asyncio
import os
import sys
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.mosquitto import Mosquitto
from support.openai_server import OpenAIServer, openai_server
from vagus.adapters.evm.keystore import create_keystore
from vagus.compute.edge.config import EdgeConfig
from vagus.daemon.cli import app
from vagus.daemon.config import ConfigError
from vagus.daemon.worker import parse_model, usd

VAGUS = Path(sys.executable).parent / "vagus"
NODE = f"0x{'ab' * 20}"


@dataclass
class Done:
    code: int
    out: str
    err: str


async def vagus_worker(folder: Path, *arguments: str, **env: str) -> Done:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("VAGUS_")}
    process = await asyncio.create_subprocess_exec(
        str(VAGUS),
        "worker",
        *arguments,
        env=kept | {"VAGUS_WORKER_FOLDER": str(folder), "COLUMNS": "200"} | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A worker's folder, whose key is cheap to open."""
    made = tmp_path / "worker"
    made.mkdir(mode=0o700)
    (made / "password").write_text("password")
    (made / "password").chmod(0o600)
    create_keystore(made / "worker.json", "password", cost=1 << 12)
    return made


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with openai_server() as found:
        yield found


async def test_check_asks_the_server_and_writes_to_the_broker(
    folder: Path, server: OpenAIServer, tmp_path: Path
) -> None:
    async with Mosquitto(tmp_path) as broker:
        done = await vagus_worker(
            folder,
            "--check",
            VAGUS_WORKER_BROKER=broker.url,
            VAGUS_WORKER_SERVE=server.base_url,
            VAGUS_WORKER_NODE=f"{NODE} 0x{'cd' * 20}",
        )
    assert done.code == 0, done.err
    address = done.out.split()[1]
    assert f'workers = ["{address}"]' in done.err
    assert "answered in" in done.err
    assert "repeater, repeater-2" in done.err
    assert f"{broker.url} takes what this worker writes" in done.err
    assert [body["max_tokens"] for body in server.bodies] == [1, 1]
    assert f"vagus-edge/1/{address[2:]}/offer" in broker.log


async def test_what_it_prints_for_a_nodes_config_is_one(folder: Path) -> None:
    """Lines that a node's operator copies, with the most that any of its models costs."""
    done = await vagus_worker(
        folder,
        *("--broker=mqtt://127.0.0.1:1", "--serve=http://127.0.0.1:1/v1", f"--node={NODE}"),
        *("--output=0.4", "--model=name=a,input=0.15", "--model=name=b,output=1.2", "--check"),
    )
    assert done.err.splitlines()[-1].startswith("vagus: --serve http://127.0.0.1:1/v1: ")
    assert done.err.endswith("is its key, if it wants one, in --api-key-file?\n")
    copied = [line for line in done.err.splitlines() if line.startswith("  ")]
    [table] = tomllib.loads("\n".join(copied))["backends"]
    config = EdgeConfig.model_validate(table)
    assert config.workers == (done.out.split()[1],)
    assert (config.max_price.input, config.max_price.output) == (Decimal("0.15"), Decimal("1.2"))
    bare = [line.replace("# ", "", 1) for line in copied if "username" in line or "_file" in line]
    assert tomllib.loads("\n".join(bare)) == {
        "username": NODE[2:],
        "password_file": "keys/edge-password",
    }
    assert "\\n" not in done.err


async def test_check_says_that_the_broker_lets_it_not_write(
    folder: Path, server: OpenAIServer, tmp_path: Path
) -> None:
    (tmp_path / "acl").write_text("topic read #\n")
    text = f"listener {{port}} 127.0.0.1\nallow_anonymous true\nacl_file {tmp_path}/acl\n"
    async with Mosquitto(tmp_path, text) as broker:
        done = await vagus_worker(
            folder,
            "--check",
            f"--broker={broker.url}",
            f"--serve={server.base_url}",
            f"--node={NODE}",
        )
    assert done.code == 1
    assert f"does not let this worker write: its user name has to be {done.out.split()[1][2:]}" in (
        done.err
    )


async def test_it_can_be_stopped_while_it_waits_for_its_server(folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(str(VAGUS), "worker", f"--folder={folder}", f"--node={NODE}"),
        *("--broker=mqtt://127.0.0.1:1", "--serve=http://127.0.0.1:1/v1"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = b""
    while b"the model server is not there yet" not in said:
        line = await process.stderr.readline()
        assert line, said
        said += line
    process.terminate()
    _, rest = await process.communicate()
    assert (process.returncode, b"Traceback" in said + rest) == (0, False)


async def test_a_server_that_can_be_none_is_said(folder: Path) -> None:
    done = await vagus_worker(
        folder, "--broker=mqtt://127.0.0.1:1", "--serve=ftp://x", f"--node={NODE}"
    )
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert "--serve: base_url: write http:// or https://" in done.err
    assert "pattern" not in done.err


async def test_a_server_that_refuses_ends_it_for_good(folder: Path, server: OpenAIServer) -> None:
    """systemd does not start it again."""
    done = await vagus_worker(
        folder,
        "--broker=mqtt://127.0.0.1:1",
        f"--serve={server.base_url}",
        f"--node={NODE}",
        "--api-key-file=/nowhere",
    )
    assert done.code == 3
    assert "the API key in /nowhere can't be read" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--node=0x12"], "--node 0x12: no address: 0x and 40 hex digits"),
        (["--broker=http://broker"], "--broker: url: write mqtt://host:port"),
        (["--broker=mqtt://h:0"], "--broker: url: write mqtt://host:port"),
        (["--slots=2", "--per-node=5"], "--per-node 5: there are --slots 2 in all"),
        (["--model=name=a,colour=red"], "unknown: colour; there are name, served_as"),
        (["--input=-1"], "no price in US dollars"),
        (["--model=a", "--model=a"], "--model: one is there more than once"),
    ],
)
def test_what_is_wrong_with_an_option_is_said_in_words(
    folder: Path, arguments: list[str], words: str
) -> None:
    right = ["--broker=mqtt://127.0.0.1:1", "--serve=http://127.0.0.1:1/v1", f"--node={NODE}"]
    given = {each.split("=")[0] for each in arguments}
    kept = [each for each in right if each.split("=")[0] not in given]
    done = CliRunner().invoke(app, ["worker", f"--folder={folder}", *kept, *arguments])
    assert isinstance(done.exception, ConfigError)
    assert words in str(done.exception)


def test_a_model_is_a_name_or_all_that_is_known_of_it() -> None:
    bare = parse_model("Qwen/Qwen3-32B", ("0.1", "0.4"))
    assert (bare.config.name, bare.offered.input, bare.offered.output) == (
        "Qwen/Qwen3-32B",
        "0.1",
        "0.4",
    )
    text = "name=Qwen/Qwen3-32B,served_as=qwen3,quantization=fp8,context=32768,input=0.10,output=1"
    full = parse_model(text, ("0", "0"))
    assert full.config.served_as == "qwen3"
    offered = full.offered
    assert (offered.quantization, offered.context, offered.revision) == ("fp8", 32768, None)
    assert (offered.input, offered.output) == ("0.1", "1")


@pytest.mark.parametrize(
    ("text", "plain"),
    [("0", "0"), ("1e2", "100"), ("0.150", "0.15"), ("1E-12", "0.000000000001")],
)
def test_a_price_is_announced_in_plain_decimals(text: str, plain: str) -> None:
    assert usd(text) == plain


@pytest.mark.parametrize("text", ["", "a", "-0.1", "nan", "inf", "1e-13", "1000001"])
def test_what_is_no_price_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no price"):
        usd(text)


@pytest.mark.parametrize(
    "text", ["", "name=", "name=a,weights=00", "name=a,context=many", "served_as=a"]
)
def test_what_is_no_model_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="--model"):
        parse_model(text, ("0", "0"))
