"""Models and the places that run them. `vagus.compute.base` is the contract of a backend."""

from vagus.compute.base import (
    Alternative,
    Answer,
    Backend,
    Barred,
    Completion,
    Delta,
    Message,
    Model,
    Proof,
    Rescored,
    Spoilt,
    Times,
    Token,
)
from vagus.compute.config import BackendConfig, Label
from vagus.compute.plugins import Plugin
from vagus.compute.price import Price, PriceConfig, Usage
from vagus.compute.registry import backend_class, backend_config, backend_kinds, make_backend

__all__ = [
    "Alternative",
    "Answer",
    "Backend",
    "BackendConfig",
    "Barred",
    "Completion",
    "Delta",
    "Label",
    "Message",
    "Model",
    "Plugin",
    "Price",
    "PriceConfig",
    "Proof",
    "Rescored",
    "Spoilt",
    "Times",
    "Token",
    "Usage",
    "backend_class",
    "backend_config",
    "backend_kinds",
    "make_backend",
]
