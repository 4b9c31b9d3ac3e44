"""Commission that was paid in another asset, in USDT: an account that pays its fees in BNB.

At the close of the last whole minute before each fill, so that whoever settles a trade again comes
to the same figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.errors import ExchangeUnavailable
from shared.execution.desk import Desk
from shared.execution.exchange import Fill
from shared.market.timeframe import MINUTE_MS

USDT = "USDT"
#: Binance books amounts of USDT to eight decimals.
CENT = Decimal("0.00000001")


def in_usdt(desk: Desk, fills: Sequence[Fill]) -> list[Fill]:
    """The fills with their commission in USDT.

    Raises
    ------
    ExchangeError
        When a price is needed and cannot be read; the trade is settled later then.
    """
    return [f if f.commission_asset == USDT else _converted(desk, f) for f in fills]


def _converted(desk: Desk, fill: Fill) -> Fill:
    if not fill.commission:
        return msgspec.structs.replace(fill, commission_asset=USDT)
    symbol = f"{fill.commission_asset}{USDT}"
    minute = fill.time // MINUTE_MS * MINUTE_MS
    bars = desk.exchange.candles(symbol, "1m", start=minute - MINUTE_MS, end=minute, limit=1)
    if not bars:
        raise ExchangeUnavailable(f"no price of {symbol} at {minute}: a fee cannot be converted")
    amount = (fill.commission * Decimal(str(bars[0].close))).quantize(CENT)
    return msgspec.structs.replace(fill, commission=amount, commission_asset=USDT)
