"""The local model's process: llama.cpp's OpenAI-compatible server, run by `vagus.compute`.

    python -m vagus.compute.backends.local_server

reads one JSON line (`Settings`) from stdin, serves on a loopback port of its own choice, writes
`{"port": N}` as its only line to stdout, and ends when stdin does: a node that dies, however,
takes it along. Signals to the process group are the node's affair: it drains before it closes.
"""

import importlib
import os
import signal
import sys
from typing import Any
from urllib.parse import urlsplit

import msgspec

from vagus.compute.child import Listening

__all__ = ["Settings", "main"]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to serve. context: tokens per request; threads: None for half the cores."""

    model_path: str
    name: str
    api_key: str
    context: int
    parallel: int
    threads: int | None = None


def main() -> None:
    """Serve until stdin ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # llama.cpp logs where it likes: the report has the real stdout to itself.
    report = os.dup(1)
    os.dup2(2, 1)
    # On few cores a busy model must not starve the node that waits for it.
    os.nice(5)
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    server = serve(settings)
    port = urlsplit(server.listening_address).port
    os.write(report, msgspec.json.encode(Listening(port or 0)) + b"\n")
    os.close(report)
    sys.stdin.buffer.read()
    os._exit(0)  # requests under way have nobody left to answer


def serve(settings: Settings) -> Any:
    """Load the model and listen; a model that can't be loaded ends the process."""
    # The parent reads this module for its structs, without the engine.
    xllamacpp = importlib.import_module("xllamacpp")

    params = xllamacpp.CommonParams()
    params.model.path = settings.model_path
    params.model_alias = {settings.name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings.api_key]
    params.n_parallel = settings.parallel
    params.n_ctx = settings.context * settings.parallel
    params.use_jinja = True
    params.ui = False
    params.endpoint_slots = False
    # An answer must not depend on what was asked before, nor memory on who asked.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.verbosity = 0
    params.cpuparams.n_threads = settings.threads or default_threads()
    return xllamacpp.Server(params)


def default_threads() -> int:
    """Return half the cores: llama.cpp's threads wait for each other by spinning.

    Where one of them loses its core all stall: on two busy cores one thread writes 29 tokens/s,
    two write 11 (four requests at once, load average 6).
    """
    return max(1, (os.cpu_count() or 2) // 2)


if __name__ == "__main__":
    main()
