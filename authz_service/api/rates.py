"""How much each sender may ask for: so much a second for long, and more at once after a pause. Pure but for its memory.

One number a sender is kept: until when all that it has asked for would last at its rate (GCRA, ITU-T I.371). Who has
asked for nothing since is not kept at all.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Final

_OF_ONE_IPV6_USER: Final = 64
"""Bits: who has one address of such a network has all of them."""
_IPV6_BITS: Final = 128


@dataclass(slots=True, kw_only=True)
class Rate:
    """`senders_limit` are remembered; where more ask, whoever has asked least recently begins anew."""

    per_second: float
    burst_seconds: float
    senders_limit: int
    _paid_until: OrderedDict[str, float] = field(default_factory=OrderedDict, init=False)

    def wait_seconds(self, sender: str, now_seconds: float) -> float:
        """0 where it may ask now, which counts; else how long until it may, and nothing was counted."""
        paid_until = max(self._paid_until.get(sender, now_seconds), now_seconds)
        after = paid_until + 1 / self.per_second
        if (wait := after - now_seconds - self.burst_seconds) > 0:
            return wait
        self._paid_until[sender] = after
        self._paid_until.move_to_end(sender)
        while len(self._paid_until) > self.senders_limit or self._oldest_is_over(now_seconds):
            self._paid_until.popitem(last=False)
        return 0.0

    def _oldest_is_over(self, now_seconds: float) -> bool:
        return self._paid_until[next(iter(self._paid_until))] <= now_seconds


def sender_at(host: str) -> str:
    """The address, or of an IPv6 address the network that one user has."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> (_IPV6_BITS - _OF_ONE_IPV6_USER):x}::"
