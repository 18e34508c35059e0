"""Mosquitto as a process, on a port of its own."""

import asyncio
import contextlib
import shutil
import socket
from pathlib import Path
from typing import Self

__all__ = ["Mosquitto", "free_port"]

SHIPPED = Path(__file__).parents[2] / "config" / "mosquitto"
OPEN = """
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
persistence false
"""


def free_port() -> int:
    """A port that was free just now: Mosquitto cannot have the system choose."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Mosquitto:
    """`config` is formatted with `port`; the port is the same after a restart.

    quiet: it logs no packets, for measurements.
    """

    def __init__(self, folder: Path, config: str = OPEN, *, quiet: bool = False) -> None:
        self._verbose = [] if quiet else ["-v"]
        self._folder = folder
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.log = ""
        self.port = 0

    @classmethod
    def as_shipped(
        cls, folder: Path, listener: int, what: str = "committee", shipped: Path = SHIPPED
    ) -> "Mosquitto":
        """The configuration that operators get, with one of its two listeners and files of `folder`."""
        text = (shipped / "mosquitto.conf").read_text().replace("{", "{{").replace("}", "}}")
        head, *parts = text.split("\nlistener ")
        kept = [part for part in parts if part.startswith(f"{listener}\n")]
        # What stands below the last listener is for all of them.
        common = parts[-1].split("\n\n", 1)[1]
        own = kept[0].split("\n\n", 1)[0].replace(str(listener), "{port} 127.0.0.1", 1)
        config = f"{head}\nlistener {own}\n\n{common}"
        assert f"/etc/mosquitto/{what}/" in config
        config = config.replace(f"/etc/mosquitto/{what}/", f"{folder}/")
        (folder / "acl").write_text((shipped / "acl").read_text())
        return cls(folder, config)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("it does not run")
        return self._process.pid

    async def __aenter__(self) -> Self:
        for _ in range(5):
            self.port = free_port()
            with contextlib.suppress(OSError):  # somebody else was faster
                await self.start()
                return self
        raise RuntimeError(f"mosquitto does not start: {self.log}")

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it, on the port that it had."""
        path = self._folder / f"mosquitto-{self.port}.conf"
        path.write_text(f"user root\nlog_dest stderr\n{self._config.format(port=self.port)}")
        command = shutil.which("mosquitto")
        if command is None:
            raise RuntimeError(
                "mosquitto is not on PATH: tests/tools installs it (package mosquitto, in /usr/sbin)"
            )
        self._process = await asyncio.create_subprocess_exec(
            command, *self._verbose, "-c", str(path), stderr=asyncio.subprocess.PIPE
        )
        self._reading = asyncio.create_task(self._read(self._process.stderr))
        async with asyncio.timeout(20):
            while True:
                if self._reading.done():
                    await self.kill()
                    raise OSError(self.log)
                with contextlib.suppress(ConnectionError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """End it without a word."""
        process, reading = self._process, self._reading
        self._process = self._reading = None
        if process is not None and reading is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await reading

    async def _read(self, stderr: asyncio.StreamReader | None) -> None:
        assert stderr is not None
        while line := await stderr.readline():
            self.log = (self.log + line.decode())[-20_000:]
