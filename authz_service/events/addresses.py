"""To which addresses events may be sent, so that nobody can make the service call what stands in its own network.

A name is looked up anew for every connection, and the address that was judged is the one that is connected to.

AddressForbidden    the message is one sentence and names no credentials
"""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from socket import AF_UNSPEC, AddressFamily
from typing import Final
from urllib.parse import SplitResult, urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult

from authz_service.settings import SANDBOX_ROOT_KEY, Settings

URL_LIMIT: Final = 500
_Address = IPv4Address | IPv6Address
_NAME: Final = re.compile(r"[a-z0-9_-]+([.][a-z0-9_-]+)*[.]?", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
"""With such a last part no host is a name (WHATWG URL, "ends in a number"): resolvers read `2130706433`, `0x7f.1` or
`0177.0.0.1` as 127.0.0.1, and what is judged must be what is connected to."""
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""Where the network translates, the last four bytes are the IPv4 address that is reached (RFC 6052)."""


class AddressForbidden(OSError):  # noqa: N818 - it says what is so, as declines do
    """Events are not sent there; the message is one sentence."""


class Addresses:
    """What the settings allow: https to the world, and to networks that are named; in the sandbox also loopback."""

    def __init__(self, settings: Settings) -> None:
        self._networks = [ip_network(each) for each in settings.event_networks]
        self._is_sandbox = settings.root_key.get_secret_value() == SANDBOX_ROOT_KEY

    def require_url(self, url: str) -> None:
        """It is one that events may be sent to, as far as can be seen without looking its name up."""
        parts = _parts(url)
        host = parts.hostname or ""
        address = _address(host)
        if address is not None:
            self.require(address)
        elif not _is_name(host):
            raise AddressForbidden("An endpoint's host is a name, or an address in its usual form.")
        is_near = host == "localhost" or (address is not None and address.is_loopback)
        if parts.scheme == "https" or (parts.scheme == "http" and self._is_sandbox and is_near):
            return
        raise AddressForbidden("Events are sent to https:// alone; in the sandbox also to http:// on this machine.")

    def require(self, address: _Address) -> None:
        """Events may be sent to this address."""
        if not self._allows(address):
            raise AddressForbidden("The address is in a private network that AUTHZ_EVENT_NETWORKS does not name.")

    def _allows(self, address: _Address) -> bool:
        reached = _reached(address)
        if any(each.version == reached.version and reached in each for each in self._networks):
            return True
        if self._is_sandbox and reached.is_loopback:
            return True
        is_old = isinstance(reached, IPv6Address) and reached.is_site_local
        return reached.is_global and not (reached.is_multicast or reached.is_reserved or is_old)


class JudgingResolver(ThreadedResolver):
    """Looks names up, and gives none of their addresses if one of them is forbidden."""

    def __init__(self, addresses: Addresses) -> None:
        super().__init__()
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        for each in found:
            self._addresses.require(ip_address(each["host"].partition("%")[0]))
        return found


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not url.isascii() or not url.isprintable() or " " in url or len(url) > URL_LIMIT:
        raise AddressForbidden(f"An endpoint is an https:// address of at most {URL_LIMIT} ASCII characters.")
    if "@" in parts.netloc or parts.fragment:
        raise AddressForbidden("An endpoint's address has neither a password nor a fragment.")
    return parts


def _address(host: str) -> _Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    """`host` is in small letters, as `urlsplit` gives it."""
    last = host.removesuffix(".").rpartition(".")[2]
    return _NAME.fullmatch(host) is not None and _NUMBER.fullmatch(last) is None


def _reached(address: _Address) -> _Address:
    """Where packets end that are sent to it."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inner is None and address in _TRANSLATED:
        inner = IPv4Address(address.packed[-4:])
    return inner or address
