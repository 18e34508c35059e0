"""JSON nested without end is an error where a library has raised Python's recursion limit, too."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from vagus.compute.decoding import decode
from vagus.protocol import Retry

RAISED = """
import sys
sys.setrecursionlimit(1 << 30)
import msgspec
from vagus.compute.decoding import decode
from vagus.protocol import Retry
decoder = msgspec.json.Decoder()
for data in (b"[" * 1_000_000, b'{"a":' * 1_000_000, b'["[", ' * 500_000, b'{"\\\\\\\\":' * 500_000,
             b"[" * 1_000_000 + b"]" * 1_000_000):
    try:
        decode(decoder, data, "it is")
    except Retry as error:
        print(error.reason)
"""


def test_a_process_with_a_raised_limit_survives() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RAISED], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "it is: nested too deep\n" * 5), done.stderr


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b'"[[[[{{{{",' * 1000 + b"1]",
        b'{"a":"' + b"[" * 100_000 + b'"}',
        b'["\\"' + b"[" * 5000 + b'"]',
        b"[" + b"[[]]," * 2000 + b"{}]",
        b"[" * 900 + b"]" * 900,
    ],
    ids=range(5),
)
def test_what_is_wide_or_a_text_is_not_deep(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
    monkeypatch.setattr(sys, "getrecursionlimit", lambda: 1 << 30)
    assert decode(decoder, data, "") == msgspec.json.decode(data)


def test_a_text_that_does_not_end_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "getrecursionlimit", lambda: 1 << 30)
    with pytest.raises(Retry):
        decode(msgspec.json.Decoder(), b"[" * 1000 + b'[{"' + b'\\"' * 1_000_000, "")
