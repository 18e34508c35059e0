"""JSON nested without end, from whoever serves it, is an error and never the end of the process."""

import subprocess
import sys

NESTED = """
import sys
import msgspec
import vagus.daemon.node
assert "py_ecc.bls" not in sys.modules, "half a second of each command"
import eth_keyfile.keyfile, web3
from vagus.compute.wire import decode_answer
class Body(msgspec.Struct):
    result: int = 0
for start in (b'{"unknown":' + b"[" * 1_000_000, b'{"unknown":' + b'{"a":' * 1_000_000):
    for kind in (Body, object):
        try:
            msgspec.json.decode(start, type=kind)
        except RecursionError:
            print("an error")
"""


def test_a_node_survives_nested_json_of_a_server() -> None:
    """In a process of its own, which is what a node's imports have made of the recursion limit.

    The curves that a keystore needs, and web3, come when they are first used: later than the limit.
    """
    done = subprocess.run(
        [sys.executable, "-c", NESTED], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "an error\n" * 4), done.stderr
