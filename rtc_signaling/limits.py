"""How much a client may do: token buckets, tables of addresses, counts of violations.

Pure: `now_s` is a monotonic clock's time in s, given by the caller; it never goes back. Everything
here has a bounded size, whatever clients do. One thread may call.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict, deque
from dataclasses import dataclass


class TokenBucket:
    """Allow `rate_per_s` on average, and `burst` at once after a pause.

    It starts full. A hot path: two numbers change, nothing is allocated.

    Args:
        rate_per_s: How many tokens come in a second; above 0.
        burst: How many it holds; above 0.
    """

    __slots__ = ('_at_s', '_burst', '_level', '_rate_per_s')

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._level = burst
        self._at_s = -math.inf  # so that it is full whenever it is used first

    def take(self, now_s: float, amount: float = 1.0) -> bool:
        """Take `amount` tokens and return True; if there are fewer, take none."""
        level = self._level + (now_s - self._at_s) * self._rate_per_s
        if level > self._burst:  # noqa: PLR1730  # min() would cost more than all the rest
            level = self._burst
        self._at_s = now_s
        if level < amount:
            self._level = level
            return False
        self._level = level - amount
        return True

    def put_back(self, amount: float = 1.0) -> None:
        """Put back what was taken just now, and not used."""
        self._level += amount

    def wait_s(self, now_s: float, amount: float = 1.0) -> float:
        """Return in how many s `take` will succeed: 0 for now, infinity for never."""
        if amount > self._burst:
            return math.inf
        level = self._level + (now_s - self._at_s) * self._rate_per_s
        return max(0.0, (amount - level) / self._rate_per_s)


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Hold the limits of one address.

    Attributes:
        connections_per_s: Connections that it may open, on average.
        connections_burst: Connections that it may open at once.
        failed_logins_per_s: Wrong credentials that it may show, on average.
        failed_logins_burst: Wrong credentials that it may show at once.
        max_addresses: Of how many addresses to keep account; the one that was quiet for longest
            is forgotten first.
    """

    connections_per_s: float
    connections_burst: float
    failed_logins_per_s: float
    failed_logins_burst: float
    max_addresses: int = 4096


class AddressTable:
    """Limit connections and failed logins by address.

    Addresses here are what `address_key` makes of them, so that all those of one host are one.
    """

    def __init__(self, rules: AddressRules) -> None:
        most = rules.max_addresses
        self._connections = _Buckets(rules.connections_per_s, rules.connections_burst, most)
        self._failures = _Buckets(rules.failed_logins_per_s, rules.failed_logins_burst, most)

    def admit(self, address: str, now_s: float) -> bool:
        """Count a connection of `address`; return whether it may stay."""
        return self._connections.take(address, now_s)

    def connection_wait_s(self, address: str, now_s: float) -> float:
        """Return in how many s `address` may connect again; 0 is now."""
        return self._connections.wait_s(address, now_s)

    def count_failed_login(self, address: str, now_s: float) -> None:
        """Count a wrong credential that came from `address`."""
        self._failures.take(address, now_s)

    def login_wait_s(self, address: str, now_s: float) -> float:
        """Return in how many s a credential from `address` will be looked at again; 0 is now.

        To be asked before the credential is looked at, so that guessing gets no answer.
        """
        return self._failures.wait_s(address, now_s)

    def __len__(self) -> int:
        """Return how many buckets are kept: two times `max_addresses` at most."""
        return len(self._connections) + len(self._failures)


class _Buckets:
    """Keep a bucket for each of the keys that were used last."""

    def __init__(self, rate_per_s: float, burst: float, most: int) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._most = most
        self._by_key: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str, now_s: float) -> bool:
        bucket = self._by_key.get(key)
        if bucket is None:
            bucket = self._by_key[key] = TokenBucket(self._rate_per_s, self._burst)
            if len(self._by_key) > self._most:
                self._by_key.popitem(last=False)
        else:
            self._by_key.move_to_end(key)
        return bucket.take(now_s)

    def wait_s(self, key: str, now_s: float) -> float:
        bucket = self._by_key.get(key)
        return 0.0 if bucket is None else bucket.wait_s(now_s)

    def __len__(self) -> int:
        return len(self._by_key)


def address_key(address: str) -> str:
    """Return what stands for `address` in a table.

    A host gets a whole /64 of IPv6, so that is what counts; link-local addresses share one /64
    among all hosts of a network and count by themselves. An IPv4 address in an IPv6 one is the
    IPv4 address. What is no IP address (a Unix socket's peer) stands for itself.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    if ip.is_link_local:
        return str(ip)
    return f'{ipaddress.IPv6Address(int(ip) >> 64 << 64)}/64'


class Violations:
    """Tell when more than `limit` violations fall within `window_s` seconds.

    It remembers `limit` + 1 of them, however many come.

    Args:
        limit: How many are borne; 0 bears none.
        window_s: For how long one counts, in s.
    """

    __slots__ = ('_times_s', '_window_s')

    def __init__(self, limit: int, window_s: float) -> None:
        self._window_s = window_s
        self._times_s: deque[float] = deque(maxlen=limit + 1)

    def add(self, now_s: float) -> bool:
        """Count one; return whether there are too many now."""
        times_s = self._times_s
        times_s.append(now_s)
        return len(times_s) == times_s.maxlen and now_s - times_s[0] <= self._window_s
