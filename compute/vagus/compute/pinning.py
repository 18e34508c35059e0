"""Where a connection may lead: a name is resolved once, its addresses checked, and those are used.

A backend's URL is the operator's word, what its name resolves to is not: a name that leads into the
operator's own network, or to a cloud's metadata, would have the node ask there with whatever it sends.
"""

import asyncio
import enum
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult

from vagus.compute.addresses import Address, is_local, is_public
from vagus.compute.bounds import one_line
from vagus.protocol import Refuse

__all__ = ["PinnedResolver", "Reach", "Resolve", "check_host", "check_url"]

MAX_ADDRESSES = 16

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Reach(enum.Enum):
    """Which addresses may be connected to. Link-local ones and clouds' metadata never are.

    PUBLIC: those of the internet, for a URL that a stranger wrote. NAMED: this machine besides, where
    the URL says so itself: 127.0.0.1, ::1, localhost. PRIVATE: private networks besides, and any
    name that leads there or to this machine.
    """

    PUBLIC = "public"
    NAMED = "named"
    PRIVATE = "private"


def check_url(url: str, reach: Reach) -> None:
    """Refuse a URL whose host is written as an address out of reach; names are for the resolver."""
    check_host(urlsplit(url).hostname or "", reach)


def check_host(host: str, reach: Reach) -> None:
    """Refuse a host as `check_url` does, without brackets; names are for the resolver."""
    # What aiohttp takes for an address, and asks no resolver about.
    if ":" not in host and not host.replace(".", "").isdigit():
        return
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # 127.1 and 2130706433 are the same address to who connects.
        raise Refuse(f"{one_line(host)} is no address as addresses are written") from None
    _check(host, [address], reach, loopback=address.is_loopback)


class PinnedResolver(AbstractResolver):
    """Resolves a name and hands on what it checked, so that the connection goes there and nowhere else.

    resolve: a name's addresses, the system's resolver by default. Raises Refuse for a name with any
    address out of reach: that is how rebinding looks.
    """

    def __init__(self, reach: Reach, resolve: Resolve | None = None) -> None:
        self._reach = reach
        self._ask = resolve or _resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return a name's addresses. Raises OSError where there are none, and Refuse."""
        found = await self._ask(host, port)
        if not 0 < len(found) <= MAX_ADDRESSES:
            raise OSError(f"{len(found)} addresses")
        addresses = [ipaddress.ip_address(text) for text in found]
        local = host == "localhost" or host.endswith(".localhost")
        _check(host, addresses, self._reach, loopback=local)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Hold nothing."""


def _check(host: str, addresses: Sequence[Address], reach: Reach, *, loopback: bool) -> None:
    """Refuse any address out of reach; `loopback` says whether the URL itself names this machine."""
    for address in addresses:
        if is_public(address):
            continue
        if reach is Reach.PRIVATE and is_local(address):
            continue
        if reach is Reach.NAMED and loopback and address.is_loopback:
            continue
        todo = ""
        if reach is Reach.NAMED and is_local(address):
            todo = ": if that is meant, say allow_private = true"
        raise Refuse(f"{host} leads to {address}, which is no public address{todo}")


async def _resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system. A name that leads nowhere is an OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))
