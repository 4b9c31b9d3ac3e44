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
    prices: dict[tuple[str, int], Decimal] = {}
    return [f if f.commission_asset == USDT else _converted(desk, f, prices) for f in fills]


def _converted(desk: Desk, fill: Fill, prices: dict[tuple[str, int], Decimal]) -> Fill:
    """One fill; ``prices`` are known already: an order may have filled in a hundred parts."""
    if not fill.commission:
        return msgspec.structs.replace(fill, commission_asset=USDT)
    of = (fill.commission_asset, fill.time // MINUTE_MS * MINUTE_MS)
    if of not in prices:
        prices[of] = _price(desk, *of)
    amount = (fill.commission * prices[of]).quantize(CENT)
    return msgspec.structs.replace(fill, commission=amount, commission_asset=USDT)


def _price(desk: Desk, asset: str, minute: int) -> Decimal:
    symbol = f"{asset}{USDT}"
    bars = desk.exchange.candles(symbol, "1m", start=minute - MINUTE_MS, end=minute, limit=1)
    if not bars:
        raise ExchangeUnavailable(f"no price of {symbol} at {minute}: a fee cannot be converted")
    return Decimal(str(bars[0].close))
