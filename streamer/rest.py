"""The few REST endpoints the streamer needs: time, candles, listen keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from shared.errors import ExchangeError, ExchangeRejected, ExchangeThrottled, ExchangeUnavailable
from shared.execution.binance.answers import market
from shared.execution.binance.answers.decoding import Unreadable
from shared.execution.binance.errors import banned_until, classify, scrubbed
from shared.market.candle import Candle

#: Rows of one request at most; it weighs 10 of the 2,400 a minute.
KLINES_PAGE = 1500
_TIMEOUT = aiohttp.ClientTimeout(total=10)
#: The verdicts after which every further request would only lengthen the ban.
_BANNED = (418, 429, 403)

ApiKey = Callable[[], Awaitable[str]]


class Rest:
    """Unsigned requests to one venue. Errors never show an address with a key in it.

    Parameters
    ----------
    http : aiohttp.ClientSession
    base_url : str
        Without the ``/fapi`` path.
    api_key : callable, optional
        Gives the API key for listen keys; asked each time, so that a rotated one counts.
    """

    def __init__(
        self, http: aiohttp.ClientSession, base_url: str, api_key: ApiKey | None = None
    ) -> None:
        self._http = http
        self._base = base_url
        self._api_key = api_key
        self._quiet_until = 0.0

    async def time(self) -> int:
        """The venue's time in UTC milliseconds.

        Raises
        ------
        ExchangeError
        """
        return int((await self._json("GET", "/fapi/v1/time"))["serverTime"])

    async def candles(self, symbol: str, timeframe: str, *, start: int, limit: int) -> list[Candle]:
        """Candles from an open time on, ascending, the forming one included.

        Raises
        ------
        ExchangeError
        """
        query = {
            "symbol": symbol,
            "interval": timeframe,
            "startTime": str(start),
            "limit": str(limit),
        }
        body = await self._ask("GET", "/fapi/v1/klines", query)
        try:
            return market.candles(body, symbol, timeframe)
        except Unreadable as error:
            raise ExchangeUnavailable(f"klines of {symbol} {timeframe}: {error}") from None

    async def listen_key(self) -> str:
        """The account's active listen key, valid for another hour.

        Raises
        ------
        ExchangeError
        """
        return str((await self._json("POST", "/fapi/v1/listenKey", keyed=True))["listenKey"])

    async def renew_listen_key(self) -> None:
        """Another hour for the active listen key.

        Raises
        ------
        ExchangeError
            With code -1125 when there is none any more.
        """
        await self._ask("PUT", "/fapi/v1/listenKey", keyed=True)

    async def _json(self, method: str, path: str, *, keyed: bool = False) -> dict[str, Any]:
        body = await self._ask(method, path, keyed=keyed)
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise ExchangeUnavailable(f"{path}: {error}") from None

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        keyed: bool = False,
    ) -> bytes:
        now = asyncio.get_running_loop().time()
        if now < self._quiet_until:
            wait = self._quiet_until - now
            raise ExchangeThrottled(f"{path}: asked to wait {wait:.0f} s more", retry_after=wait)
        headers = {}
        if keyed:
            if self._api_key is None:
                raise ExchangeRejected(f"{path}: there is no API key")
            headers["X-MBX-APIKEY"] = await self._api_key()
        try:
            async with self._http.request(
                method,
                self._base + path,
                params=query,
                headers=headers,
                timeout=_TIMEOUT,
                # A redirect would carry the key somewhere else.
                allow_redirects=False,
            ) as answer:
                body = await answer.read()
                status, given = answer.status, answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ExchangeUnavailable(f"{path}: {type(error).__name__}") from None
        if status == 200:
            return body
        raise self._refusal(path, status, body, given, now)

    def _refusal(
        self, path: str, status: int, body: bytes, given: str, now: float
    ) -> ExchangeError:
        code, message = 0, body[:200].decode("utf-8", "replace")
        try:
            told = msgspec.json.decode(body, type=dict[str, Any])
            code, message = int(told.get("code", 0)), str(told.get("msg", ""))
        except (msgspec.MsgspecError, ValueError, TypeError):
            pass
        rule = classify(status, code, message)
        wait = float(given) if given.isdigit() else rule.block_seconds
        if status in _BANNED or banned_until(message) is not None:
            wait = max(wait, 10.0)
            self._quiet_until = now + wait
        # An answer of a status that is no error here: nothing was asked that could be "ok".
        kind = rule.raises or ExchangeRejected
        return kind(
            f"{path}: {scrubbed(message) or rule.meaning}",
            code=code,
            status=status,
            retry_after=wait,
        )
