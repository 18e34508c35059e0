"""A chain that goes on under another id: its state is exported, as for a hard fork, and started again."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from support.loop_thread import loop_thread
from support.wasmd import Chain
from vagus.adapters.cosmos.devnet import Wasmd
from vagus.daemon.wasmd import wasmd_path

__all__ = ["forked"]


class Forked(Wasmd):
    """A node that starts from another chain's state, with that chain's validator."""

    def __init__(self, chain_id: str, genesis: dict[str, Any], key: SigningKey) -> None:
        super().__init__(wasmd_path(), chain_id, steered=True)
        self._genesis = genesis
        self._validator_key = key

    async def _started(self, home: Path, key: SigningKey, outer: AsyncExitStack) -> None:
        del key  # the fresh one, that the state knows nothing of
        (home / "config/genesis.json").write_text(json.dumps(self._genesis))
        await super()._started(home, self._validator_key, outer)


@contextlib.contextmanager
def forked(chain: Chain, chain_id: str) -> Iterator[Chain]:
    """The chain with its state of now and another id, beside the one that goes on."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "home"
        # The chain stands still: nothing is written meanwhile.
        shutil.copytree(_home(chain), copy, ignore=shutil.ignore_patterns("*.sock"))
        genesis = _exported(copy)
        document = json.loads((copy / "config/priv_validator_key.json").read_text())
    key = SigningKey(base64.b64decode(document["priv_key"]["value"])[:32])
    node = Forked(chain_id, genesis | {"chain_id": chain_id, "initial_height": 1}, key)
    with loop_thread() as thread:
        yield Chain(thread.enter(node), thread)


def _home(chain: Chain) -> Path:
    """The folder of a running node, by its command line."""
    arguments = Path(f"/proc/{chain.node.pid}/cmdline").read_bytes().decode().split("\0")
    (home,) = (a.removeprefix("--home=") for a in arguments if a.startswith("--home="))
    return Path(home)


def _exported(home: Path) -> dict[str, Any]:
    binary = wasmd_path()
    done = subprocess.run(
        [str(binary), "export", "--for-zero-height", "--home", str(home)],
        env={**os.environ, "LD_LIBRARY_PATH": str(binary.parent)},
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)
