"""What a node of the demo buys: a `[[backends]]` table for each seller, as docs/compute.md has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["USD", "table"]

USD = "3000"
"""What a unit of account is taken to be worth."""
# What tokens are reckoned at, in the smallest unit per 1,000,000: under the node's own machine.
_PRICES = {
    "akash": ("20000000000000", "40000000000000"),
    "ionet": ("12000000000000", "24000000000000"),
    "render": ("16000000000000", "32000000000000"),
    "gpunet": ("14000000000000", "28000000000000"),
}
_LEASED = {
    "gpus": ["rtx4090"],
    "when": "always",
    "max_hourly": "0.60",
    "spend_hour": "1.30",
    "spend_day": "8",
    "start_timeout": 60.0,
}
_SERVER = {
    "image": "ghcr.io/ggml-org/llama.cpp:server-cuda",
    "env": {"LLAMA_ARG_ALIAS": "demo"},
    "key_env": "LLAMA_API_KEY",
}


def table(seller: str, shown: Mapping[str, str], model: Mapping[str, Any], folder: Path) -> str:
    """Return a seller's table in TOML; `shown` is what its sandbox shows. Keys go into the folder."""
    parts = ("revision", "quantization", "weights")
    models = [{"name": model["model"]} | {key: model[key] for key in parts if model[key]}]
    known: dict[str, Any] = {"name": seller}
    if seller == "edge":
        known |= {"kind": "edge", "region": "home", "url": shown["broker"]}
        known |= {"workers": [shown["worker"]], "max_price": {"input": "0.10", "output": "0.20"}}
        return _toml(known)
    read, written = _PRICES[seller]
    known |= {"base_url": shown["base_url"], "price": {"input": read, "output": written}}
    if seller == "gpunet":
        known |= {"kind": "gpunet", "region": "us", "models": models}
        known |= {"api_key_file": _key(folder, seller, shown["api_key"])}
        known |= {"rpc": [shown["rpc"]], "contract": shown["contract"]}
        return _toml(known | {"machine": int(shown["machine"])})
    known |= {**_LEASED, **_SERVER, "models": models}
    if seller == "akash":
        known |= {"kind": "akash", "region": "us", "port": 8080}
        return _toml(known | {"api_key_file": _key(folder, seller, shown["api_key"])})
    if seller == "ionet":
        known |= {"kind": "ionet-caas", "region": "de", "gpus": ["GeForce RTX 4090"]}
        return _toml(known | {"api_key_file": _key(folder, seller, shown["api_key"])})
    known |= {"kind": "render", "region": "us", "gpus": [], "public_key": shown["api_key"]}
    known |= {"offers": [{"name": "NVIDIA RTX 4090", "vram": 24, "hourly": "0.35"}]}
    return _toml(known | {"secret_key_file": _key(folder, seller, shown["secret_key"])})


def _key(folder: Path, seller: str, key: str) -> str:
    path = folder / "keys" / f"demo-{seller}"
    path.touch(0o600)
    path.write_text(key + "\n", encoding="ascii")
    return f"keys/{path.name}"


def _toml(known: Mapping[str, Any]) -> str:
    return "\n".join(
        ["[[backends]]", *(f"{key} = {_value(value)}" for key, value in known.items())]
    )


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    # Strings and numbers are written in TOML as in JSON.
    return json.dumps(value)
