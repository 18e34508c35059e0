"""What can be said of `[[backends]]` without any network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vagus.compute.backends.ionet_confidential import ConfidentialBackend
from vagus.daemon.backend_checks import doubts, name_faults, read_keys
from vagus.daemon.config import ConfigError, backend_of
from vagus.daemon.credentials import CredentialError
from vagus.daemon.doctor.finding import Finding, fail, ok, warn
from vagus.protocol import Refuse, VagusError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vagus.compute import Backend
    from vagus.daemon.config import Settings

__all__ = ["look_at_backends", "make_backends"]


def make_backends(settings: Settings) -> list[Backend | VagusError]:
    """Return the backend of each table, or why there can be none."""
    found: list[Backend | VagusError] = []
    for at, written in enumerate(settings.backends):
        # Only what `vagus run` would fetch is missing: a path in its place keeps this offline.
        fetched = {"model_path": Path("fetched")} if written.get("kind") == "local" else {}
        try:
            found.append(backend_of(fetched | written, f"{settings.file}: backends.{at}"))
        except VagusError as error:
            found.append(error)
    return found


def look_at_backends(
    settings: Settings, made_of: Sequence[Backend | VagusError]
) -> Iterator[Finding]:
    """Say what each table comes to, and what is wrong with all together; opens their keys, asks nobody."""
    names: list[str] = []
    for at, (written, made) in enumerate(zip(settings.backends, made_of, strict=True)):
        if isinstance(made, VagusError):
            names.append(str(written.get("name", written.get("kind", at))))
            yield from _unmade(made, names[-1], at)
            continue
        names.append(made.name)
        region = made.region.replace("unknown", "not given")
        yield ok(f"backend {made.name}", f"kind {written.get('kind')}, region {region}")
        yield from _backend(made, written, settings)
    trusted = None if settings.canaries is None else settings.canaries.trusted
    for fault in name_faults(names, trusted, f"{settings.file}: "):
        yield fail("backends", fault, ConfigError.advice)


def _unmade(error: VagusError, name: str, at: int) -> Iterator[Finding]:
    """Say why there can't be a backend of a table."""
    match error:
        case ConfigError():
            yield from (fail("backends", line, error.advice) for line in error.lines)
        case CredentialError():
            yield warn(f"backend {name}", error.fault, error.advice)
        case _:
            yield fail(f"backends.{at}", str(error), "mend its table under [[backends]]")


def _backend(backend: Backend, written: dict[str, Any], settings: Settings) -> Iterator[Finding]:
    """Say what a backend lacks that its own table can't tell."""
    name = f"backend {backend.name}"
    try:
        read_keys(written)
    except Refuse as error:
        yield fail(name, error.reason, "write the network's key there, for the node's user alone")
    if backend.signs and settings.transport_key is None:
        yield fail(
            name,
            "it signs what it asks with the node's transport key, and there is none",
            "name a keystore under [transport_key]; `vagus keys new` makes one",
        )
    if isinstance(backend, ConfidentialBackend) and not backend.attests:
        yield warn(
            name,
            "it pins no enclave's key: no sealed payload is sent to it",
            "give signers or measurements (docs/backends.md#confidential-backends)",
        )
    for doubt, advice in doubts(backend, settings.money):
        yield warn(name, doubt, advice)
