"""`vagus sandbox` as a script uses it: one line, an API that answers, an end by Ctrl-C that leaves nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

# What each prints besides base_url and api_key, and a path that asks for a key.
NAMES = {
    "akash": (set(), "/v1/deployments"),
    "ionet": (set(), "/enterprise/v1/io-cloud/caas/deployments"),
    "render": ({"secret_key"}, "/v1/jobs"),
    "gpunet": ({"rpc", "contract", "machine"}, "/models"),
}


def status(url: str) -> int:
    """The HTTP status of a GET without a key, 0 where nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:
        return 0


@pytest.mark.parametrize("name", NAMES)
def test_a_sandbox_says_where_it_is_and_ends_by_ctrl_c(name: str) -> None:
    more, path = NAMES[name]
    command = [sys.executable, "-m", "vagus.daemon", "sandbox", name, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        assert set(shown) == {"base_url", "api_key"} | more
        assert status(shown["base_url"] + path) == 401
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
    assert process.returncode == 0
    assert status(shown["base_url"] + path) == 0
    if "rpc" in shown:
        assert status(shown["rpc"]) == 0
