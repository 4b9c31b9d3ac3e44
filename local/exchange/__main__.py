"""``python -m local.exchange``: the simulated exchange alone, for any Binance USD-M client."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from local.clock import ScaledClock
from local.exchange.api import BinanceApi
from local.exchange.options import NOW, add_options
from local.exchange.server import ExchangeServer
from local.exchange.state import StateFile
from shared.errors import BorsaError, StoreUnavailable
from shared.simulation.recorded import RecordedStream
from shared.simulation.source import MarketSource
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

#: Real seconds between saves of the time alone.
SAVE_TIME_SECONDS = 1.0


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m local.exchange",
        description="A simulated Binance USD-M futures exchange on a seeded market.",
    )
    add_options(parser, start="2025-05-05T00:00:00Z", port=0)
    return parser.parse_args(argv)


def start_ms(text: str) -> int:
    """ISO time, or ``now``, to UTC milliseconds; without a zone it is UTC."""
    moment = datetime.now(UTC) if text == NOW else datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def read_recording(path: Path) -> RecordedStream:
    """A recorded stream from a file, gzipped when its name ends in ``.gz``."""
    with path.open("rb") as file:
        return RecordedStream(gzip.open(file) if path.suffix == ".gz" else file)


def print_address(url: str, options: argparse.Namespace, begin: int) -> None:
    """The address as one line of JSON."""
    sys.stdout.write(address(url, options, begin) + "\n")
    sys.stdout.flush()


def address(url: str, options: argparse.Namespace, begin: int) -> str:
    return json.dumps({"url": url, "speed": options.speed, "start_ms": begin})


def _in_own_time(options: argparse.Namespace) -> bool:
    return options.start == NOW and options.recording is None


async def serve(
    options: argparse.Namespace,
    announce: Callable[[str, argparse.Namespace, int], None] = print_address,
) -> None:
    """Run until SIGTERM or SIGINT.

    Parameters
    ----------
    options : argparse.Namespace
        Of :func:`local.exchange.options.add_options`.
    announce : callable
        Told the address, the options and the simulated start in UTC milliseconds.
    """
    source: MarketSource
    if options.recording is not None:
        recorded = read_recording(options.recording)
        source, symbols, start = recorded, list(recorded.symbols), recorded.span[0]
        options = argparse.Namespace(**{**vars(options), "symbols": ",".join(symbols)})
    else:
        symbols = [s.strip().upper() for s in options.symbols.split(",") if s.strip()]
        source, start = SyntheticMarket(options.seed, symbols), start_ms(options.start)
    identity = {
        "seed": str(options.recording or options.seed),
        "symbols": ",".join(symbols),
        "start": options.start,
        "deposit": str(options.deposit),
    }
    state = StateFile(options.state, identity) if options.state else None
    saved = state.saved_time() if state else None
    begin = start
    if saved is not None:
        # Beside the machine's own time, a kept exchange goes on where it stopped.
        begin = max(saved, begin) if _in_own_time(options) else saved
    venue = Venue(
        source,
        start_ms=begin if saved is None else saved,
        deposit=options.deposit,
    )
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
    if options.address_file is not None:
        # Whoever waits for the file finds it whole.
        partial = options.address_file.with_suffix(".partial")
        partial.write_text(address(server.url, options, begin) + "\n")
        partial.replace(options.address_file)
    announce(server.url, options, begin)
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
