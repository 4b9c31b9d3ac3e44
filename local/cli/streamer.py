"""``./run streamer``: the market streamer here, into an event log of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import threading
from pathlib import Path

from local.cli.dates import names
from local.cli.open_state import running
from local.eventlog import EventLog
from local.platform import SIMULATED_KEY
from local.streamer import EventLogSink, known_key
from shared.clock import SystemClock
from shared.errors import InvalidInput
from streamer.app import Streamer
from streamer.settings import STREAMS, Settings, load

#: Where `./run exchange` listens and the key it takes, unless told otherwise.
EXCHANGE_URL = "http://127.0.0.1:8090"
EXCHANGE_KEY = "local-key"
#: The log of the events, beside those of a run.
LOG = "streamer.db"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command.add_argument(
        "--exchange",
        metavar="URL",
        help="a simulated exchange; default: that of the running ./run, else " + EXCHANGE_URL,
    )
    command.add_argument("--key", help="API key for userData (default: the one it takes)")
    command.add_argument("--symbols", type=names, default=("BTCUSDT", "ETHUSDT"), metavar="A,B")
    command.add_argument("--timeframes", default="1m", metavar="A,B", help="default: %(default)s")
    command.add_argument(
        "--streams", default="klines", metavar="A,B", help="out of " + ", ".join(STREAMS)
    )
    command.add_argument(
        "--health-port", type=int, default=0, metavar="N", help="of /healthz; 0 takes a free one"
    )
    command.add_argument("--seconds", type=float, help="stop by itself after that many seconds")
    command.add_argument("--quiet", action="store_true", help="do not write the events out")


def run(options: argparse.Namespace) -> int:
    """Stream until Ctrl-C or SIGTERM; 0 when everything was written."""
    folder: Path = options.state
    url, key = _exchange(options, folder)
    settings = load(
        {
            "BINANCE_ENVIRONMENT": "simulated",
            "BINANCE_BASE_URL": url,
            "BINANCE_API_KEY": key,
            "SYMBOLS": ",".join(options.symbols),
            "TIMEFRAMES": options.timeframes,
            "STREAMER_STREAMS": options.streams,
        },
        sends=False,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = EventLog(folder / LOG, clock=SystemClock(), partitions=2)
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be used: {error.strerror}") from error
    try:
        done = asyncio.run(_stream(options, settings, log, key))
    finally:
        log.close()
    return 0 if done else 1


def _exchange(options: argparse.Namespace, folder: Path) -> tuple[str, str]:
    """Address and key of the exchange to listen to."""
    if options.exchange:
        return options.exchange, options.key or EXCHANGE_KEY
    try:
        return str(running(folder)["exchange"]), options.key or SIMULATED_KEY
    except InvalidInput:
        return EXCHANGE_URL, options.key or EXCHANGE_KEY


async def _stream(options: argparse.Namespace, settings: Settings, log: EventLog, key: str) -> bool:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    limit = threading.Timer(options.seconds or 0, loop.call_soon_threadsafe, args=(stop.set,))
    if options.seconds:
        limit.start()
    sink = EventLogSink(log, None if options.quiet else _show)
    streamer = Streamer(
        settings,
        sink,
        api_key=known_key(key),
        health_port=options.health_port,
        health_host="127.0.0.1",
    )
    print(f"listening to {settings.rest_url}, writing to {options.state / LOG}", file=sys.stderr)
    telling = asyncio.ensure_future(_tell_health(streamer))
    try:
        return await streamer.run(stop)
    finally:
        limit.cancel()
        telling.cancel()
        print(f"stopped; {streamer.figures.flat()}", file=sys.stderr)


async def _tell_health(streamer: Streamer) -> None:
    while streamer.health is None or not streamer.health.port:
        await asyncio.sleep(0.05)
    print(f"health at http://127.0.0.1:{streamer.health.port}/healthz", file=sys.stderr)


def _show(hub: str, body: bytes) -> None:
    print(hub, body.decode(), flush=True)
