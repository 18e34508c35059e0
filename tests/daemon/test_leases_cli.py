"""`vagus leases` and what doctor says of machines that are rented."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.journals import HUB
from support.leases import CONTAINER, MODEL
from support.loop_thread import loop_thread
from vagus.compute.leases.base import Quote, Want
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.records import State
from vagus.compute.leases.spend import Cap
from vagus.compute.sandbox.akash import AkashSandbox
from vagus.daemon.choices import ChainChoice
from vagus.daemon.cli import app
from vagus.daemon.config import backend_of
from vagus.daemon.doctor.finding import Verdict
from vagus.daemon.doctor.leases import look_at_leases, look_at_unattended
from vagus.daemon.folder import make_keys, write_config
from vagus.daemon.journal.lock import data_folder

QUOTE = Quote(Want(CONTAINER, hours=1), "rtx4090/24Gi", "rtx4090", Decimal("0.5"))
CAP = Cap(10_000_000, 10_000_000)
TABLE = """
[[backends]]
kind = "akash"
name = "gpu"
base_url = "{base_url}"
api_key_file = "akash.key"
image = "vllm/vllm-openai:v0.11.0"
args = ["--model", "{model}"]
models = [{{ name = "{model}" }}]
max_hourly = "0.60"
spend_hour = "1.50"
spend_day = "12"
"""


def config(folder: Path, base_url: str, api_key: str) -> Path:
    chosen = ChainChoice(HUB.rpartition(":")[0], HUB, ("http://127.0.0.1:9/",))
    path = write_config(make_keys(folder, "devnet"), "devnet", [chosen], 9464)
    path.write_text(path.read_text() + TABLE.format(base_url=base_url, model=MODEL))
    key = folder / "akash.key"
    key.touch(mode=0o600)
    key.write_text(api_key)
    (folder / "data").mkdir()
    return path


async def rent(data: Path, backend: str = "gpu") -> int:
    """Note a lease that the network was asked for, as a node that was killed then leaves it."""
    async with Ledger(data) as ledger:
        row = await ledger.intend(backend, "akash", QUOTE, CAP, 1_800_000_000)
        await ledger.asked(row.number, 1_800_000_000)
        await ledger.leased(row.number, "7", None)
        return row.number


async def state(data: Path, number: int) -> State:
    async with Ledger(data) as ledger:
        return (await ledger.row(number)).state


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_nothing_rented_is_said_and_changes_nothing(tmp_path: Path) -> None:
    path = config(tmp_path, "http://127.0.0.1:9", "key")
    code, out, err = run("leases", "list", "-c", path)
    assert code == 0
    assert "nothing is rented" in err
    assert "gpu: 0.00 of 1.50 USD in the last hour, 0.00 of 12.00 in the last day" in out
    assert not list((tmp_path / "data").iterdir())


def test_leases_are_listed_with_what_they_cost_and_who_ends_them(tmp_path: Path) -> None:
    path = config(tmp_path, "http://127.0.0.1:9", "key")
    asyncio.run(rent(tmp_path / "data"))
    asyncio.run(rent(tmp_path / "data", "renamed"))
    code, out, _ = run("leases", "list", "-c", path, "--json")
    shown = json.loads(out)
    assert code == 0
    assert [(each["backend"], each["state"], each["hourly_usd"]) for each in shown["leases"]] == [
        ("gpu", "leased", "0.50"),
        ("renamed", "leased", "0.50"),
    ]
    _, out, _ = run("leases", "list", "-c", path)
    assert "no backend renamed is in the config any more" in out
    [finding] = asyncio.run(look_at_unattended(tmp_path / "data", {"gpu"}))
    assert finding.verdict == Verdict.FAIL
    assert "vagus leases release 2" in finding.advice


def test_a_release_without_a_node_is_done_at_once(tmp_path: Path) -> None:
    with loop_thread() as loop:
        sandbox = loop.enter(AkashSandbox())
        path = config(tmp_path, sandbox.base_url, sandbox.api_key)
        number = asyncio.run(rent(tmp_path / "data"))
        code, _, err = run("leases", "release", number, "-c", path)
        assert (code, "ending what gpu has rented" in err) == (0, True)
        assert asyncio.run(state(tmp_path / "data", number)) == State.RELEASED
        assert "DELETE /v1/deployments/7" in sandbox.calls


def test_a_network_that_is_away_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is away comes first by name, and is waited for to the end."""
    monkeypatch.setattr("vagus.daemon.cli.leases.PATIENCE", 5.0)
    with loop_thread() as loop:
        sandbox = loop.enter(AkashSandbox())
        path = config(tmp_path, sandbox.base_url, sandbox.api_key)
        away = TABLE.format(base_url="http://127.0.0.1:9", model=MODEL).replace('"gpu"', '"away"')
        path.write_text(path.read_text() + away)
        lost = asyncio.run(rent(tmp_path / "data", "away"))
        number = asyncio.run(rent(tmp_path / "data"))
        code, _, err = run("leases", "release", "--all", "-c", path)
    assert code == 1
    assert asyncio.run(state(tmp_path / "data", number)) == State.RELEASED
    assert asyncio.run(state(tmp_path / "data", lost)) == State.RELEASING
    assert err.index("gpu: all ended") < err.index("away: 1 not ended yet")
    assert f"not ended yet: {lost};" in err


