"""What leaves on stderr: one JSON object a line, and nothing that a secret could be in."""

import json
import subprocess
import sys
from typing import Any

PREFIX = "import structlog, logging\nfrom vagus.daemon.logs import set_up\n"
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
