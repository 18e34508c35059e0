"""`vagus bench pipeline` does what a node does, and says what it measured."""

import json
import sqlite3
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from support.journal_rows import SETTLED_ROWS, rows_per_intent
from vagus.daemon.bench.limit import run_limit
from vagus.daemon.bench.pipeline import measure
from vagus.daemon.bench.stub_model import running_model
from vagus.protocol import VagusError

LIMIT = Path(__file__).parents[2] / "benchmarks" / "limits" / "run"
WARM_UP = 32
INTENTS = 40


def bench(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    vagus = str(Path(sys.executable).with_name("vagus"))
    return subprocess.run(
        [vagus, "bench", "pipeline", "--intents", str(INTENTS), *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of one run."""
    path = tmp_path_factory.mktemp("bench") / "journal.sqlite"
    with running_model() as url:
        run = measure(url, 8, INTENTS, path)
    assert (run.in_flight, run.intents) == (8, INTENTS)
    assert 0 < run.p50_ms <= run.p99_ms
    return path


def test_a_run_writes_every_row_that_a_node_writes(journal: Path) -> None:
    assert rows_per_intent(journal) == SETTLED_ROWS


def test_every_intent_of_a_run_is_settled(journal: Path) -> None:
    db = sqlite3.connect(journal)
    rows = db.execute("SELECT stage, status, COUNT(*), MIN(length(output)) FROM intents GROUP BY 1")
    assert rows.fetchall() == [(9, 0, WARM_UP + INTENTS, 600)]
    db.close()


def test_the_transactions_of_a_run_are_real(journal: Path) -> None:
    db = sqlite3.connect(journal)
    nonces: dict[str, list[int]] = defaultdict(list)
    for lane, tx_id, state in db.execute("SELECT lane, tx_id, state FROM txs ORDER BY key"):
        raw = state[32:]
        tx = TypedTransaction.from_bytes(HexBytes(raw))
        assert "0x" + keccak(raw).hex() == tx_id
        assert (
            lane == f"eip155:{tx.as_dict()['chainId']}:{Account.recover_transaction(raw).lower()}"
        )
        nonces[lane].append(tx.as_dict()["nonce"])
    db.close()
    assert len(nonces) == 2
    assert all(each == list(range(WARM_UP + INTENTS)) for each in nonces.values())


def test_the_models_server_ends_with_the_run() -> None:
    with (
        running_model() as url,
        urllib.request.urlopen(f"{url}/chat/completions", data=b"{}") as answer,
    ):
        assert len(json.load(answer)["choices"][0]["message"]["content"]) == 600
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/chat/completions", data=b"{}")


def test_the_figures_are_one_json_object_with_the_ratio_to_the_limit(tmp_path: Path) -> None:
    done = bench(tmp_path, "--in-flight", "1", "--in-flight", "64", "--limit", str(LIMIT), "--json")
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    assert [run["in_flight"] for run in found["runs"]] == [1, 64]
    for run in found["runs"]:
        assert {"in_flight", "intents_per_s", "p50_ms", "p99_ms", "cpu_us"} <= run.keys()
    rate = found["runs"][1]["intents_per_s"]
    assert found["ratio"] == pytest.approx(rate / found["limit"]["intents_per_s"], abs=0.001)
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_the_limit_says_so_loudly(tmp_path: Path) -> None:
    done = bench(tmp_path, "--in-flight", "4")
    assert done.returncode == 0, done.stderr
    assert "THE LIMIT WAS NOT RUN" in done.stderr
    assert "ratio" not in done.stdout
    assert done.stdout.split()[:2] == ["in", "flight"]


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(stat.S_IRWXU)
    return path


def test_the_limits_rate_is_read_from_what_it_prints(tmp_path: Path) -> None:
    line = (
        "pipeline sync=FULL conc=64 tx=hand peers=2      2,402.6 intents/s  [2,1.0..2,5.0] (4 us)"
    )
    found = run_limit(script(tmp_path / "run", f"echo '{line}'"), 64, 10, tmp_path)
    assert (found.in_flight, found.intents_per_s) == (64, 2402.6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo no module named httptools >&2; exit 1", "failed: no module named httptools"),
        ("true", "failed: it printed nothing"),
    ],
)
def test_a_limit_that_fails_is_said_in_its_words(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(VagusError, match=reason):
        run_limit(script(tmp_path / "run", text), 64, 10, tmp_path)
    with pytest.raises(VagusError, match="cannot be run"):
        run_limit(tmp_path / "none", 64, 10, tmp_path)


def test_the_help_explains_the_figures(tmp_path: Path) -> None:
    done = bench(tmp_path, "--help")
    for word in ("intents/s", "p50", "CPU", "ratio", "--in-flight", "--limit", "--json"):
        assert word in done.stdout
