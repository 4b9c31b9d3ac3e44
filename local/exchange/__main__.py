"""``python -m local.exchange``: the simulated exchange alone, for any Binance USD-M client."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from local.clock import ScaledClock
from local.exchange.api import BinanceApi
from local.exchange.server import ExchangeServer
from local.exchange.state import StateFile
from shared.errors import BorsaError, StoreUnavailable
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

DEFAULT_SYMBOLS = "BTCUSDT,ETHUSDT,XRPUSDT,ADAUSDT"
#: Real seconds between saves of the time alone.
SAVE_TIME_SECONDS = 1.0


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m local.exchange",
        description="A simulated Binance USD-M futures exchange on a seeded market.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--state", type=Path, help="SQLite file; without it nothing is kept")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--speed", type=float, default=1.0, help="simulated per real seconds")
    parser.add_argument("--start", default="2025-05-05T00:00:00Z", help="simulated start, ISO")
    parser.add_argument("--symbols", default=DEFAULT_SYMBOLS)
    parser.add_argument("--deposit", type=Decimal, default=Decimal(5000), help="USDT")
    parser.add_argument("--key", default="local-key", help="API key that is accepted")
    parser.add_argument("--secret", default="local-secret")
    parser.add_argument("--address-file", type=Path, help="where to write the address")
    return parser.parse_args(argv)


def start_ms(text: str) -> int:
    """ISO time to UTC milliseconds; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


async def serve(options: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT."""
    symbols = [s.strip().upper() for s in options.symbols.split(",") if s.strip()]
    identity = {
        "seed": str(options.seed),
        "symbols": ",".join(symbols),
        "start": options.start,
        "deposit": str(options.deposit),
    }
    state = StateFile(options.state, identity) if options.state else None
    begin = (state.saved_time() if state else None) or start_ms(options.start)
    venue = Venue(SyntheticMarket(options.seed, symbols), start_ms=begin, deposit=options.deposit)
    if state is not None:
        state.load(venue)
    clock = ScaledClock(begin, options.speed)
    api = BinanceApi(
        venue,
        clock,
        {options.key: options.secret},
        save=(lambda: state.save(venue)) if state is not None else None,
    )
    server = ExchangeServer(api, options.host, options.port)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await server.start()
    address = json.dumps({"url": server.url, "speed": options.speed, "start_ms": begin})
    if options.address_file is not None:
        # Whoever waits for the file finds it whole.
        partial = options.address_file.with_suffix(".partial")
        partial.write_text(address + "\n")
        partial.replace(options.address_file)
    sys.stdout.write(address + "\n")
    sys.stdout.flush()
    while not stopping.is_set():
        try:
            await asyncio.wait_for(stopping.wait(), SAVE_TIME_SECONDS)
        except TimeoutError:
            if state is not None:
                with suppress(StoreUnavailable):
                    state.save_time(venue)
    await server.stop()
    if state is not None:
        state.save(venue)
        state.close()


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = parse(argv)
    try:
        asyncio.run(serve(options))
    except (BorsaError, KeyError, ValueError, OSError) as error:
        sys.stderr.write(f"exchange: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
