"""Servers that speak the APIs of GPU networks on this machine, for tests and for trying things."""

import importlib
from typing import NamedTuple

from vagus.compute.sandbox.base import Sandbox
from vagus.protocol import Refuse

__all__ = ["SANDBOXES", "Entry", "Sandbox", "sandbox_class"]


class Entry(NamedTuple):
    """A sandbox: `module:class` within this package, imported when it is wanted, and what it is."""

    target: str
    about: str


# By the name that `vagus sandbox` takes.
SANDBOXES: dict[str, Entry] = {
    "akash": Entry("akash:AkashSandbox", "Akash's Console API: deployments, bids, leases"),
    "akashml": Entry("openai:AkashMLSandbox", "AkashML: tokens, OpenAI's API"),
    "gpunet": Entry("gpunet:GpuNetSandbox", "GPU.net: a rented machine, and the market's contract"),
    "ionet": Entry("ionet:IonetSandbox", "io.net CaaS: containers on GPUs, paid by the hour"),
    "ionet-confidential": Entry(
        "ionet_confidential:ConfidentialSandbox",
        "io.net's confidential inference: answers that are signed, without an enclave",
    ),
    "ionet-intelligence": Entry(
        "openai:IonetIntelligenceSandbox", "io.net Intelligence: tokens, OpenAI's API"
    ),
    "render": Entry("render:RenderSandbox", "Render's Dispersed: jobs on GPUs, signed requests"),
}


def sandbox_class(name: str) -> type[Sandbox]:
    """Return the class of a sandbox, imported now. Raises Refuse for an unknown name."""
    entry = SANDBOXES.get(name)
    if entry is None:
        raise Refuse(f"no sandbox is called {name}; there are: {', '.join(sorted(SANDBOXES))}")
    module, _, cls = entry.target.partition(":")
    found: type[Sandbox] = getattr(importlib.import_module(f"{__name__}.{module}"), cls)
    return found