def test_a_key_that_is_not_there_holds_up_no_other(tmp_path: Path) -> None:
    with loop_thread() as loop:
        sandbox = loop.enter(AkashSandbox())
        path = config(tmp_path, sandbox.base_url, sandbox.api_key)
        keyless = TABLE.format(base_url=sandbox.base_url, model=MODEL).replace('"gpu"', '"away"')
        path.write_text(path.read_text() + keyless.replace("akash.key", "gone.key"))
        lost = asyncio.run(rent(tmp_path / "data", "away"))
        number = asyncio.run(rent(tmp_path / "data"))
        code, _, err = run("leases", "release", "--all", "-c", path)
    assert code == 1
    assert asyncio.run(state(tmp_path / "data", number)) == State.RELEASED
    assert asyncio.run(state(tmp_path / "data", lost)) == State.RELEASING
    assert "gone.key can't be read" in err


def test_a_release_beside_a_node_is_left_to_it(tmp_path: Path) -> None:
    path = config(tmp_path, "http://127.0.0.1:9", "key")
    number = asyncio.run(rent(tmp_path / "data"))
    with data_folder(tmp_path / "data"):
        code, _, err = run("leases", "release", "--all", "-c", path)
    assert code == 0
    assert "ends 1 within a minute" in err
    assert asyncio.run(state(tmp_path / "data", number)) == State.RELEASING


def test_a_release_wants_to_know_what(tmp_path: Path) -> None:
    path = config(tmp_path, "http://127.0.0.1:9", "key")
    for words in ((), (3, "--all")):
        result = CliRunner().invoke(app, ["leases", "release", *map(str, words), "-c", str(path)])
        assert "give --all" in str(result.exception)


async def test_doctor_says_what_an_account_has_and_what_is_not_ours(tmp_path: Path) -> None:
    async with AkashSandbox() as sandbox:
        path = config(tmp_path, sandbox.base_url, sandbox.api_key)
        table = {
            "kind": "akash",
            "name": "gpu",
            "base_url": sandbox.base_url,
            "api_key_file": path.parent / "akash.key",
            "image": "vllm/vllm-openai:v0.11.0",
            "models": [{"name": MODEL}],
            "max_hourly": "0.60",
            "spend_hour": "1.50",
            "spend_day": "12",
        }
        backend = backend_of(table, "backends.0")
        found = await look_at_leases(backend, tmp_path / "data")  # type: ignore[arg-type]
        assert (found.verdict, found.finding) == (
            Verdict.OK,
            "100.00 USD of credit, running: nothing, 0.00 of 12.00 USD in the last day",
        )
        sandbox.credit = Decimal("0.10")
        assert "add credit" in (await look_at_leases(backend, tmp_path / "data")).advice  # type: ignore[arg-type]
        sandbox.api_key = "another"
        assert (await look_at_leases(backend, tmp_path / "data")).verdict == Verdict.FAIL  # type: ignore[arg-type]
