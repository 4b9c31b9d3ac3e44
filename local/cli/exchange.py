"""``./run exchange``: the simulated exchange alone, and how to point a client at it."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime

from local.exchange.__main__ import serve
from local.exchange.options import NOW
from shared.errors import ConfigurationError

_HEAD = """\
A simulated Binance USD-M futures exchange on {url}
  key {key}, secret {secret}, {deposit} USDT, {symbols}
  time {time}, speed {speed:g}{kept}
"""

_CLIENTS = """
python-binance:
    from binance.client import Client
    client = Client("{key}", "{secret}", ping=False)
    client.FUTURES_URL = "{url}/fapi"{offset}
    print(client.futures_account_balance())

python-binance streams:
    from binance import BinanceSocketManager
    BinanceSocketManager.FSTREAM_URL = "{sockets}/"

ccxt:
    import ccxt
    exchange = ccxt.binanceusdm({{"apiKey": "{key}", "secret": "{secret}"}})
    for name, address in exchange.urls["api"].items():
        exchange.urls["api"][name] = "{url}/" + address.split("/", 3)[3]{difference}
    print(exchange.fetch_balance()["USDT"])

curl:
    curl "{url}/fapi/v1/ticker/price?symbol={symbol}"
    query="timestamp=$(curl -s {url}/fapi/v1/time | tr -dc 0-9)&recvWindow=60000"
    signature=$(printf %s "$query" | openssl dgst -sha256 -hmac {secret} | sed 's/.* //')
    curl -H "X-MBX-APIKEY: {key}" "{url}/fapi/v3/balance?$query&signature=$signature"
"""

_OFFSET = """
    import time
    client.timestamp_offset = client.futures_time()["serverTime"] - int(time.time() * 1000)"""
_DIFFERENCE = """
    exchange.load_time_difference()"""


def guide(url: str, options: argparse.Namespace, begin: int) -> str:
    """What is running, and the lines that point clients at it."""
    symbols = [s.strip().upper() for s in options.symbols.split(",") if s.strip()]
    # A client's own clock only agrees with an exchange that lives in the machine's time.
    own_clock = options.start == NOW and options.speed == 1 and options.recording is None
    fields = {
        "url": url,
        "sockets": url.replace("http", "ws", 1),
        "key": options.key,
        "secret": options.secret,
        "deposit": options.deposit,
        "symbols": " ".join(symbols),
        "symbol": symbols[0],
        "time": datetime.fromtimestamp(begin / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "speed": options.speed,
        "kept": f", kept in {options.state}" if options.state else ", nothing is kept",
        "offset": "" if own_clock else _OFFSET,
        "difference": "" if own_clock else _DIFFERENCE,
    }
    return (_HEAD + _CLIENTS).format(**fields)


def _announce(url: str, options: argparse.Namespace, begin: int) -> None:
    print(guide(url, options, begin), flush=True)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C.

    Raises
    ------
    ConfigurationError
        An option cannot be used: a symbol without a contract, a time that is none, a taken port.
    """
    try:
        asyncio.run(serve(options, _announce))
    except (ValueError, KeyError, OSError) as error:
        raise ConfigurationError([str(error)]) from error
    return 0
