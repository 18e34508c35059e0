"""What systemd is told: sd_notify(3), datagrams of assignments to the socket in NOTIFY_SOCKET.

Without that variable nothing is sent, and the node runs as it does under systemd.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Self

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ["Notifier"]

log = structlog.get_logger("vagus.node")

# How long a sign waits for room in the manager's queue, and how much of a status is worth showing.
_SECONDS = 1.0
_STATUS = 500


class Notifier:
    """The socket of a service manager; `watchdog` is the seconds within which it wants a sign.

    None stands for no watchdog. A manager that is gone is logged once and stops nothing.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._path = environment.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        self._status = ""
        self._lost = False
        # The manager names the process that it watches: a child inherits the variable too.
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval = environment.get("WATCHDOG_USEC", "")
        watched = bool(self._path) and mine and interval.isdecimal() and int(interval) > 0
        self.watchdog: float | None = int(interval) / 1_000_000 if watched else None

    def __enter__(self) -> Self:
        if self._path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self) -> None:
        """Say that the node serves."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Say that the node drains."""
        self._send("STOPPING=1\nSTATUS=draining")

    def alive(self) -> None:
        """Say that the node does its work: what the watchdog wants to hear."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in one line how the node is, where that has changed."""
        line = " ".join(text.split())[:_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def _send(self, assignments: str) -> None:
        if self._socket is None:
            return
        # An @ stands for the zero byte of a socket without a file.
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            self._socket.sendto(assignments.encode(errors="replace"), address)
            self._lost = False
        except OSError as error:
            if not self._lost:
                log.warning("service manager not reached", reason=str(error))
            self._lost = True
