"""`vagus bench chain` on real nodes: what it prints, and what it leaves behind."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

VAGUS = str(Path(sys.executable).with_name("vagus"))


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [VAGUS, "bench", "chain", *options], capture_output=True, text=True, check=False
    )


def children(pid: int) -> list[str]:
    """The commands of a process's children."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path(f"/proc/{child}/cmdline").read_text() for child in found]


def check(found: dict[str, Any], intents: int) -> None:
    """Hold one chain's figures against each other."""
    assert found["intents"] == intents
    assert [each["quorum"] for each in found["readings"]] == ["1 of 1", "2 of 3"]
    assert [each["quorum"] for each in found["deliveries"]] == ["1 of 1", "2 of 3"]
    for each in found["readings"]:
        assert each["ratio"] == pytest.approx(each["adapter_s"] / each["chain_s"], abs=0.02)
        assert each["intents_per_s"] == pytest.approx(intents / each["adapter_s"], rel=0.01)
    assert all(each["adapter_per_s"] > 0 < each["chain_per_s"] for each in found["deliveries"])


def test_the_figures_are_one_json_list() -> None:
    """Of both kinds of chains whose nodes are there at once."""
    done = bench("--chains", "eip155,solana", "--intents", "120", "--json")
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    evm, solana = json.loads(line)
    for each in (evm, solana):
        check(each, 120)
    assert (evm["chain"], evm["node"], evm["peer"]) == ("eip155", "anvil", "web3.py")
    assert evm["peer_s"] > 0
    assert (solana["chain"], solana["node"]) == ("solana", "LiteSVM")
    assert solana["peer_s"] is None
    assert done.stderr.count("120 of 120") == 4


def test_a_kind_that_is_none_is_named_before_anything_starts() -> None:
    done = bench("--chains", "eip155,bitcoin")
    assert done.returncode == 2
    assert "'bitcoin' is none of eip155, solana, cosmos" in done.stderr
    assert "Asking" not in done.stderr


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
    _print_chain(ChainBench("eip155", "anvil", 120, "web3.py", 3.0, (reading,), tuple(sent)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].endswith("too small to say")
    assert lines[-1].endswith(" 1.25")
    assert "-" not in "".join(lines)
