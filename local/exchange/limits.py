"""Rate limits: request weight per address and minute, orders per account and 10 s or minute."""

from __future__ import annotations

from dataclasses import dataclass

from shared.simulation.refusal import VenueRefusal

_MINUTE = 60_000
_TEN_SECONDS = 10_000
_POOL_MS = 300_000
#: Refused requests within a minute after which an address is banned.
_PATIENCE = 10
_FIRST_BAN_MS = 120_000
_LONGEST_BAN_MS = 3 * 86_400_000


class Throttled(VenueRefusal):
    """A limit is exceeded; the request was not executed."""

    def __init__(self, code: int, message: str, status: int, retry_after: int) -> None:
        super().__init__(code, message, status=status)
        self.retry_after = retry_after


@dataclass
class _Window:
    start: int = 0
    used: int = 0
    refused: int = 0

    def at(self, now: int, length: int) -> _Window:
        start = now - now % length
        if start != self.start:
            self.start, self.used, self.refused = start, 0, 0
        return self


@dataclass
class _Address:
    weight: _Window
    banned_until: int = 0
    bans: int = 0


class RateLimits:
    """Counters of one exchange.

    Parameters
    ----------
    weight : int
        Request weight per minute and address.
    orders_10s, orders_1m : int
        Orders per account.
    pool : int
        Requests for funding rates in five minutes and from one address.
    connections : int
        Websocket connections in five minutes and from one address.
    """

    def __init__(
        self,
        *,
        weight: int = 2400,
        orders_10s: int = 300,
        orders_1m: int = 1200,
        pool: int = 500,
        connections: int = 300,
    ) -> None:
        self.weight = weight
        self.pool = pool
        self.connections = connections
        self.orders_10s = orders_10s
        self.orders_1m = orders_1m
        self._addresses: dict[str, _Address] = {}
        self._pools: dict[str, _Window] = {}
        self._connections: dict[str, _Window] = {}
        self._orders: dict[str, tuple[_Window, _Window]] = {}

    def spend(self, ip: str, weight: int, now: int) -> int:
        """Charge an address; returns the weight used this minute.

        Raises
        ------
        Throttled
            429 above the limit, 418 while the address is banned: refusals of any limit count.
        """
        address = self._address(ip)
        if now < address.banned_until:
            raise self._banned(ip, address, now)
        window = address.weight.at(now, _MINUTE)
        if window.used + weight > self.weight:
            raise self._refusal(
                ip,
                now,
                -1003,
                f"Too many requests; current limit of IP({ip}) is {self.weight} requests per "
                "minute. Please use the websocket for live updates to avoid polling the API.",
                window.start + _MINUTE,
            )
        window.used += weight
        return window.used

    def _address(self, ip: str) -> _Address:
        found = self._addresses.get(ip)
        if found is None:
            found = self._addresses[ip] = _Address(_Window())
        return found

    def _refusal(self, ip: str, now: int, code: int, message: str, until: int) -> Throttled:
        """A 429 of any limit; who goes on after too many of them within a minute is banned."""
        address = self._address(ip)
        window = address.weight.at(now, _MINUTE)
        window.refused += 1
        if window.refused <= _PATIENCE:
            return Throttled(code, message, 429, max(1, -(-(until - now) // 1000)))
        length = min(_LONGEST_BAN_MS, _FIRST_BAN_MS << (2 * address.bans))
        address.bans += 1
        address.banned_until = now + length
        return self._banned(ip, address, now)

    def spend_pool(self, ip: str, now: int) -> None:
        """Count a request of the pool that fundingRate and fundingInfo have for themselves.

        Raises
        ------
        Throttled
            429 above 500 requests in five minutes.
        """
        window = self._pools.setdefault(ip, _Window()).at(now, _POOL_MS)
        if window.used >= self.pool:
            raise self._refusal(
                ip,
                now,
                -1003,
                f"Too many requests; current limit is {self.pool} requests per 5 minutes.",
                window.start + _POOL_MS,
            )
        window.used += 1

    def connect(self, ip: str, now: int) -> None:
        """Count a websocket connection of an address.

        Raises
        ------
        Throttled
            429 above 300 in five minutes.
        """
        window = self._connections.setdefault(ip, _Window()).at(now, _POOL_MS)
        if window.used >= self.connections:
            raise self._refusal(
                ip,
                now,
                -1003,
                f"Too many connections; current limit is {self.connections} per 5 minutes.",
                window.start + _POOL_MS,
            )
        window.used += 1

    def used(self, ip: str, now: int) -> int:
        address = self._addresses.get(ip)
        return address.weight.at(now, _MINUTE).used if address else 0

    def count_orders(
        self, ip: str, account: str, cost: tuple[int, int], now: int
    ) -> tuple[int, int]:
        """Count orders of an account (10 s, 1 minute); returns both counters.

        Raises
        ------
        Throttled
            -1015 above either limit.
        """
        ten, minute = cost
        pair = self._orders.setdefault(account, (_Window(), _Window()))
        short, long = pair[0].at(now, _TEN_SECONDS), pair[1].at(now, _MINUTE)
        if short.used + ten > self.orders_10s:
            raise self._refusal(
                ip,
                now,
                -1015,
                f"Too many new orders; current limit is {self.orders_10s} orders per TEN_SECONDS.",
                short.start + _TEN_SECONDS,
            )
        if long.used + minute > self.orders_1m:
            raise self._refusal(
                ip,
                now,
                -1015,
                f"Too many new orders; current limit is {self.orders_1m} orders per MINUTE.",
                long.start + _MINUTE,
            )
        short.used += ten
        long.used += minute
        return short.used, long.used

    @staticmethod
    def _banned(ip: str, address: _Address, now: int) -> Throttled:
        return Throttled(
            -1003,
            f"Way too many requests; IP({ip}) banned until {address.banned_until}. "
            "Please use the websocket for live updates to avoid bans.",
            418,
            max(1, -(-(address.banned_until - now) // 1000)),
        )
