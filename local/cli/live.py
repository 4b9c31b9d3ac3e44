"""``./run`` without a command: the whole application, live on the simulated exchange."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from local.clock import PacedLoop
from local.configuration import ABOUT, DEMONSTRATION, configuration
from local.host.server import HttpListener
from local.live.exchange import ExchangeThread
from local.live.page import PageServer, link
from local.live.snapshot import Snapshots
from local.platform import SIMULATED_KEY, Platform, app_settings
from local.signalr import SignalR
from local.streamer import StreamerThread
from shared.bootstrap import Services
from shared.errors import ConfigurationError, InvalidInput
from shared.security.secrets import environment_name
from shared.service_settings import SERVICE_SETTINGS
from shared.strategies.config import SignalConfig, five_strategies
from streamer.settings import load

#: The thresholds of the demonstration are still too high to watch: on a built-in market that
#: runs sixty times faster than life something shall happen within seconds.
THRESHOLD = 0.3
RECV_WINDOW_MS = "5000"
#: Simulated seconds between two looks of the console: a look weighs 54 of the 1,200 a minute that
#: the exchange's rate limit leaves to whoever only views.
LEAST_PAUSE = 6.0
#: Alerts that are no trouble, and that whoever waits for the end of some is told all the same.
URGENT = ("emergency-flat",)
#: Ports of functions and page where none is asked for.
PORT, PAGE_PORT = 7071, 8080


def demonstration() -> dict[str, str]:
    """Settings of the demonstration on short bars and with short trades."""
    plan = SignalConfig(default=five_strategies(THRESHOLD))
    return {
        **configuration(DEMONSTRATION).rest,
        "TIMEFRAMES": "1m",
        "BINANCE_RECV_WINDOW_MS": RECV_WINDOW_MS,
        "MAX_HOLDING_BARS": "10",
        "TRADING_PLAN": msgspec.json.encode(plan).decode(),
    }


def opinions(environment: Mapping[str, str]) -> dict[str, str]:
    """What a shell says of language model, sentiment and documents: nothing that trades."""
    names = [name for name, _, _ in SERVICE_SETTINGS]
    defaults = {name: default for name, default, _ in SERVICE_SETTINGS}
    key = environment.get("LLM_KEY_NAME") or defaults["LLM_KEY_NAME"]
    wanted = (*names, environment_name(key))
    return {name: environment[name] for name in wanted if environment.get(name)}


def run(options: argparse.Namespace) -> int:
    """Trade until Ctrl-C; the exit code."""
    if not 0.1 <= options.speed <= 10_000:
        raise InvalidInput(f"--speed is {options.speed}; use 0.1 to 10000")
    if options.seconds is not None and not options.seconds > 0:
        raise InvalidInput(f"--seconds is {options.seconds}; use a number above 0")
    _check_free("--port", options.port)
    _check_free("--page-port", options.page_port)
    folder: Path = options.state
    with _alone(folder) as lock:
        if options.fresh:
            _forget(folder, keep=lock.name)
        logging.getLogger().handlers[:] = [_log_file(folder)]
        logging.getLogger().setLevel(logging.INFO)
        exchange = ExchangeThread(
            folder / "exchange.db", options.seed, options.symbols, options.exchange_port
        )
        try:
            exchange.start()
        except ConfigurationError as error:
            raise ConfigurationError([*error.problems, "--fresh starts over"]) from error
        except OSError as error:
            raise InvalidInput(
                f"the exchange cannot listen on --exchange-port {options.exchange_port}: "
                f"{error.strerror}"
            ) from error
        loop = PacedLoop(exchange.clock, options.speed)
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(_trade(options, folder, exchange, loop))
        finally:
            asyncio.set_event_loop(None)
            loop.close()
            exchange.stop()
            with suppress(FileNotFoundError):
                (folder / "run.json").unlink()
    return 0


async def _trade(
    options: argparse.Namespace, folder: Path, exchange: ExchangeThread, loop: PacedLoop
) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    settings = app_settings(
        exchange.url,
        SYMBOLS=",".join(options.symbols),
        SQLITE_PATH=str(folder / "state.db"),
        **demonstration(),
        **({"MODEL_REGISTRY": "on", "MODEL_SCORING": "on"} if options.registry else {}),
        **opinions(os.environ),
    )
    services = Services(settings, clock=exchange.clock)
    live = SignalR()
    platform = Platform(
        exchange.clock,
        services,
        settings,
        state=folder,
        seed=options.seed,
        live=live,
        base_url=f"http://127.0.0.1:{PORT if options.port is None else options.port}",
    )
    await platform.start()
    streamer = _streamer(options, platform, settings)
    server = await _listen(platform, options.port)
    key = platform.host.keys.host["default"]
    snapshots = Snapshots(platform.host, key)
    page = PageServer(
        platform.host.handle,
        PAGE_PORT if options.page_port is None else options.page_port,
        live.routes(),
    )
    await page.start()
    # A key of its own: who gets the address of the page gets no other.
    dashboard = link(page.url, platform.host.host_key("dashboard"))
    _tell_other_port("functions", PORT, options.port, platform.host.base_url)
    _tell_other_port("page", PAGE_PORT, options.page_port, page.url)
    _announce(
        folder,
        {
            "pid": os.getpid(),
            "url": platform.host.base_url,
            "key": key,
            "page": dashboard,
            "exchange": exchange.url,
        },
    )
    # Real seconds: the loop's own are simulated, and pass only while nothing runs.
    limit = threading.Timer(options.seconds or 0, loop.call_soon_threadsafe, args=(stopping.set,))
    if options.seconds:
        limit.start()
    showing = asyncio.ensure_future(_show(options, snapshots, dashboard, platform.host.base_url))
    ending = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({showing, ending}, return_when=asyncio.FIRST_COMPLETED)
    limit.cancel()
    print("stopping ...", file=sys.stderr)
    await live.close()
    await page.stop()
    await server.stop()
    if streamer is not None:
        streamer.stop()
    await platform.stop()
    services.store.close()
    if showing.done():
        showing.result()
    for waiting in (showing, ending):
        waiting.cancel()
    await asyncio.gather(showing, ending, return_exceptions=True)
    print(f"stopped; state is kept under {folder}/, ./run goes on from here", file=sys.stderr)


def _streamer(
    options: argparse.Namespace, platform: Platform, settings: dict[str, str]
) -> StreamerThread | None:
    """The market streamer beside ``poll_candles``, into the application's own event log."""
    if not options.streamer:
        return None
    names = ("SYMBOLS", "TIMEFRAMES", "BINANCE_ENVIRONMENT", "BINANCE_BASE_URL")
    wanted = load({n: settings[n] for n in names}, sends=False)
    thread = StreamerThread(wanted, platform.event_log, SIMULATED_KEY)
    thread.start()
    return thread


