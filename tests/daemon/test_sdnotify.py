"""What a service manager is told, read from a real socket as systemd reads it."""

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from vagus.daemon.service.sdnotify import Notifier


class Manager:
    """The other end: a datagram socket with or without a file."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        self._socket = sock
        self.environment = {"NOTIFY_SOCKET": name}

    def said(self) -> list[str]:
        """Everything that was sent since it was asked last."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self._socket.recv(65_536).decode())
        return found


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify")
    if request.param == "abstract":
        name = f"@vagus-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        sock.setblocking(False)
        yield Manager(sock, name)


def test_a_life_is_told_in_the_words_of_sd_notify(manager: Manager) -> None:
    with Notifier(manager.environment) as notifier:
        notifier.ready()
        notifier.alive()
        notifier.status("not ready: eip155:1: no answer")
        notifier.stopping()
    assert manager.said() == [
        "READY=1",
        "WATCHDOG=1",
        "STATUS=not ready: eip155:1: no answer",
        "STOPPING=1\nSTATUS=draining",
    ]


def test_a_status_is_told_when_it_changes(manager: Manager) -> None:
    with Notifier(manager.environment) as notifier:
        for text in ("ready", "ready", "not ready", "ready"):
            notifier.status(text)
    assert manager.said() == ["STATUS=ready", "STATUS=not ready", "STATUS=ready"]


def test_a_strangers_text_in_a_status_is_no_assignment(manager: Manager) -> None:
    with Notifier(manager.environment) as notifier:
        notifier.status("a node said\nREADY=1\r\nMAINPID=1\udcff" + "x" * 10_000)
    [datagram] = manager.said()
    assert datagram.startswith("STATUS=a node said READY=1 MAINPID=1?xxx")
    assert "\n" not in datagram
    assert len(datagram) < 1000


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdogs_time_is_the_managers(
    environment: dict[str, str], seconds: float | None
) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/run/x", **environment}).watchdog == seconds


def test_without_a_manager_nothing_is_sent() -> None:
    with Notifier({"WATCHDOG_USEC": "1000000"}) as notifier:
        assert notifier.watchdog is None
        notifier.ready()
        notifier.alive()


def test_a_manager_that_is_gone_is_logged_once_and_stops_nothing(tmp_path: Path) -> None:
    with Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}) as notifier, capture_logs() as logs:
        notifier.ready()
        notifier.alive()
    assert [each["event"] for each in logs] == ["service manager not reached"]
