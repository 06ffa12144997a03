"""Where webhooks may be sent: never to this machine or its network, unless a setting allows it.

Whoever may add a webhook could else make Axon speak to servers that only Axon can reach.
"""

import asyncio
import socket
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

from axon.alerts.errors import UnusableUrl

URL_CHARACTERS_MAX = 2048
RESOLVE_TIMEOUT_S = 5.0
_PORTS = {"https": 443, "http": 80}

_CARRIES_IPV4 = ip_network("64:ff9b::/96")
"""Of NAT64 (RFC 6052): its last 32 bits are the address that is reached."""

_NEVER_PUBLIC = (
    ip_network("::/96"),  # IPv4-compatible, long deprecated
    ip_network("64:ff9b:1::/48"),  # NAT64 of a local network
    ip_network("fec0::/10"),  # site-local, long deprecated
    ip_network("192.88.99.0/24"),  # relays of 6to4
    ip_network("192.0.0.0/24"),  # IETF's own; a cloud's metadata among them
    ip_network("168.63.129.16/32"),  # a cloud's metadata, at an address of the public kind
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What the settings allow beyond https to public addresses."""

    http: bool = False
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL, taken apart."""

    host: str
    port: int
    path: str
    tls: bool

    @property
    def authority(self) -> str:
        """Return the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == _PORTS["https" if self.tls else "http"]
        return host if usual else f"{host}:{self.port}"


def target_of(url: str, allowed: Allowed) -> Target:
    """Return where a URL leads; raises UnusableUrl, and resolves no name."""
    if len(url) > URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise UnusableUrl("a URL has 2048 printable ASCII characters at most")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise UnusableUrl(str(error)) from error
    if parts.scheme != "https" and not (allowed.http and parts.scheme == "http"):
        raise UnusableUrl("only https, unless alerts.allow_http is set")
    if not host or "@" in parts.netloc or parts.fragment:
        raise UnusableUrl("it has a host, and neither a user nor a fragment")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(host=host, port=port, path=path, tls=parts.scheme == "https")


async def addresses_of(target: Target, allowed: Allowed) -> list[str]:
    """Return the addresses of a target, each checked; connect to these and to no others.

    One address that is not public refuses all: names that lead to both are a known trick. Raises
    UnusableUrl.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:
        raise UnusableUrl(f"{target.host} is not known: {error}") from error
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    for address in addresses:
        if not may_be_reached(address, allowed):
            raise UnusableUrl(f"{target.host} is {address}, which is not a public address")
    return addresses


def may_be_reached(address: str, allowed: Allowed) -> bool:
    """Return whether an address is public, or in a network that the settings allow."""
    try:
        found = _reached(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    if any(found.version == network.version and found in network for network in allowed.networks):
        return True
    if any(found.version == network.version and found in network for network in _NEVER_PUBLIC):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved)


def _reached(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 address that only carries one, else itself."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and address in _CARRIES_IPV4:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return address if inner is None else inner
