"""A server of another module as a child process: started, heard, ended."""

import asyncio
import contextlib
import os
import secrets
import sys
from types import TracebackType
from typing import Self

import msgspec

from vagus.compute.bounds import one_line
from vagus.protocol import Retry

__all__ = ["Child", "Listening"]

# What a child may see of the node's environment; secrets live elsewhere in it.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")
NOISE = 4096
PATIENCE = 2.0


class Listening(msgspec.Struct, frozen=True):
    """What a child reports once it listens on 127.0.0.1."""

    port: int


class Child:
    """One server process, used as `async with`; on leaving it is gone.

    module: run by `python -m`; it reads one JSON line (`settings`) from stdin, writes `Listening` as
    its only line to stdout, and ends when stdin does. what: how errors name it.
    """

    def __init__(self, module: str, settings: msgspec.Struct, *, what: str) -> None:
        self._module = module
        self._settings = settings
        self._what = what
        self._noise = b""
        self._life = contextlib.AsyncExitStack()
        self._process: asyncio.subprocess.Process | None = None

    @staticmethod
    def new_key() -> str:
        """Return a bearer token for one process: other users of this machine can't use its port."""
        return secrets.token_urlsafe(24)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started().pid

    async def __aenter__(self) -> Self:
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                self._module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            )
        except OSError as error:
            raise Retry(f"{self._what} can't be started: {error}") from None
        # Closed without the body's error: a TaskGroup would wrap a Retry in a group.
        group = await self._life.enter_async_context(asyncio.TaskGroup())
        self._life.push_async_callback(self._end)
        group.create_task(self._listen(), name=f"noise of {self._process.pid}")
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - made by PIPE
        stdin.write(msgspec.json.encode(self._settings) + b"\n")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._life.aclose()

    async def port(self, *, timeout: float) -> int:
        """Wait until the server listens; Retry, saying why, if it ends or takes too long."""
        stdout = self._started().stdout
        assert stdout is not None  # noqa: S101 - made by PIPE
        try:
            async with asyncio.timeout(timeout):
                line = await stdout.readline()
            return msgspec.json.decode(line, type=Listening).port
        except TimeoutError:
            raise Retry(f"{self._what} was not up within {timeout:g} s") from None
        except msgspec.DecodeError:
            raise Retry(await self.ended()) from None

    async def ended(self) -> str:
        """Wait for the process to end and return how it did, with its last words."""
        code = await self._started().wait()
        last = self._noise.decode("ascii", "replace").strip().rpartition("\n")[2]
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{self._what} ended by {how}{': ' + one_line(last) if last else ''}"

    async def _listen(self) -> None:
        """Keep the last of what the server says: its stderr must neither fill up nor reach ours."""
        stderr = self._started().stderr
        assert stderr is not None  # noqa: S101 - made by PIPE
        while data := await stderr.read(NOISE):
            self._noise = (self._noise + data)[-NOISE:]

    async def _end(self) -> None:
        """Close stdin, which ends the server; kill it if it does not hear."""
        process = self._started()
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        except TimeoutError:
            pass  # killed below, as when this wait is cancelled
        finally:
            if process.returncode is None:
                process.kill()
        await process.wait()

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the child is used outside its async with")
        return self._process
