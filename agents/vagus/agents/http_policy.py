"""What an agent may fetch, and the URLs that say so in one way only.

Parsers disagree about odd URLs, and that is how filters are passed: a user part, a fragment, a
backslash, an address in octal, a trailing dot. None of these is a URL here. No host is allowed that
nobody named: a node that fetches what any stranger likes is a proxy for abuse, under its operator's
address and as many times as its committee has members.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import yarl
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from vagus.compute.addresses import Address, is_public, literal
from vagus.compute.bounds import one_line
from vagus.protocol import Refuse

__all__ = ["HttpPolicy"]

MAX_URL = 2048
MAX_HEADERS = 8
PORTS = {"http": 80, "https": 443}
# Headers that speak for the node, for a person, or to what is on the way: nobody can allow them.
_NEVER = frozenset(
    [
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "from",
        "host",
        "http2-settings",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "max-forwards",
        "origin",
        "range",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-real-ip",
        "x-rewrite-url",
    ]
)
_NEVER_PREFIXES = ("proxy-", "sec-", "x-forwarded-")
_HEADER = re.compile("[a-z][a-z0-9-]{0,63}")
# RFC 9110 allows more; visible ASCII and single spaces are what every server reads alike.
_VALUE = re.compile(r"[!-~]+(?: [!-~]+)*")
MAX_VALUE = 256
MAX_SECRET = 1024

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


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name) or name in _NEVER or name.startswith(_NEVER_PREFIXES):
        raise ValueError(
            "a header is a lower-case name that speaks neither for the node nor to proxies"
        )
    return name


class HttpPolicy(BaseModel):
    """What an agent may fetch; part of its config, so a committee shares it.

    hosts: exact names. post_hosts: those of them that may be sent a body, which asks again where a
    node asks again. headers: names that a request may have. secret_headers: names that a requester's
    sealed secret may have the value of. ports: those a URL may have or mean.
    allow_networks: addresses that may be reached though they are not public. max_bytes: of a body.
    timeout: seconds, over all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hosts: Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], Field(max_length=256)]
    post_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(_host)], ...], Field(max_length=256)
    ] = ()
    headers: Annotated[
        tuple[Annotated[str, AfterValidator(_header)], ...], Field(max_length=32)
    ] = ("accept", "accept-language")
    secret_headers: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=_HEADER.pattern)], ...],
        Field(max_length=32),
    ] = ("authorization", "x-api-key")
    schemes: tuple[Literal["https", "http"], ...] = ("https",)
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (80, 443)
    allow_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    max_bytes: Annotated[int, Field(ge=1, le=16 << 20)] = 64 << 10
    timeout: Annotated[int, Field(ge=1, le=300)] = 10

    @model_validator(mode="after")
    def _posts_to_hosts(self) -> Self:
        if others := set(self.post_hosts) - set(self.hosts):
            raise ValueError(f"post_hosts has {min(others)}, which hosts has not")
        return self

    def target(self, url: str, *, post: bool = False) -> yarl.URL:
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
        if post and host not in self.post_hosts:
            raise Refuse(f"{host} is none of the hosts that may be sent a POST")
        if port not in self.ports:
            raise Refuse(f"port {port} is not allowed here")
        target = yarl.URL(url, encoded=True)
        if (target.scheme, target.host, target.port) != (scheme, host, port):
            raise Refuse("the URL is ambiguous")
        return target

    def check_headers(self, headers: Mapping[str, str]) -> None:
        """Refuse headers that were not named, or whose values two servers might read in two ways."""
        if len(headers) > MAX_HEADERS:
            raise Refuse(f"a request has at most {MAX_HEADERS} headers")
        for name, value in headers.items():
            if name not in self.headers:
                raise Refuse(f"{one_line(name)} is none of the headers that a request may have")
            if len(value) > MAX_VALUE or not _VALUE.fullmatch(value):
                raise Refuse(
                    f"the header {name} has no value of visible ASCII, at most {MAX_VALUE} characters"
                )

    def check_secrets(self, target: yarl.URL, secrets: Mapping[str, str]) -> None:
        """Refuse secrets that would be sent in the clear, or under another name; quotes none of them."""
        if secrets and target.scheme != "https":
            raise Refuse("secrets are sent by https alone")
        for name, value in secrets.items():
            if name not in self.secret_headers:
                raise Refuse(
                    f"{one_line(name)} is none of the headers that a secret may be sent as"
                )
            if len(value) > MAX_SECRET or not _VALUE.fullmatch(value):
                raise Refuse(
                    f"the secret {name} is not visible ASCII of at most {MAX_SECRET} characters"
                )

    def check_addresses(self, host: str, addresses: Sequence[Address]) -> None:
        """Refuse a host with any address that may not be reached: that is how rebinding looks."""
        for address in addresses:
            allowed = any(address in network for network in self.allow_networks)
            if not allowed and not is_public(address):
                raise Refuse(f"{host} leads to {address}, which is no public address")
