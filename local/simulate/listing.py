"""What is listed: the symbols of an episode, where they begin, and how thin their books are."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

import msgspec

from local.simulate.people import BY_HAND
from shared.simulation.contracts import DEFAULT_CONTRACTS, Contract

#: Where each symbol begins. The venue's own four, and more of the same make.
PRICES = {
    "BTCUSDT": 95_000.0,
    "ETHUSDT": 3_300.0,
    "XRPUSDT": 2.2,
    "ADAUSDT": 0.7,
    "SOLUSDT": 150.0,
    "BNBUSDT": 600.0,
    "LTCUSDT": 90.0,
    "DOTUSDT": 4.0,
    "LINKUSDT": 14.0,
    "AVAXUSDT": 21.0,
    "ATOMUSDT": 4.5,
    "UNIUSDT": 7.0,
    "NEARUSDT": 2.6,
    "ETCUSDT": 17.0,
    "TRXUSDT": 0.25,
    "BCHUSDT": 380.0,
}

#: USDT per basis point of the thin books: an entry often fills in part only.
THIN = 12.0
THIN_SYMBOLS = ("LTCUSDT", "LINKUSDT", "AVAXUSDT")


def contracts_of(symbols: Collection[str]) -> dict[str, Contract]:
    """The venue's contracts, and more symbols made like one of them."""
    model = DEFAULT_CONTRACTS["ETHUSDT"]
    found = dict(DEFAULT_CONTRACTS)
    for symbol, price in (*PRICES.items(), (BY_HAND, 0.3)):
        if symbol not in found:
            base = DEFAULT_CONTRACTS["XRPUSDT"] if price < 20 else model
            instrument = msgspec.structs.replace(
                base.instrument,
                symbol=symbol,
                min_price=Decimal("0.01"),
                tick_size=Decimal("0.0001") if price < 20 else Decimal("0.01"),
            )
            found[symbol] = msgspec.structs.replace(
                base, instrument=instrument, base_asset=symbol.removesuffix("USDT")
            )
    for symbol in THIN_SYMBOLS:
        found[symbol] = msgspec.structs.replace(found[symbol], depth_per_bps=THIN)
    return {symbol: found[symbol] for symbol in symbols}
