"""AkashML: open models on Akash's GPUs, billed by token. Source: AkashML's API documentation.

Keys begin with `akml-`. Whether the listing's prices are for a token or for a million of them is said
differently in different places: `price_unit` decides, and what can't be right by it is no price.
"""

from typing import ClassVar, Literal

from vagus.compute.backends.http import BaseUrl
from vagus.compute.backends.openai import OpenAIBackend, OpenAIConfig
from vagus.compute.config import Label

__all__ = ["AkashMLBackend", "AkashMLConfig"]


class AkashMLConfig(OpenAIConfig):
    """`kind = "akashml"`. Without models, all that it lists are taken."""

    needs_key: ClassVar[bool] = True

    kind: Label = "akashml"
    network: Label = "akash"
    base_url: BaseUrl = "https://api.akashml.com/v1"
    prices: Literal["config", "listed"] = "listed"


class AkashMLBackend(OpenAIBackend):
    """AkashML's one endpoint."""

    Config = AkashMLConfig
