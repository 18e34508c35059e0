"""The sha256 of a weights file, which a model's digest names."""

import contextlib
import hashlib
import pathlib

import msgspec

__all__ = ["weights_sha256"]


class _Known(msgspec.Struct):
    size: int
    mtime_ns: int
    sha256: str


def weights_sha256(path: pathlib.Path) -> str:
    """Return the file's sha256 in hex; OSError when it can't be read.

    Kept in a file beside it, with the size and mtime it holds for, since weights take seconds per
    gigabyte. Whoever can write that file can write the weights.
    """
    stat = path.stat()
    beside = path.with_name(path.name + ".sha256.json")
    with contextlib.suppress(OSError, msgspec.DecodeError):
        known = msgspec.json.decode(beside.read_bytes(), type=_Known)
        if (known.size, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            return known.sha256
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    # A folder that can't be written to costs the same seconds next time, and nothing else.
    with contextlib.suppress(OSError):
        beside.write_bytes(msgspec.json.encode(_Known(stat.st_size, stat.st_mtime_ns, sha256)))
    return sha256
