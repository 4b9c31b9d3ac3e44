"""Order flows written down by hand: what the venue would answer, nothing computed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from shared.execution.exchange import Fill, VenueOrder

D = Decimal
START = 1_746_316_800_000
BTC = "BTCUSDT"
Side = Literal["BUY", "SELL"]


def order(
    id: int,
    side: Side,
    quantity: str,
    price: str = "100",
    *,
    at: float = 0,
    gone: float | None = None,
    status: str = "",
    executed: str = "0",
    client: str = "",
    tif: str = "GTC",
    type: str = "LIMIT",
    **fields: Any,
) -> VenueOrder:
    """An order placed ``at`` and withdrawn (``gone``) so many seconds after START."""
    end = at if gone is None else gone
    values: dict[str, Any] = {
        "symbol": BTC,
        "order_id": id,
        "client_order_id": client or f"web_{id}",
        "side": side,
        "type": type,
        "status": status or ("NEW" if gone is None else "CANCELED"),
        "quantity": D(quantity),
        "executed_quantity": D(executed),
        "price": D(price),
        "average_price": None,
        "reduce_only": False,
        "update_time": START + round(end * 1000),
        "placed_at": START + round(at * 1000),
        "time_in_force": tif,
    }
    return VenueOrder(**{**values, **fields})


def fill(
    trade: int,
    order_id: int,
    side: Side,
    quantity: str,
    price: str = "100",
    *,
    at: float = 0,
    maker: bool = False,
    pnl: str = "0",
    symbol: str = BTC,
) -> Fill:
    """An execution so many seconds after START."""
    return Fill(
        symbol=symbol,
        trade_id=trade,
        order_id=order_id,
        side=side,
        price=D(price),
        quantity=D(quantity),
        commission=D(0),
        commission_asset="USDT",
        realized_pnl=D(pnl),
        maker=maker,
        time=START + round(at * 1000),
    )
