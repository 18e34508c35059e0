"""`vagus sandbox`: a network's API in a process of its own, for somebody else's client."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from openai import OpenAI

from vagus.compute.sandbox import SANDBOXES, Sandbox, sandbox_class

VAGUS = Path(sys.executable).parent / "vagus"


def sandbox(*arguments: object) -> subprocess.Popen[str]:
    command = [str(VAGUS), "sandbox", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


@pytest.mark.parametrize("name", ["akashml", "ionet-intelligence"])
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_one_line_once_it_listens_and_ends_cleanly(
    name: str, end: signal.Signals
) -> None:
    with sandbox(name, "--json") as process:
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        assert set(shown) == {"base_url", "api_key"}
        with OpenAI(**shown, max_retries=0) as client:
            model = client.models.list().data[0].id
            messages = [{"role": "user", "content": "Hello"}]
            found = client.chat.completions.create(model=model, messages=messages, max_tokens=3)
        assert found.usage.completion_tokens == 3
        process.send_signal(end)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def test_without_json_a_person_is_told_what_to_do() -> None:
    with sandbox("akashml") as process:
        assert process.stdout is not None
        first, second = process.stdout.readline().split(), process.stdout.readline().split()
        assert (first[0], second[0]) == ("base_url", "api_key")
        assert process.stderr is not None
        assert "Ctrl-C" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_a_port_that_is_taken_and_an_unknown_name_are_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with sandbox("akashml", "--port", port) as process:
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (2, "")
        assert err.startswith(f"vagus: 127.0.0.1:{port} can't be listened on")
        assert "port 0 takes a free one" in err
    with sandbox("nosuch") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert "akashml" in err


def test_without_a_name_all_are_listed() -> None:
    with sandbox("--json") as process:
        out, _ = process.communicate(timeout=30)
    listed = json.loads(out)["sandboxes"]
    assert listed == {name: entry.about for name, entry in SANDBOXES.items()}


@pytest.mark.parametrize("name", sorted(SANDBOXES))
def test_each_that_is_listed_is_there(name: str) -> None:
    assert issubclass(sandbox_class(name), Sandbox)
