"""Binance as a publisher of history: an archive server, and the simulated exchange for REST."""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import requests

from local.clock import VirtualClock
from local.exchange.api import BinanceApi
from local.exchange.limits import RateLimits
from local.exchange.server import ExchangeServer
from shared.execution.binance.budget import LocalRateBudget
from shared.market.candle import Columns
from shared.market.timeframe import duration_ms
from shared.research.data.download import Sources
from shared.research.data.fetch import Http
from shared.research.data.rest import Rest
from shared.simulation.candles import CandleSource
from shared.simulation.venue import Venue

HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore\n"
)
FUNDING_HEADER = "calc_time,funding_interval_hours,last_funding_rate\n"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def candles(symbol: str, timeframe: str, start: int, end: int) -> Columns:
    """Made-up candles whose every value is short in decimal, so that text keeps it exactly."""
    time = np.arange(start, end, duration_ms(timeframe), dtype=np.int64)
    n = np.arange(len(time))
    opened = 50_000 + 100 * np.round(20 * np.sin(n / 37)) + n % 7
    close = np.append(opened[1:], opened[-1])
    high, low = np.maximum(opened, close) + 5.5, np.minimum(opened, close) - 4.5
    return Columns(symbol, timeframe, time, opened, high, low, close, 100.0 + n % 50)


def kline_csv(columns: Columns, *, header: bool, microseconds: bool = False) -> str:
    step = duration_ms(columns.timeframe)
    factor = 1000 if microseconds else 1
    lines = [
        f"{t * factor},{o},{h},{low},{c},{v},{(t + step - 1) * factor},1.5,9,0.5,0.7,0\n"
        for t, o, h, low, c, v in zip(
            columns.open_time.tolist(),
            columns.open.tolist(),
            columns.high.tolist(),
            columns.low.tolist(),
            columns.close.tolist(),
            columns.volume.tolist(),
            strict=True,
        )
    ]
    return (HEADER if header else "") + "".join(lines)


def zipped(name: str, text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name.replace(".zip", ".csv"), text)
    return out.getvalue()


@dataclass
class Archive:
    """What the archive server holds and how it misbehaves.

    ``trouble`` maps a path to what its next answers are: a status, ``cut`` (half of the content,
    then the connection ends), ``wrong`` (content of another file) or ``ok``.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    trouble: dict[str, list[object]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def publish(self, path: str, text: str) -> None:
        name = path.rsplit("/", 1)[-1]
        content = zipped(name, text)
        self.files[path] = content
        self.check(path, hashlib.sha256(content).hexdigest())

    def check(self, path: str, digest: str) -> None:
        name = path.rsplit("/", 1)[-1]
        self.files[f"{path}.CHECKSUM"] = f"{digest}  {name}\n".encode()

    def klines(self, columns: Columns, period: str, **form: bool) -> str:
        """Publish the candles of a month or day."""
        start = ms(f"{period}-01" if len(period) == 7 else period)
        end = start + 86_400_000 * (1 if len(period) == 10 else 31)
        inside = [
            i
            for i, t in enumerate(columns.open_time.tolist())
            if start <= t < end
            and datetime.fromtimestamp(t / 1000, UTC).isoformat().startswith(period)
        ]
        span = "monthly" if len(period) == 7 else "daily"
        folder = f"/data/futures/um/{span}/klines/{columns.symbol}/{columns.timeframe}"
        path = f"{folder}/{columns.symbol}-{columns.timeframe}-{period}.zip"
        part = columns.window(inside[0], inside[-1] + 1)
        self.publish(path, kline_csv(part, **{"header": True, **form}))
        return path

    def zips(self) -> list[str]:
        """Archive files that were asked for, without their checksums."""
        return [path for path, _ in self.asked if path.endswith(".zip")]


def _handler(archive: Archive) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # headers and body in one packet

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            archive.asked.append((self.path, wanted))
            script = archive.trouble.get(self.path, [])
            what = script.pop(0) if script else "ok"
            content = archive.files.get(self.path)
            if isinstance(what, int):
                self._send(what, b"trouble", {"Retry-After": "7"} if what in (429, 418) else {})
            elif content is None:
                self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")
            elif what == "wrong":
                self._send(200, b"something else")
            else:
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                if wanted and start >= len(content):
                    self._send(416, b"")
                    return
                self._send(206 if wanted else 200, content[start:], cut=what == "cut")

        def _send(
            self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False
        ) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.wfile.flush()
            if cut:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return Handler


@contextmanager
def serving_archive() -> Iterator[Archive]:
    archive = Archive()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(archive))
    archive.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Publisher:
    """Archive, REST and a client of both on one virtual clock."""

    def __init__(self, archive: Archive, url: str, api: BinanceApi, clock: VirtualClock) -> None:
        self.archive = archive
        self.rest_url = url
        self.api = api
        self.clock = clock
        self.session = requests.Session()
        self.session.trust_env = False

    def sources(self, *, archive: bool = True, rest: bool = True, weight: int = 2400) -> Sources:
        budget = LocalRateBudget(self.clock.now_ms)
        budget.limits(weight_1m=weight, orders_10s=300, orders_1m=1200)
        http = Http(self.session, self.clock, budget)
        return Sources(
            http=http,
            archive=self.archive.url if archive else None,
            rest=Rest(http, self.clock, self.rest_url) if rest else None,
        )


@contextmanager
def publishing(
    columns: Columns, now: int, *, funding: list[tuple[int, float]] | None = None, **limits: int
) -> Iterator[Publisher]:
    """Candles as the simulated exchange and an (empty) archive publish them at a time."""
    symbol = columns.symbol
    source = CandleSource(
        {symbol: columns}, mark={symbol: columns}, funding={symbol: funding} if funding else None
    )
    clock = VirtualClock(now)
    venue = Venue(source, start_ms=now, deposit=Decimal(5000))
    api = BinanceApi(venue, clock, {"key": "secret"}, limits=RateLimits(**limits))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ExchangeServer(api)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    with serving_archive() as archive:
        publisher = Publisher(archive, server.url, api, clock)
        try:
            yield publisher
        finally:
            publisher.session.close()
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
