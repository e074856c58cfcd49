"""Which clients count as one, by where they call from."""

import ipaddress
from functools import lru_cache
from typing import Final

# Whoever rents a line or a server gets at least so much of IPv6 (RFC 6177): its addresses are all theirs to call from.
IPV6_PREFIX = 64
NOWHERE: Final = "-"  # a Unix socket's other end, or what a proxy calls an address and is none


@lru_cache(maxsize=4096)
def network_of(host: str | None) -> str:
    """What `host` is counted under: an IPv4 address, also one that is written as IPv6, or the /64 of an IPv6 address."""
    if host is None:
        return NOWHERE
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return NOWHERE
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))
