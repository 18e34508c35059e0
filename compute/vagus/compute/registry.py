"""Backends by their kind: the entry point group `vagus.backends`."""

from collections.abc import Mapping

from vagus.compute.base import Backend
from vagus.compute.config import BackendConfig
from vagus.compute.plugins import Plugin, found, load, report
from vagus.protocol import Refuse

__all__ = ["backend_class", "backend_config", "backend_kinds", "make_backend"]

GROUP = "vagus.backends"


def backend_kinds() -> tuple[Plugin, ...]:
    """Return every installed backend, broken ones with the reason."""
    return report(GROUP, lambda entry: load(entry, Backend).__name__)  # type: ignore[type-abstract]  # a subclass is loaded


def backend_class(kind: str) -> type[Backend]:
    """Return a kind's class, imported now. Raises Refuse for an unknown or a broken one."""
    entries = [entry for entry in found(GROUP) if entry.name == kind]
    if not entries:
        known = ", ".join(sorted({entry.name for entry in found(GROUP)}))
        raise Refuse(f"no backend of kind {kind!r} is installed; there are: {known}")
    if len(entries) > 1:
        raise Refuse(f"backend kind {kind!r} is installed {len(entries)} times: remove all but one")
    return load(entries[0], Backend)  # type: ignore[type-abstract]  # a subclass is loaded


def backend_config(table: Mapping[str, object]) -> BackendConfig:
    """Return one `[[backends]]` table as its kind's config.

    Raises Refuse for the kind, pydantic's ValidationError for the rest.
    """
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise Refuse('a backend needs its kind, as in: kind = "local"')
    return backend_class(kind).Config.model_validate(dict(table))


def make_backend(config: BackendConfig) -> Backend:
    """Return the backend of a config, not yet entered. Raises Refuse as `backend_class`."""
    return backend_class(config.kind)(config)
