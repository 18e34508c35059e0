"""`vagus doctor`: everything that a node needs, looked at once, beside a running node or without.

It reads: chains, models, the clock, the disk and the journal are asked, and nothing is written.
The checks run at the same time, each within a bound, and are reported in a fixed order.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import time
from typing import TYPE_CHECKING

import aiohttp

from vagus.adapters.errors import WalletError
from vagus.compute.leases.leased import LeasedBackend
from vagus.daemon.config import ConfigError, backends_of
from vagus.daemon.credentials import CredentialError
from vagus.daemon.doctor.chain import look_at_chain
from vagus.daemon.doctor.committee import look_at_committee
from vagus.daemon.doctor.config import look_at
from vagus.daemon.doctor.finding import Finding, fail, ok, warn
from vagus.daemon.doctor.leases import look_at_leases, look_at_unattended
from vagus.daemon.doctor.money import look_at_money
from vagus.daemon.journal.database import read_only
from vagus.daemon.journal.lock import holder
from vagus.daemon.network import advice
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from vagus.compute import Backend
    from vagus.daemon.config import Settings
    from vagus.daemon.doctor.config import Looked

__all__ = ["examine"]

# Seconds that a check may take: a local model is loaded first.
CHAIN_SECONDS = 45.0
MODEL_SECONDS = 180.0
NODE_SECONDS = 5.0
# Seconds without a line after which it is said what is waited for.
PATIENCE = 2.0
GIB = 1 << 30
# adjtimex(2): the state of a clock that no time service keeps.
TIME_ERROR = 5
_TIMEX_BYTES = 512

_MENDS = {
    "halts": "see what `vagus run` says of it; a backup comes back by `vagus restore`",
    "models": "name a model's file by model_path under [[backends]], or another backend",
}


async def examine(
    path: Path, report: Callable[[Finding], None], say: Callable[[str], None]
) -> list[Finding]:
    """Look at a config and all that it names; `report` gets each finding in its turn.

    `say` is told what is waited for. Returns all findings.
    """
    looked = await asyncio.to_thread(look_at, path)
    found = list(looked.findings)
    for each in found:
        report(each)
    if looked.settings is None:
        return found
    async with asyncio.TaskGroup() as group:
        tasks = {
            title: group.create_task(_within(title, seconds, check), name=f"doctor: {title}")
            for title, seconds, check in _checks(looked, looked.settings)
        }
        for title, task in tasks.items():
            if not (await asyncio.wait((task,), timeout=PATIENCE))[0]:
                say(f"… {title}")
            for each in await task:
                found.append(each)
                report(each)
    return found


def _checks(
    looked: Looked, settings: Settings
) -> list[tuple[str, float, Awaitable[list[Finding]]]]:
    checks: list[tuple[str, float, Awaitable[list[Finding]]]] = [
        ("node", NODE_SECONDS, _node(settings)),
        ("halts", NODE_SECONDS, asyncio.to_thread(_journal, settings)),
        ("clock", NODE_SECONDS, asyncio.to_thread(_clock)),
        ("disk", NODE_SECONDS, asyncio.to_thread(_disk, settings.data)),
    ]
    if looked.made is not None:
        for adapter in looked.made.adapters:
            check = look_at_chain(adapter, looked.made)
            checks.append((adapter.chain, CHAIN_SECONDS, check))
        others = look_at_committee(settings, looked.made)
        checks.append(("the committee", CHAIN_SECONDS, others))
    checks.append(("money", CHAIN_SECONDS, look_at_money(settings.money)))
    checks.append(("models", 2 * MODEL_SECONDS, _models(settings)))
    return checks


async def _within(title: str, seconds: float, check: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        async with asyncio.timeout(seconds):
            return await check
    except TimeoutError:
        return [fail(title, f"no answer in {seconds:g} s", "see whether it is up and in reach")]
    except VagusError as error:
        return [fail(title, str(error), _MENDS.get(title, "look at it, and ask again"))]
    except OSError as error:
        fault = f"{error.filename}: {error.strerror}"
        return [fail(title, fault, "run as the user whose node it is")]


async def _node(settings: Settings) -> list[Finding]:
    """Say who has the data folder, and whether that node is ready."""
    process = holder(settings.data)
    if process is None:
        return [ok("node", "none runs on this data folder")]
    url = f"http://{settings.http.host}:{settings.http.port}/readyz"
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            text = (await response.text()).strip()
    except aiohttp.ClientError:
        what = (
            "see its log: it may be starting"
            if settings.http.port
            else "http.port is 0: ask it by its log"
        )
        return [warn("node", f"process {process} has the data folder and does not answer", what)]
    if response.status == 200:
        return [ok("node", f"process {process}, ready")]
    first = text.splitlines()[0][:200] if text else f"HTTP {response.status}"
    return [warn("node", f"process {process}, not ready: {first}", "the lines below say more")]


def _journal(settings: Settings) -> list[Finding]:
    """Read the halts that the journal has."""
    path = settings.data / "journal.sqlite"
    if not path.exists():
        return [ok("halts", "no journal yet: `vagus run` makes it")]
    with read_only(path) as db:
        rows = db.execute("SELECT chain, reason, at FROM halts ORDER BY at").fetchall()
    when = "%Y-%m-%d %H:%M:%S UTC"
    return [
        fail(
            f"halt {chain}",
            f"halted since {time.strftime(when, time.gmtime(at))}: {reason}",
            advice(chain),
        )
        for chain, reason, at in rows
    ] or [ok("halts", "no chain is halted")]


def _clock() -> list[Finding]:
    """Ask the kernel whether a time service keeps the clock. No decision rests upon it."""
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state < 0:
        return [warn("clock", "the kernel does not say whether it is kept", "see `timedatectl`")]
    if state == TIME_ERROR:
        return [
            warn(
                "clock",
                "no time service keeps it; deadlines go by chain time, logs and certificates by it",
                "timedatectl set-ntp true",
            )
        ]
    return [ok("clock", "kept by a time service")]


def _disk(data: Path) -> list[Finding]:
    """Look at the file system under the data folder, which need not be there yet."""
    folder = next(each for each in (data, *data.parents) if each.exists())
    system = os.statvfs(folder)
    free, files = system.f_bavail * system.f_frsize, system.f_favail
    if system.f_flag & os.ST_RDONLY:
        return [fail("disk", f"{folder} is on a file system that can only be read", "mount it rw")]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [
            fail("disk", f"{folder} cannot be written", f"as root: chown {os.geteuid()} {folder}")
        ]
    used = sum(each.stat().st_size for each in data.glob("journal.sqlite*")) if data.exists() else 0
    said = f"{free / GIB:.1f} GiB free for {data}, the journal has {used / GIB:.2f} GiB"
    if free < GIB // 4 or (system.f_files and files < 1000):
        return [fail("disk", said, "make room: nothing is signed that cannot be journalled")]
    # The write-ahead log and a backup may each need the journal's size once more.
    if free < max(2 * GIB, 2 * used) or shutil.disk_usage(folder).total == 0:
        return [warn("disk", said, "make room before it runs out")]
    return [ok("disk", said)]


async def _models(settings: Settings) -> list[Finding]:
    """Ask each backend for one token of each model, which is the only readiness that counts."""
    backends: list[Backend] = []
    for table in settings.backends:
        # What the config's checks have said is not said again.
        with contextlib.suppress(ConfigError, CredentialError, WalletError):
            backends += await asyncio.to_thread(backends_of, [table], "", settings.transport_key)
    looks = (
        look_at_leases(each, settings.data) if isinstance(each, LeasedBackend) else _model(each)
        for each in backends
    )
    unknown = await look_at_unattended(settings.data, {each.name for each in backends})
    return [*await asyncio.gather(*looks), *unknown]


async def _model(backend: Backend) -> Finding:
    name, began = f"model {backend.name}", time.monotonic()
    try:
        async with asyncio.timeout(MODEL_SECONDS), backend:
            models = [model.name for model in await backend.models()]
            await backend.check(timeout=MODEL_SECONDS)
    except TimeoutError:
        return fail(name, f"no answer in {MODEL_SECONDS:g} s", "see the server's log")
    except VagusError as error:
        return fail(name, str(error), "see the server's log, and its table under [[backends]]")
    seconds = time.monotonic() - began
    return ok(name, f"{', '.join(models)} answered in {seconds:.1f} s, loading included")
