"""What an agent may fetch, and the URLs that say so in one way only.

Parsers disagree about odd URLs, and that is how filters are passed: a user part, a fragment, a
backslash, an address in octal, a trailing dot. None of these is a URL here.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated, Literal

import yarl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vagus.agents.addresses import Address, is_public, literal
from vagus.compute.bounds import one_line
from vagus.protocol import Refuse

__all__ = ["HttpPolicy"]

MAX_URL = 2048
PORTS = {"http": 80, "https": 443}

# Lower case, no trailing dot, and no name that ends like a number: resolvers read those as
# addresses (2130706433, 127.1, 0x7f.1).
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}\.)*(?!\d+$|0x[0-9a-f]*$){_LABEL}")
# Path and query in the characters of RFC 3986, as they are sent.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[1-9]\d{0,4}))?"
    r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)


def _host(text: str) -> str:
    if not _NAME.fullmatch(text) and literal(text) is None:
        raise ValueError("a host is a lower-case name, or an address in its usual spelling")
    return text


class HttpPolicy(BaseModel):
    """What an agent may fetch; part of its config, so a committee shares it.

    hosts: exact names. ports: those a URL may have or mean. allow_networks: addresses that may be
    reached though they are not public. max_bytes: of a body. timeout: seconds, over all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hosts: Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], Field(max_length=256)]
    schemes: tuple[Literal["https", "http"], ...] = ("https",)
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (80, 443)
    allow_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    max_bytes: Annotated[int, Field(ge=1, le=16 << 20)] = 64 << 10
    timeout: Annotated[int, Field(ge=1, le=300)] = 10

    def target(self, url: str) -> yarl.URL:
        """Return a URL that may be asked, by its text. Raises Refuse."""
        match = _URL.fullmatch(url) if len(url) <= MAX_URL else None
        if match is None:
            raise Refuse(
                "a URL is http:// or https://, a lower-case host, perhaps a port, a path and a "
                f"query, at most {MAX_URL} characters; no user, no fragment"
            )
        scheme, host = match["scheme"], match["host"].strip("[]")
        port = int(match["port"] or PORTS[scheme])
        if scheme not in self.schemes:
            raise Refuse(f"{scheme} is not allowed here, only {' and '.join(self.schemes)}")
        if host not in self.hosts:
            raise Refuse(f"{one_line(host)} is none of the hosts that may be asked")
        if port not in self.ports:
            raise Refuse(f"port {port} is not allowed here")
        target = yarl.URL(url, encoded=True)
        if (target.scheme, target.host, target.port) != (scheme, host, port):
            raise Refuse("the URL is ambiguous")
        return target

    def check_addresses(self, host: str, addresses: Sequence[Address]) -> None:
        """Refuse a host with any address that may not be reached: that is how rebinding looks."""
        for address in addresses:
            allowed = any(address in network for network in self.allow_networks)
            if not allowed and not is_public(address):
                raise Refuse(f"{host} leads to {address}, which is no public address")
