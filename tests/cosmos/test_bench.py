"""`vagus bench chain` on wasmd."""

import json
import subprocess
import sys
from pathlib import Path

VAGUS = str(Path(sys.executable).with_name("vagus"))


def test_a_cosmos_chain_is_measured_too() -> None:
    done = subprocess.run(
        [VAGUS, "bench", "chain", "--chains", "cosmos", "--intents", "120", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert (found["chain"], found["node"], found["intents"]) == ("cosmos", "wasmd", 120)
    for figures in (found["readings"], found["deliveries"]):
        assert [each["quorum"] for each in figures] == ["1 of 1", "2 of 3"]
    assert all(each["intents_per_s"] > 0 < each["chain_s"] for each in found["readings"])
    assert all(each["adapter_per_s"] > 0 < each["chain_per_s"] for each in found["deliveries"])
