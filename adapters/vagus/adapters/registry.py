"""Which chains this installation can serve: entry points of the group `vagus.adapters`.

An entry point's name is a CAIP-2 namespace ("eip155"), its object a class of `ChainAdapter`.
Nothing is imported before it is asked for, and one that cannot be imported stops nothing: it is
listed with its reason.
"""

import contextlib
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from vagus.adapters.base import ChainAdapter
from vagus.adapters.errors import MissingExtraError
from vagus.protocol import VagusError

__all__ = ["GROUP", "AdapterError", "Installed", "adapter_class", "installed"]

GROUP = "vagus.adapters"


class AdapterError(VagusError):
    """There is no usable adapter for a namespace; the message says why."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed adapter; `fault` says why it cannot be used, empty if it can."""

    namespace: str
    target: str
    distribution: str
    fault: str


def installed() -> list[Installed]:
    """List all adapters by namespace, each loaded to see whether it can be used."""
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            adapter_class(entry.name)
            fault = ""
        except AdapterError as error:
            fault = str(error)
        owner = f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""
        found.append(Installed(entry.name, entry.value, owner, fault))
    return found


def adapter_class(chain: str) -> type[ChainAdapter]:
    """Load the adapter of a chain (CAIP-2) or of a namespace. Raises `AdapterError`."""
    namespace = chain.partition(":")[0]
    entries = entry_points(group=GROUP)
    matching = sorted(entries.select(name=namespace), key=lambda entry: entry.value)
    if not matching:
        known = ", ".join(sorted(entries.names)) or "none"
        raise AdapterError(f"no adapter for {namespace!r} is installed (installed: {known})")
    if len({entry.value for entry in matching}) > 1:
        rivals = ", ".join(entry.value for entry in matching)
        raise AdapterError(f"several adapters for {namespace!r} are installed: {rivals}")
    return _load(matching[0])


def _load(entry: EntryPoint) -> type[ChainAdapter]:
    try:
        # A plugin that prints does so on stderr: stdout is for answers.
        with contextlib.redirect_stdout(sys.stderr):
            found = entry.load()
    except MissingExtraError as error:
        raise AdapterError(str(error)) from None
    except BaseException as error:
        if type(error) is KeyboardInterrupt:  # Ctrl-C; of its subclasses none comes from a keyboard
            raise
        fault = f"{type(error).__name__}: {error}"
    else:
        if isinstance(found, type) and issubclass(found, ChainAdapter):
            return found
        fault = f"{entry.value} is no ChainAdapter"
    raise AdapterError(f"the adapter for {entry.name!r} is broken: {fault}")
