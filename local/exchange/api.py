"""Binance's REST interface over a venue, independent of how requests arrive.

One request: time passes up to the clock, limits and identity are checked, the endpoint runs, the
state is saved, and only then the answer leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from local.exchange import (
    account_routes,
    algo_routes,
    history_routes,
    market_routes,
    neighbour_routes,
    order_routes,
    trade_routes,
)
from local.exchange.auth import Credential, Keys, check_signature, check_time
from local.exchange.endpoints import TABLE, Call, Endpoint, Security
from local.exchange.faults import ApiRequest, ApiResponse, Faults
from local.exchange.limits import RateLimits, Throttled
from local.exchange.listen_keys import ListenKeys
from local.exchange.parameters import Parameters, parse_pairs
from shared.clock import Clock
from shared.errors import StoreUnavailable
from shared.simulation.refusal import VenueRefusal
from shared.simulation.venue import Venue

#: Importing the route modules fills the table.
ROUTES = (
    market_routes,
    trade_routes,
    order_routes,
    algo_routes,
    history_routes,
    account_routes,
    neighbour_routes,
)

_UNKNOWN = "Unknown error, please check your request or try again later."
_encode = msgspec.json.Encoder().encode


class BinanceApi:
    """The exchange's REST face.

    Parameters
    ----------
    venue : Venue
    clock : Clock
        The exchange's clock.
    credentials : mapping of str to (str or Credential)
        By API key; a plain string is the HMAC secret of the main account.
    limits : RateLimits, optional
    faults : Faults, optional
    save : callable, optional
        Stores the venue's state; called after whatever may have changed it, before the answer.
    average_price_in_answers : bool
        Whether POST and DELETE answers carry ``avgPrice`` and ``cumQuote``, as before 2026-07.
    algo_query_lag_ms : int
        How long a new conditional order stays invisible to queries (they are eventually
        consistent on the venue); it works all the same.
    clock_skew_ms : int
        How far the exchange's clock is ahead of ``clock``.
    """

    def __init__(
        self,
        venue: Venue,
        clock: Clock,
        credentials: Mapping[str, str | Credential],
        *,
        limits: RateLimits | None = None,
        faults: Faults | None = None,
        save: Callable[[], None] | None = None,
        average_price_in_answers: bool = False,
        algo_query_lag_ms: int = 0,
        clock_skew_ms: int = 0,
    ) -> None:
        self.venue = venue
        self.clock = clock
        self.keys = Keys(credentials)
        self.limits = limits or RateLimits()
        self.listen_keys = ListenKeys()
        self.faults = faults
        self.average_price_in_answers = average_price_in_answers
        self.algo_query_lag_ms = algo_query_lag_ms
        self.clock_skew_ms = clock_skew_ms
        self.written_klines: dict[tuple[str, int, bool, int], str] = {}
        self._save = save

    def time(self) -> int:
        """The exchange's time in milliseconds; it never runs backward."""
        return max(self.venue.now, self.clock.now_ms() + self.clock_skew_ms)

    def advance(self) -> None:
        """Bring the venue up to the clock and save what happened on the way."""
        before = self.venue.core.version
        self.venue.advance(self.time())
        if self._save is not None and self.venue.core.version != before:
            self._save()

    def handle(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        ip: str = "127.0.0.1",
        verified: bool = False,
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer one request.

        Parameters
        ----------
        method, path : str
        query : str
            Raw query string, as it was signed.
        headers : mapping of str to str
            Any case.
        body : bytes
            Form body.
        ip : str
            Address that rate limits count by.
        verified : bool
            The signature has been verified where the request arrived.

        Returns
        -------
        tuple of (int, dict, bytes)
            Status, headers, JSON body.

        Raises
        ------
        AnswerLost
            A fault ends the connection without an answer.
        """
        sent: Mapping[str, str] = headers or {}
        faults = self.faults
        if faults is None:
            return self._answer(method, path, query, sent, body, ip, verified)
        request = ApiRequest(method, path, query, sent, body, self.time(), ip)
        instead = faults.before(request)
        if instead is not None:
            return instead.status, instead.headers, instead.body
        response = ApiResponse(*self._answer(method, path, query, sent, body, ip, verified))
        response = faults.after(request, response)
        return response.status, response.headers, response.body

    def _answer(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        ip: str,
        verified: bool,
    ) -> tuple[int, dict[str, str], bytes]:
        answer_headers = {"content-type": "application/json;charset=UTF-8"}
        found = TABLE.get((method, path))
        value: Any
        try:
            self.advance()
            if found is None:
                self.limits.spend(ip, 1, self.venue.now)
                raise self._unknown(method, path)
            value = self._run(found, query, headers, body, ip, verified, answer_headers)
            status = 200
        except Throttled as refusal:
            answer_headers["retry-after"] = str(refusal.retry_after)
            status, value = refusal.status, {"code": refusal.code, "msg": refusal.message}
        except VenueRefusal as refusal:
            status, value = refusal.status, {"code": refusal.code, "msg": refusal.message}
        except StoreUnavailable:
            # It happened but is not saved: nothing may be promised either way.
            status, value = 503, {"code": -1000, "msg": _UNKNOWN}
        if found is None or found.weighed:
            used = self.limits.used(ip, self.venue.now)
            answer_headers["x-mbx-used-weight-1m"] = str(used)
        return status, answer_headers, _encode(value)

    def _run(
        self,
        found: Endpoint,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        ip: str,
        verified: bool,
        answer_headers: dict[str, str],
    ) -> Any:
        venue = self.venue
        now = venue.now
        form = body.decode("utf-8", "replace") if body else ""
        values = parse_pairs(query)
        if form:
            for name, value in parse_pairs(form).items():
                values.setdefault(name, value)
        parameters = Parameters(values)
        self._spend(found, parameters, ip)
        if not found.weighed:
            self.limits.spend_pool(ip, now)
        if found.security is Security.NONE:
            return found.run(Call(self, venue, parameters, None, ""))
        key = _header(headers, "X-MBX-APIKEY")
        credential = self.keys.identify(key)
        if found.security is Security.SIGNED:
            if not verified:
                check_signature(credential, query, form, values.get("signature"))
            check_time(now, values.get("timestamp"), values.get("recvWindow"))
        counts: tuple[int, int] | None = None
        if found.orders is not None:
            counts = self.limits.count_orders(ip, credential.account, found.orders, now)
        account = venue.account(credential.account)
        version = venue.core.version
        try:
            value = found.run(Call(self, venue, parameters, account, key or ""))
            if counts is not None:
                # Refused orders count too, but their answers do not tell.
                answer_headers["x-mbx-order-count-10s"] = str(counts[0])
                answer_headers["x-mbx-order-count-1m"] = str(counts[1])
            return value
        finally:
            # A refused request may still have changed something (a self-trade prevented).
            if self._save is None:
                account.dirty.clear()
            elif account.dirty or venue.core.version != version:
                self._save()

    def _spend(self, found: Endpoint, parameters: Parameters, ip: str) -> None:
        weight = found.weight
        if not isinstance(weight, int):
            try:
                weight = weight(parameters)
            except VenueRefusal:
                # Nonsense is not free of charge.
                self.limits.spend(ip, 1, self.venue.now)
                raise
        self.limits.spend(ip, weight, self.venue.now)

    @staticmethod
    def _unknown(method: str, path: str) -> VenueRefusal:
        if any(known == path for _, known in TABLE):
            return VenueRefusal(-1000, f"Request method '{method}' not supported", status=405)
        return VenueRefusal(-5000, f"Path {path}, Method {method} is invalid", status=404)


def _header(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    if value is None:
        wanted = name.lower()
        value = next((v for k, v in headers.items() if k.lower() == wanted), None)
    return value
