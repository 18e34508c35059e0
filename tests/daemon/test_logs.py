"""What is logged: an event a line or a journal entry, and nothing that a secret could be in."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PREFIX = "import structlog, logging\nfrom vagus.daemon.service.logs import set_up\n"
FAILING = """
def sign(password):
    raise ValueError("no key here")
def work():
    secret = "canary-7f3a"
    sign(secret)
"""


def said(script: str) -> str:
    """What a process with this script writes to stderr."""
    command = [sys.executable, "-c", PREFIX + script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


def lines(script: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said(script).splitlines()]


def test_each_line_is_one_json_object() -> None:
    script = """
set_up("info", "json")
log = structlog.get_logger("vagus.test").bind(intent="0x12")
log.info("one", chain="eip155:1")
log.warning("two\\nlines", reason='quoted "text" \\u2028')
"""
    one, two = lines(script)
    assert (one["event"], one["level"], one["intent"]) == ("one", "info", "0x12")
    assert one["timestamp"].endswith("Z")
    assert two["event"] == "two\nlines"


IN_A_CONTEXT = """
structlog.contextvars.bind_contextvars(intent="0x12", chain="eip155:1")
structlog.get_logger("vagus.adapters.evm.sender").warning("nonce filled", chain="eip155:2", nonce=7)
logging.getLogger("aiohttp").error("from a library")
"""


def test_an_event_has_what_its_task_is_about_and_its_own_word_counts_more() -> None:
    own, library = lines(f'set_up("info", "json")\n{IN_A_CONTEXT}')
    assert (own["intent"], own["chain"], own["nonce"]) == ("0x12", "eip155:2", 7)
    assert (library["intent"], library["chain"]) == ("0x12", "eip155:1")


def test_what_a_task_is_about_is_in_fields_of_the_journal(tmp_path: Path) -> None:
    (own, library), _ = entries(IN_A_CONTEXT, tmp_path)
    assert (own["VAGUS_INTENT"], own["VAGUS_CHAIN"]) == ("0x12", "eip155:2")
    assert (library["VAGUS_INTENT"], library["VAGUS_CHAIN"]) == ("0x12", "eip155:1")


def test_the_format_is_json_where_stderr_is_no_terminal() -> None:
    [line] = lines('set_up("info", "auto")\nstructlog.get_logger().info("hello")')
    assert line["event"] == "hello"


def test_what_is_under_the_level_is_not_written() -> None:
    script = 'set_up("warning", "json")\nstructlog.get_logger().info("quiet")'
    assert said(script) == ""


def test_a_traceback_is_a_field_of_its_line_and_shows_no_local_variable() -> None:
    script = f"""{FAILING}
set_up("info", "json")
try:
    work()
except ValueError:
    structlog.get_logger().exception("broken")
"""
    [line] = lines(script)
    assert "ValueError: no key here" in line["exception"]
    assert "canary" not in json.dumps(line)


def test_a_traceback_for_people_shows_no_local_variable_either() -> None:
    script = f"""{FAILING}
set_up("info", "console")
try:
    work()
except ValueError:
    structlog.get_logger().exception("broken")
"""
    text = said(script)
    assert "ValueError: no key here" in text
    assert "canary" not in text


def test_what_a_library_logs_leaves_in_the_same_form() -> None:
    script = f"""{FAILING}
set_up("info", "json")
logging.getLogger("aiohttp").info("too much")
logging.getLogger("aiohttp").warning("from %s", "a library")
try:
    work()
except ValueError:
    logging.getLogger("asyncio").exception("task failed")
