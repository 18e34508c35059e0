"""A bare Debian with systemd as its first process, in namespaces of its own and an overlay in memory.

What is done in it is gone with it. It shares the network with this machine, so that a node in it
reaches chains on loopback.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from support.client import until

__all__ = ["Machine", "bare_debian", "booted"]

SUITE = "bookworm"
PACKAGES = "python3,systemd,dbus,ca-certificates,libgomp1,libstdc++6"
# A control group of its own first: this machine's systemd, where it has one, must not share its own.
ENTER = """
set -e
groups=/sys/fs/cgroup
[ -e "$groups/cgroup.controllers" ] || groups=$groups/systemd
mkdir "$groups/$3"
echo $$ >"$groups/$3/cgroup.procs"
exec unshare --fork --pid --mount --uts --ipc --cgroup --kill-child bash -c "$4" boot "$1" "$2"
"""
BOOT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mount -t tmpfs tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for each in null zero full random urandom tty; do
  touch "dev/$each"
  mount --bind "/dev/$each" "dev/$each"
done
mkdir dev/shm dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
cp /etc/resolv.conf etc/resolv.conf
# No chroot: within one the kernel gives nobody a user namespace, as PrivateUsers wants.
pivot_root . mnt
cd /
umount -l mnt
# As a container's manager does: credentials are mounted by a child and seen by all.
mount --make-rshared /
exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal
"""


@dataclass
class Machine:
    """A booted one: `pid` is its first process, as this machine numbers it."""

    pid: int
    folder: Path

    def run(self, *command: str, user: str = "root", check: bool = True, stdin: str = "") -> str:
        """Run a command in it to its end and return what it prints; AssertionError where it fails."""
        code, out = self.ended(*command, user=user, stdin=stdin)
        assert code == 0 or not check, f"{command} ended with {code}: {out}"
        return out

    def ended(self, *command: str, user: str = "root", stdin: str = "") -> tuple[int, str]:
        """The exit code of a command, and all that it prints."""
        enter = ("nsenter", "-t", str(self.pid), "-m", "-p", "-i", "-u", "-C", "-r", "-w")
        clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")
        done = subprocess.run(
            (*enter, *clean, "runuser", "-u", user, "--", *command),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout

    def put(self, source: Path, target: str) -> None:
        """Copy a file or folder of this machine into it."""
        with subprocess.Popen(
            ("tar", "-C", str(source.parent), "-c", source.name), stdout=subprocess.PIPE
        ) as packed:
            enter = ("nsenter", "-t", str(self.pid), "-m", "-r", "-w")
            subprocess.run((*enter, "mkdir", "-p", target), check=True)
            subprocess.run(
                (*enter, "tar", "-C", target, "--no-same-owner", "-x"),
                stdin=packed.stdout,
                check=True,
            )

    def unit(self, *names: str, unit: str = "vagus") -> list[str]:
        """Properties of a unit, the node's or the worker's, as systemd has them now."""
        wanted = [f"--property={name}" for name in names]
        shown = self.run("systemctl", "show", *wanted, f"{unit}.service")
        found = dict(line.split("=", 1) for line in shown.splitlines())
        return [found[name] for name in names]

    async def is_unit(
        self, name: str, value: str, within: float = 60.0, unit: str = "vagus"
    ) -> None:
        """Wait until a property of a unit has a value."""

        async def read() -> list[str]:
            return await asyncio.to_thread(
                self.unit, name, "StatusText", "Result", "ExecMainStatus", unit=unit
            )

        await until(read, lambda found: found[0] == value, within=within, every=0.3)


def bare_debian() -> Path:
    """A folder with a minimal Debian, made once and kept in the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vagus"
    root = cache / f"debian-{SUITE}"
    if not root.exists():
        scratch = cache / f".debian-{SUITE}.{os.getpid()}"
        cache.mkdir(parents=True, exist_ok=True)
        print(f"making a bare Debian in {root} (a minute or two, once)")
        command = ("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE)
        try:
            subprocess.run((*command, str(scratch)), check=True, stdout=subprocess.DEVNULL)
            scratch.rename(root)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return root


@contextlib.asynccontextmanager
async def booted(base: Path, folder: Path) -> AsyncIterator[Machine]:
    """Boot one; it is gone at the end, with all that runs in it."""
    folder.mkdir()
    group = f"vagus-test-{os.getpid()}-{folder.name}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", ENTER, "enter", str(folder), str(base), group, BOOT),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

        async def up() -> bool:
            pids = children.read_text().split()
            if not pids or "systemd" not in Path(f"/proc/{pids[0]}/comm").read_text():
                return False
            state = Machine(int(pids[0]), folder).ended("systemctl", "is-system-running")[1]
            return state.strip() in {"running", "degraded"}

        await until(up, bool, every=0.3)
        yield Machine(int(children.read_text().split()[0]), folder)
    finally:
        process.kill()
        await process.wait()
        for parent in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/systemd")):
            for each in sorted((parent / group).glob("**/"), reverse=True):
                await until(lambda each=each: asyncio.to_thread(_removed, each), bool)


def _removed(group: Path) -> bool:
    """Remove a control group; False while a process that was killed is still in it."""
    try:
        group.rmdir()
    except OSError:
        return not group.exists()
    return True
