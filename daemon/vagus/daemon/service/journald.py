"""systemd's journal as a text stream: each line that is written, one JSON object, becomes one entry.

An entry is a datagram of fields (systemd.io, "Native Journal Protocol"). A value of one line is
KEY=value; any other is KEY, a line feed, its length in 8 bytes little-endian, and the bytes: no
value can add a field or an entry.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from typing_extensions import override

from vagus.daemon.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["JOURNAL", "JournalStream", "is_journal"]

JOURNAL = Path("/run/systemd/journal/socket")

_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
# The message's own words, and what the journal says better itself.
_NOT_IN_MESSAGE = {"event", "level", "timestamp", "exception"}
# A datagram has a limit that the kernel sets, of about 200 KB.
_VALUE = 16_384


def is_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream is the one that systemd connected to its journal, and named so."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return stat.S_ISSOCK(found.st_mode) and (device, inode) == (
        str(found.st_dev),
        str(found.st_ino),
    )


class JournalStream(io.TextIOBase):
    """Lines to journal entries; a line that the journal does not take goes to stderr."""

    def __init__(self, path: Path = JOURNAL) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._begun = ""

    @override
    def write(self, text: str, /) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._send(json.loads(line))
        return len(text)

    @override
    def close(self) -> None:
        self._socket.close()
        super().close()

    def _send(self, event: dict[str, Any]) -> None:
        try:
            # A journal that has no room must not hold up the node.
            self._socket.sendto(_entry(event), socket.MSG_DONTWAIT, self._path)
        except OSError:
            # What systemd reads there has a line's priority in front: sd-daemon(3).
            print(f"<{_priority(event)}>{json.dumps(event)}", file=sys.stderr, flush=True)


def _entry(event: dict[str, Any]) -> bytes:
    words = [str(event.get("event", ""))]
    words += [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in event.items()
        if key not in _NOT_IN_MESSAGE and value is not None
    ]
    fields = {
        "MESSAGE": printable(" ".join(words)),
        "PRIORITY": str(_priority(event)),
        "SYSLOG_IDENTIFIER": "vagus",
    }
    for key, value in event.items():
        if value is not None and key not in {"level", "timestamp"}:
            fields[_name(key)] = value if isinstance(value, str) else json.dumps(value)
    return b"".join(_field(key, value) for key, value in fields.items())


def _name(key: str) -> str:
    return "VAGUS_" + re.sub("[^A-Z0-9]", "_", key.upper())[:50]


def _field(key: str, value: str) -> bytes:
    data = value.encode(errors="replace")[:_VALUE]
    if b"\n" in data:
        return key.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return key.encode() + b"=" + data + b"\n"


def _priority(event: dict[str, Any]) -> int:
    return _PRIORITIES.get(event.get("level", ""), 5)