"""
    first, second = lines(script)
    assert (first["event"], first["level"]) == ("from a library", "warning")
    assert second["event"] == "task failed"
    assert "no key here" in second["exception"]
    assert "canary" not in json.dumps(second)


HOSTILE = "x\\n\\r\\x1b[2J\\u202e\\u2028<0>forged\\nMESSAGE=forged"


def test_a_strangers_text_is_one_line_for_people_and_steers_no_terminal() -> None:
    text = said(f'set_up("info", "console")\nstructlog.get_logger().info("a", reason="{HOSTILE}")')
    assert text.count("\n") == 1
    assert text.rstrip("\n").isprintable()
    assert "forged" in text


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_has_colours_unless_they_are_not_wanted(no_color: str, coloured: bool) -> None:
    """And a pipe has none, as the test above has it."""
    script = PREFIX + 'set_up("info", "console")\nstructlog.get_logger().info("a", reason="b")'
    ours, theirs = os.openpty()
    env = {**os.environ, "NO_COLOR": no_color}
    subprocess.run([sys.executable, "-c", script], stderr=theirs, env=env, check=True)
    os.close(theirs)
    text = os.read(ours, 4096).decode()
    os.close(ours)
    assert ("\x1b[" in text) is coloured
    assert "reason" in re.sub(r"\x1b\[[0-9;]*m", "", text)


JOURNALLED = """
import pathlib, sys
set_up("info", "journald", pathlib.Path(sys.argv[1]))
"""


def entries(script: str, folder: Path) -> tuple[list[dict[str, str]], str]:
    """What a process writes to the journal's socket, and to stderr."""
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(path))
        command = [sys.executable, "-c", PREFIX + JOURNALLED + script, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        journal.setblocking(False)
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(fields(journal.recv(1 << 20)))
    return found, done.stderr


def fields(datagram: bytes) -> dict[str, str]:
    """Read an entry as systemd's Native Journal Protocol says."""
    found: dict[str, str] = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        key, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8 : 8 + size], datagram[8 + size :]
            assert datagram.startswith(b"\n")
            datagram = datagram[1:]
        assert re.fullmatch(b"[A-Z][A-Z0-9_]{0,63}", key)
        assert key.decode() not in found
        found[key.decode()] = value.decode()
    return found


def test_an_event_is_an_entry_of_the_journal_with_fields_of_its_own(tmp_path: Path) -> None:
    script = """
log = structlog.get_logger("vagus.test").bind(intent="0x12")
log.warning("hub cannot be read", chain="eip155:1", reason="no answer", tries=3, none=None)
logging.getLogger("aiohttp").error("from a library")
"""
    (first, second), stderr = entries(script, tmp_path)
    assert stderr == ""
    assert first == {
        "MESSAGE": 'hub cannot be read intent="0x12" chain="eip155:1" reason="no answer" tries=3',
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "vagus",
        "VAGUS_EVENT": "hub cannot be read",
        "VAGUS_INTENT": "0x12",
        "VAGUS_CHAIN": "eip155:1",
        "VAGUS_REASON": "no answer",
        "VAGUS_TRIES": "3",
    }
    assert (second["MESSAGE"], second["PRIORITY"]) == ("from a library", "3")


def test_a_strangers_text_adds_no_field_and_no_entry(tmp_path: Path) -> None:
    script = f'structlog.get_logger().info("a", reason="{HOSTILE}")'
    [entry], _ = entries(script, tmp_path)
    assert set(entry) == {
        "MESSAGE",
        "PRIORITY",
        "SYSLOG_IDENTIFIER",
        "VAGUS_EVENT",
        "VAGUS_REASON",
    }
    assert entry["PRIORITY"] == "6"
    assert entry["MESSAGE"].isprintable()
    assert entry["VAGUS_REASON"].endswith("\nMESSAGE=forged")


def test_a_traceback_is_a_field_of_its_entry_and_shows_no_local_variable(tmp_path: Path) -> None:
    script = f"""{FAILING}
try:
    work()
except ValueError:
    structlog.get_logger().exception("broken")
"""
    [entry], _ = entries(script, tmp_path)
    assert entry["MESSAGE"] == "broken"
    assert "ValueError: no key here" in entry["VAGUS_EXCEPTION"]
    assert "canary" not in str(entry)


def test_what_the_journal_does_not_take_is_on_stderr_with_its_priority() -> None:
    script = """
import pathlib
set_up("info", "journald", pathlib.Path("/nowhere/socket"))
structlog.get_logger().error("unheard", reason="two\\nlines")
"""
    [line] = said(script).splitlines()
    assert line.startswith("<3>")
    assert json.loads(line[3:])["event"] == "unheard"


AUTO = """
import os, sys
found = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino + int(sys.argv[1])}"
from vagus.daemon.service.journald import is_journal
print(is_journal(sys.stderr))
"""


@pytest.mark.parametrize(("other", "is_it"), [("0", "True"), ("1", "False")])
def test_stderr_is_the_journal_where_it_is_the_socket_that_systemd_named(
    other: str, is_it: str
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", AUTO, other]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=ours, text=True, check=True)
    assert done.stdout == f"{is_it}\n"