def _check_free(option: str, port: int | None) -> None:
    """Refuse a port that was asked for and cannot be had: whoever named it looks for us there.

    Raises
    ------
    InvalidInput
        When it is taken, or no port.
    """
    if not port:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "no port"
            raise InvalidInput(
                f"{option} {port} cannot be used: {why}; name another one, or none to have a free "
                "one taken"
            ) from error


def _tell_other_port(what: str, usual: int, asked: int | None, url: str) -> None:
    if asked is None and f":{usual}" not in url:
        print(f"port {usual} is taken; {what} at {url}", file=sys.stderr)


async def _listen(platform: Platform, port: int | None) -> HttpListener:
    """Serve the functions; where none was asked for, a taken port is replaced by a free one."""
    for wanted in (PORT, 0) if port is None else (port,):
        listener = HttpListener(platform.host.handle, wanted)
        try:
            await listener.start()
        except OSError:
            continue
        platform.host.base_url = f"http://127.0.0.1:{listener.port}"
        return listener
    raise InvalidInput(
        "no free port on this machine" if port is None else f"--port {port} is taken"
    )


async def _show(
    options: argparse.Namespace, snapshots: Snapshots, page: str, functions: str
) -> None:
    """Refresh the console once a real second; where time passes slowly, less often."""
    pause = max(options.speed, LEAST_PAUSE)
    if options.plain or not sys.stdout.isatty():
        print(f"page {page}  functions {functions}", flush=True)
        print(f"demonstration: {ABOUT[DEMONSTRATION]}", flush=True)
        shown: set[str] = set()
        while True:
            for line in _news(await snapshots.take(), shown):
                print(line, flush=True)
            await asyncio.sleep(pause)
    from rich.live import Live

    from local.live.console import render

    with Live(render({}, page), screen=True, auto_refresh=False) as live:
        while True:
            live.update(render(await snapshots.take(), page), refresh=True)
            await asyncio.sleep(pause)


def _news(snapshot: dict[str, object], shown: set[str]) -> list[str]:
    """What is new since the last snapshot, as lines."""
    lines = []
    status = snapshot.get("status") or {}
    at = str(status.get("time", ""))[:19] if isinstance(status, dict) else ""
    for kind, name in (("positions", "positions"), ("trades", "trades")):
        rows = snapshot.get(kind)
        for row in rows.get(name, []) if isinstance(rows, dict) else []:
            key = f"{kind}:{row.get('decisionId') or row.get('id')}"
            if key in shown:
                continue
            shown.add(key)
            if kind == "positions":
                lines.append(
                    f"{at} opened {row['side']} {row['quantity']} {row['symbol']} at "
                    f"{row['entryPrice']}, stop {row['stopPrice']}, target {row['takeProfitPrice']}"
                )
            else:
                lines.append(
                    f"{at} closed {row['symbol']} at {row['exitPrice']} ({row['exitReason']}), net "
                    f"{row['netPnl']} USDT"
                )
    alerts = snapshot.get("alerts")
    found = alerts.get("alerts", []) if isinstance(alerts, dict) else []
    for alert in reversed(found):
        if alert["id"] in shown or (
            alert["severity"] != "critical" and alert["kind"] not in URGENT
        ):
            continue
        shown.add(alert["id"])
        lines.append(f"{alert['time'][:19]} ALERT {alert['title']}: {alert['text']}")
    return lines


class _alone:
    """Only one application may run on a folder: two would trade the same account twice."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = (folder / "lock").open("a+")
        except OSError as error:
            raise InvalidInput(f"{folder} cannot be used: {error.strerror}") from error
        self.name = "lock"
        self._folder = folder

    def __enter__(self) -> _alone:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise InvalidInput(
                f"another ./run is using {self._folder}; stop it first, or name --state DIR"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _forget(folder: Path, keep: str) -> None:
    for path in folder.iterdir():
        if path.name == keep:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _announce(folder: Path, run: dict[str, object]) -> None:
    path = folder / "run.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(run))


def _log_file(folder: Path) -> logging.Handler:
    handler = logging.FileHandler(folder / "run.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler
