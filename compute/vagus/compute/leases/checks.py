"""What provisioners check alike of what a network tells them."""

from collections.abc import Collection
from urllib.parse import urlsplit

from vagus.compute.addresses import literal
from vagus.compute.bounds import one_line
from vagus.compute.pinning import Reach
from vagus.protocol import Retry

__all__ = ["check_address", "matches", "reach_of"]

MAX_ADDRESS = 512


def matches(wanted: Collection[str], name: str) -> bool:
    """Say whether a name is among the wanted ones, in any case; every name is, where none is wanted."""
    return not wanted or name.casefold() in {each.casefold() for each in wanted}


def check_address(url: str) -> str:
    """Return a server's address as an `Endpoint` takes it. Raises Retry for what is none.

    Whether the host may be asked at all is for the client to see when it resolves the name.
    """
    try:
        parts = urlsplit(url)
        well = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        well = False
    if (
        not well
        or len(url) > MAX_ADDRESS
        or not url.isascii()
        or not url.isprintable()
        or set(" @?#\\") & set(url)
    ):
        raise Retry(f"the network named an address that is none: {one_line(url)}")
    return url.rstrip("/")


def reach_of(base_url: str) -> Reach:
    """Return where the machines of an API may be: on the internet, for their addresses are its word.

    Those of an API on this very machine, a sandbox, may be there too.
    """
    host = urlsplit(base_url).hostname or ""
    address = literal(host)
    here = host == "localhost" or (address is not None and address.is_loopback)
    return Reach.NAMED if here else Reach.PUBLIC
