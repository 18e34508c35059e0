"""Networks that rent machines, as sandboxes, for tests of what rents from them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from vagus.compute.leases.akash import AkashProvisioner
from vagus.compute.leases.base import Container, Want
from vagus.compute.leases.conformance import Clock, Rental
from vagus.compute.leases.conformance.tools import Guest, lessor, serve, steps, stop
from vagus.compute.leases.ionet import IonetProvisioner
from vagus.compute.leases.render import GpuOffer, RenderProvisioner
from vagus.compute.sandbox import sandbox_class

__all__ = [
    "CONTAINER",
    "MAKERS",
    "MODEL",
    "Clock",
    "Guest",
    "Network",
    "lessor",
    "network",
    "serve",
    "steps",
    "stop",
]

MODEL = "Qwen/Qwen3-8B"
CONTAINER = Container("vllm/vllm-openai:v0.11.0", args=("--model", MODEL))
PRICE = Decimal("0.60")


@dataclass(frozen=True, kw_only=True)
class Network(Rental):
    """A rental whose sandbox's own fields tests read."""

    sandbox: Any


def _key(folder: Path, text: str) -> Path:
    path = folder / "network.key"
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return path


def _akash(sandbox: Any, folder: Path) -> Network:
    want = Want(CONTAINER, gpus=("rtx4090",), hours=1, max_hourly=PRICE)
    make = partial(AkashProvisioner, _key(folder, sandbox.api_key), base_url=sandbox.base_url)
    around = ("POST /v1/deposit-deployment", "DELETE /v1/deployments/")
    return Network(sandbox=sandbox, make=make, want=want, model=MODEL, around=around)


def _ionet(sandbox: Any, folder: Path) -> Network:
    want = Want(CONTAINER, gpus=("GeForce RTX 4090",), hours=1, max_hourly=PRICE)
    make = partial(IonetProvisioner, _key(folder, sandbox.api_key), base_url=sandbox.base_url)
    around = ("POST .*/deploy$", "POST .*/extend$", "DELETE .*/deployment/")
    return Network(sandbox=sandbox, make=make, want=want, model=MODEL, around=around)


def _render(sandbox: Any, folder: Path) -> Network:
    env = {"LLAMA_ARG_ALIAS": MODEL, "LLAMA_ARG_HF_REPO": "Qwen/Qwen3-8B-GGUF"}
    image = "ghcr.io/ggml-org/llama.cpp:server-cuda"
    container = Container(image, env=env, key_env="LLAMA_API_KEY")
    want = Want(container, hours=1, max_hourly=PRICE)
    offers = (GpuOffer("NVIDIA RTX 4090", 24, Decimal("0.35")),)
    key = _key(folder, sandbox.secret_key)
    make = partial(RenderProvisioner, sandbox.api_key, key, offers, base_url=sandbox.base_url)
    around = ("POST /v1/jobs$", "PUT /v1/jobs/.*/cancel$")
    return Network(sandbox=sandbox, make=make, want=want, model=MODEL, around=around)


MAKERS = {"akash": _akash, "ionet": _ionet, "render": _render}


@contextlib.asynccontextmanager
async def network(name: str, folder: Path) -> AsyncIterator[Network]:
    """Run a network's sandbox."""
    async with sandbox_class(name)() as sandbox:
        yield MAKERS[name](sandbox, folder)
