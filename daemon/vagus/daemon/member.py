"""One member of a committee, as the roster has it: its keys, where it answers, where it is paid."""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from vagus.daemon.strict_json import read_json
from vagus.protocol import Refuse, caip2, pack_address, read_address

__all__ = ["Chain", "KeyAddress", "Member", "read_member"]

_ADDRESS = re.compile("0x[0-9a-f]{40}")
_X25519 = re.compile("0x[0-9a-f]{64}")
# Small enough for any request line, and for 32 of them in a proposal.
_MAX_URL = 200
_MAX_MEMBER = 16_384


def _address(text: str) -> str:
    if _ADDRESS.fullmatch(text) is None:
        raise ValueError("is 0x and 40 lower-case hex digits: see `vagus keys show`")
    if int(text, 16) == 0:
        raise ValueError("the zero address has no key")
    return text


def _x25519(text: str) -> str:
    if _X25519.fullmatch(text) is None:
        raise ValueError("is 0x and 64 lower-case hex digits: see `vagus committee member`")
    return text


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is a URL that begins with http:// or https://")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("is public: give it no user, password, query or fragment")
    if text.endswith("/") or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("is written in plain ASCII, without a slash at the end")
    if len(text) > _MAX_URL:
        raise ValueError(f"has over {_MAX_URL} characters")
    parts.port  # noqa: B018 - raises ValueError for a port that is none
    return text


Chain = Annotated[str, AfterValidator(caip2)]
KeyAddress = Annotated[str, AfterValidator(_address)]


class Member(BaseModel):
    """One member: its signer's and its transport key's Ethereum addresses, and one on each chain.

    The address on a chain is where the member is paid, and from where it delivers. `transport` signs
    what the member says to the others; `x25519` is the public key of 32 bytes that they encrypt to
    it with; at `url` its node serves documents.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    signer: KeyAddress
    transport: KeyAddress | None = None
    x25519: Annotated[str, AfterValidator(_x25519)] | None = None
    url: Annotated[str, AfterValidator(_url)] | None = None
    addresses: dict[Chain, str] = {}

    @model_validator(mode="after")
    def _addresses_fit(self) -> Self:
        for chain, address in self.addresses.items():
            try:
                # One document has one digest: what people may type in two ways, a roster has in one.
                if read_address(chain, address) != address:
                    raise ValueError(f"{address!r} is to be written in lower case")
                pack_address(chain, address)
            except ValueError as error:
                raise ValueError(f"the address on {chain}: {error}") from None
        return self

    @property
    def address(self) -> bytes:
        """The signer, 20 bytes."""
        return bytes.fromhex(self.signer[2:])

    @property
    def transport_address(self) -> bytes:
        """The transport key's address, 20 bytes; Refuse where the roster has none."""
        if self.transport is None:
            raise Refuse(f"the roster has no transport key of {self.signer}")
        return bytes.fromhex(self.transport[2:])

    def payee(self, chain: str) -> bytes:
        """Return the member's packed address on a chain; Refuse where the roster has none."""
        if chain not in self.addresses:
            raise Refuse(f"the roster has no address of {self.signer} on {chain}")
        return pack_address(chain, self.addresses[chain])


def read_member(data: bytes) -> Member:
    """Read a member's JSON. Raises ValueError; pydantic's names the places."""
    return Member.model_validate(read_json(data, _MAX_MEMBER))
