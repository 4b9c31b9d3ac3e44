"""What every client does, and how each tells what it then reads.

The steps: set leverage and margin type; rest a limit order and a post-only order; have a crossing
post-only order refused; buy at market; protect with a stop and a take-profit; amend the limit
order; cancel the post-only order and the take-profit; close a quarter; open and close a short in
another symbol; place two orders as a batch and cancel one of them as a batch; add to and take from
the isolated margin; arm and cancel a trailing stop; arm a closing stop, have a second one refused,
cancel it; have a reducing order without a position refused; read everything. Each client writes
them in its own manner.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

BTC, ETH = "BTCUSDT", "ETHUSDT"


@dataclass
class Reading:
    """An account as a client reads it; lists are sorted, numbers are floats."""

    wallet: float
    available: float
    positions: list[Any]
    orders: list[Any]
    algos: list[Any]
    fills: list[Any]
    income: list[Any]
    #: Codes of the refusals, in order.
    refused: list[int]
    #: What the streams told, for clients that have streams.
    events: list[Any] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)


def position(symbol: str, amount: Any, entry: Any, isolated: Any) -> list[Any]:
    return [symbol, float(amount), float(entry), float(isolated)]


def order(client_id: str, side: str, price: Any, quantity: Any) -> list[Any]:
    return [client_id, side.upper(), float(price), float(quantity)]


def algo(client_id: str, kind: str, trigger: Any, quantity: Any) -> list[Any]:
    return [client_id, kind, float(trigger), float(quantity)]


def fill(symbol: str, side: str, price: Any, quantity: Any, fee: Any) -> list[Any]:
    return [symbol, side.upper(), float(price), float(quantity), float(fee)]


def paid(kind: str, amount: Any) -> list[Any]:
    return [kind, float(amount)]


def tell(reading: Reading) -> None:
    """The reading as the only line of standard output."""
    found = asdict(reading)
    for name in ("positions", "orders", "algos", "fills", "income"):
        found[name].sort()
    sys.stdout.write(json.dumps(found))
