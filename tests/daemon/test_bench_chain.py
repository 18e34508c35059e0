"""`vagus bench chain` on a real anvil: what it prints, and what it leaves behind."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

VAGUS = str(Path(sys.executable).with_name("vagus"))


def children(pid: int) -> list[str]:
    """The commands of a process's children."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path(f"/proc/{child}/cmdline").read_text() for child in found]


def test_the_figures_are_one_json_object() -> None:
    done = subprocess.run(
        [VAGUS, "bench", "chain", "--intents", "120", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    assert found["intents"] == 120
    assert [each["quorum"] for each in found["readings"]] == ["1 of 1", "2 of 3"]
    assert [each["quorum"] for each in found["deliveries"]] == ["1 of 1", "2 of 3"]
    for each in found["readings"]:
        assert each["ratio"] == pytest.approx(each["adapter_s"] / each["chain_s"], rel=0.2)
    assert all(each["adapter_per_s"] > 0 < each["chain_per_s"] for each in found["deliveries"])
    assert found["web3_s"] > 0
    assert "120 of 120" in done.stderr


def test_a_signal_ends_it_and_its_chain() -> None:
    command = [VAGUS, "bench", "chain", "--intents", "50000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as bench:
        assert bench.stderr is not None
        said = ""
        while "of 50,000" not in said:
            said = bench.stderr.readline()
            assert said, "it ended by itself"
        (chain,) = [each for each in children(bench.pid) if "anvil" in each]
        assert "--port" in chain
        pids = Path(f"/proc/{bench.pid}/task/{bench.pid}/children").read_text().split()
        bench.send_signal(signal.SIGINT)
        _, rest = bench.communicate()
        assert bench.returncode == 130
        assert "nothing is left behind" in rest
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_time_under_nothing_is_said_to_be_too_small(capsys: pytest.CaptureFixture[str]) -> None:
    """In a short run the bare client may be the slower one, by chance."""
    from vagus.daemon.bench.chain import ChainBench
    from vagus.daemon.bench.delivering import Deliveries
    from vagus.daemon.bench.reading import Reading
    from vagus.daemon.cli.bench import _print_chain

    reading = Reading("1 of 1", chain_s=2.0, adapter_s=1.5, ratio=0.75, intents_per_s=80.0)
    sent = [
        Deliveries("1 of 1", chain_per_s=90.0, adapter_per_s=95.0, node_ms=each)
        for each in (-6.31, 1.25)
    ]
    _print_chain(ChainBench(120, 3.0, (reading,), tuple(sent)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].endswith("too small to say")
    assert lines[-2].endswith(" 1.25")
    assert lines[-1].endswith("the node adds too small to say")
    assert "-" not in "".join(lines)
