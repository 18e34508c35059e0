"""Whom a confidential backend trusts: enclaves' keys, and domains whose quotes vouch for one."""

import json
import pathlib
import time
from typing import Annotated, ClassVar, Self

from pydantic import Field, StringConstraints, model_validator

from vagus.compute.backends.http import BaseUrl, HttpConfig, Seconds, Text
from vagus.compute.confidential import QuoteFile, check_vouched
from vagus.compute.config import Label
from vagus.protocol import Refuse

__all__ = ["ConfidentialConfig"]

Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{40}$")]
Measurement = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{96}$")]


class ConfidentialConfig(HttpConfig):
    """`kind = "ionet-confidential"`.

    models: the API's model ids. signers: addresses of enclaves' keys that are trusted. measurements:
    MRTDs of TDX domains that are; quote_file then vouches for the key. It is JSON {"quote",
    "collateral", "time"}: hex, Intel's collateral, which must be in force, and the Unix time at which
    the evidence judges both. attest_every: seconds after which the key is asked for and tried anew.
    """

    needs_key: ClassVar[bool] = True

    kind: Label = "ionet-confidential"
    network: Label = "io.net"
    base_url: BaseUrl = "https://api.intelligence.io.net/v1/private"
    models: Annotated[tuple[Text, ...], Field(min_length=1)]
    signers: tuple[Address, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    quote_file: pathlib.Path | None = None
    attest_every: Seconds = 600.0

    @model_validator(mode="after")
    def _has_a_quote(self) -> Self:
        if self.measurements and self.quote_file is None:
            raise ValueError("quote_file is missing: measurements are those of the quote in it")
        return self

    def check_trusted(self, address: str, quote: QuoteFile | None) -> None:
        """Refuse a key that is neither pinned nor vouched for by a quote that holds now."""
        if address in self.signers:
            return
        if not self.measurements or quote is None:
            raise Refuse(f"its key {address} is none of the signers that are pinned")
        collateral, now = json.dumps(quote.collateral), int(time.time())
        check_vouched(address, quote.quote, collateral, now, self.measurements)

    @property
    def pinned(self) -> bool:
        """Whether it says which keys or domains are trusted."""
        return bool(self.signers or self.measurements)
