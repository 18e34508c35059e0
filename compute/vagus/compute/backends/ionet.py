"""io.net Intelligence: open models, billed by token. Source: io.net's documentation of the API.

Its listing is public and has prices in USD a token and each model's context window.
"""

from typing import ClassVar, Literal

from vagus.compute.backends.http import BaseUrl
from vagus.compute.backends.openai import OpenAIBackend, OpenAIConfig
from vagus.compute.config import Label

__all__ = ["IonetBackend", "IonetConfig"]


class IonetConfig(OpenAIConfig):
    """`kind = "ionet"`. Without models, all that it lists are taken."""

    needs_key: ClassVar[bool] = True

    kind: Label = "ionet"
    network: Label = "io.net"
    base_url: BaseUrl = "https://api.intelligence.io.solutions/api/v1"
    prices: Literal["config", "listed"] = "listed"


class IonetBackend(OpenAIBackend):
    """io.net Intelligence's one endpoint."""

    Config = IonetConfig
