"""Which addresses are anybody's on the internet, and which are of a network of one's own.

Source: IANA's special-purpose address registries (RFC 6890) of IPv4 and IPv6.
"""

import ipaddress

__all__ = ["Address", "is_local", "is_public", "literal"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Written out, since what `ipaddress` calls global changes with Python's patch releases.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT; the metadata of some clouds
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, a public address in private use
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # protocols' own, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "2620:4f:8000::/48",
        "3fff::/20",  # documentation
    )
)
# All else in IPv6 is special: loopback, IPv4-mapped, NAT64, unique local, link-local, multicast.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")

_LOCAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT, and the meshes that borrow it
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",  # unique local
    )
)
# Clouds' metadata within these: whoever asks there gets the machine's credentials.
_METADATA = frozenset(ipaddress.ip_address(text) for text in ("100.100.100.200", "fd00:ec2::254"))


def is_public(address: Address) -> bool:
    """Say whether an address is anybody's on the internet; one that hides another is not."""
    if isinstance(address, ipaddress.IPv6Address) and (
        address not in _GLOBAL_UNICAST or address.scope_id is not None
    ):
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def is_local(address: Address) -> bool:
    """Say whether an address is this machine's or of a private network, no cloud's metadata."""
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return False
    return address not in _METADATA and any(address in network for network in _LOCAL)


def literal(text: str) -> Address | None:
    """Return the address that a text spells in the one usual way, else None."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address if str(address) == text else None
