"""The embedded broker's process: rumqttd of the wheel iotcore, MQTT 5.

    python -m vagus.compute.mqtt.broker_server

reads one JSON line (`Settings`) from stdin, listens on loopback, writes `{"port": N}` as its only line
to stdout, and ends when stdin does. rumqttd leaves Nagle's algorithm on, by which a confirmed
message takes 44 ms, and does not tell a port that the system chose: both are mended at its listening
socket, whose options the connections inherit.
"""

import importlib
import logging
import os
import signal
import socket
import stat
import sys
import tempfile
import threading
import time

import msgspec

from vagus.compute.child import Listening

__all__ = ["CONFIG", "Settings", "main"]

_POLL = 0.01
CONFIG = """
id = 0

[router]
id = 0
max_connections = 256
max_outgoing_packet_count = 200
max_segment_size = 4194304
max_segment_count = 4

[v5.1]
name = "committee"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 10000
max_payload_size = 262144
max_inflight_count = 100
dynamic_filters = true
"""
"""rumqttd's configuration, to be formatted with `port`."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to listen: a port of 127.0.0.1, 0 for one that the system chooses."""

    port: int


def main() -> None:
    """Serve until stdin ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    report = os.dup(1)
    os.dup2(2, 1)
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    serving = threading.Thread(target=_serve, args=(settings,), daemon=True)
    serving.start()
    port = _mended(serving)
    os.write(report, msgspec.json.encode(Listening(port)) + b"\n")
    os.close(report)
    sys.stdin.buffer.read()
    os._exit(0)


def _serve(settings: Settings) -> None:
    # It traces every packet as an error.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    iotcore = importlib.import_module("iotcore.iotcore")
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(CONFIG.format(port=settings.port))
        file.flush()
        broker = iotcore.IotCoreBroker(config_path=file.name)
    broker.check_ports()
    broker.run_forever()


def _mended(serving: threading.Thread) -> int:
    """Set TCP_NODELAY on the listening socket once it is there, and return its port."""
    while serving.is_alive():
        for name in os.listdir("/proc/self/fd"):
            if port := _mend(int(name)):
                return port
        time.sleep(_POLL)
    sys.exit("the broker ended before it listened")


def _mend(descriptor: int) -> int:
    """Return the port if this is the listening socket, else 0."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return 0
        copy = os.dup(descriptor)
    except OSError:
        return 0  # closed meanwhile
    with socket.socket(fileno=copy) as found:
        if found.family != socket.AF_INET or found.type != socket.SOCK_STREAM:
            return 0
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return 0
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port: int = found.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
