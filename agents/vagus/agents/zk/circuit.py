"""A circuit by its files' hashes, and where a node has these files.

A manifest names each file by its sha256; a node keeps them under these names in the user's cache,
where `vagus zk add FILE…` puts them. What a file is called elsewhere and who brought it says nothing.
"""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

from vagus.compute.cache import cache_dir
from vagus.protocol import Refuse

__all__ = ["SHA256", "Circuit", "Files", "add_file", "keys_dir", "known_files"]

SHA256 = re.compile("[0-9a-f]{64}")

_WORDS = {
    "circuit": "the compiled circuit",
    "settings": "the circuit's settings",
    "vk": "the verification key",
    "srs": "the structured reference string (SRS)",
}


@dataclass(frozen=True, slots=True)
class Files:
    """Where a circuit's files are on this node."""

    circuit: Path
    settings: Path
    vk: Path
    srs: Path


@dataclass(frozen=True, slots=True)
class Circuit:
    """A circuit: the sha256 of each of its files, 64 lower-case hex digits.

    circuit: the network, compiled by ezkl. settings: its JSON. vk: the verification key, which has
    the network's weights in it. srs: the ceremony's file that the key is made with.
    """

    circuit: str
    settings: str
    vk: str
    srs: str

    def files(self) -> Files:
        """Return the files, each read and hashed. Raises Refuse for one that is missing or another."""
        found: dict[str, Path] = {}
        for part in fields(self):
            digest: str = getattr(self, part.name)
            path = _files_dir() / digest
            what = f"{_WORDS[part.name]} with sha256 {digest}"
            try:
                actual = _sha256(path)
            except OSError:
                todo = "`vagus zk add FILE` puts it there: docs/modes.md#zk"
                raise Refuse(f"{what} is not in {path.parent}: {todo}") from None
            if actual != digest:
                raise Refuse(f"{path} is not {what} any more: remove it, and add it again")
            found[part.name] = path
        return Files(**found)


def add_file(source: Path) -> Path:
    """Copy a file to where circuits' files are, under its sha256. Raises OSError."""
    folder = _files_dir()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as copy:
        scratch = Path(copy.name)
        try:
            with source.open("rb") as file:
                shutil.copyfileobj(file, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
            # Nothing of it is secret, and who adds it need not be who runs the node.
            scratch.chmod(0o644)
            path = folder / _sha256(scratch)
            scratch.replace(path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
    return path


def known_files() -> list[tuple[Path, int]]:
    """Return the files that are there, and their sizes in bytes."""
    found = sorted(each for each in _files_dir().iterdir() if SHA256.fullmatch(each.name))
    return [(each, each.stat().st_size) for each in found]


def keys_dir() -> Path:
    """Where proving keys are, which a node makes itself, by the verification keys' hashes."""
    return _made("keys")


def _files_dir() -> Path:
    return _made("files")


def _made(name: str) -> Path:
    path = cache_dir() / "zk" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
