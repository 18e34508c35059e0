"""An installation without the extra for Solana says so in one line, and works for other chains."""

import subprocess
import sys

CODE = """
import sys
sys.modules["solders"] = None
from vagus.adapters.registry import adapter_class, installed
assert adapter_class("eip155").__name__ == "EvmAdapter"
faults = {one.namespace: one.fault for one in installed()}
assert not faults["eip155"]
print(faults["solana"])
"""


def test_a_missing_extra_is_one_line_that_names_it() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert "pip install 'vagus[solana]'" in line
