"""A tradable contract and its filters, as ``GET /fapi/v1/exchangeInfo`` states them."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

import msgspec


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One USD-M perpetual contract.

    ``step_size`` and ``max_quantity`` come from LOT_SIZE, the ``market_*`` ones from
    MARKET_LOT_SIZE. ``multiplier_up`` and ``multiplier_down`` bound limit prices around the mark
    price (PERCENT_PRICE); ``market_take_bound`` bounds how far a market order may reach.
    """

    symbol: str
    status: str
    tick_size: Decimal
    min_price: Decimal
    max_price: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    market_step_size: Decimal
    market_min_quantity: Decimal
    market_max_quantity: Decimal
    min_notional: Decimal
    multiplier_up: Decimal
    multiplier_down: Decimal
    market_take_bound: Decimal
    trigger_protect: Decimal
    liquidation_fee: Decimal

    def round_price(self, price: Decimal, *, up: bool | None = None) -> Decimal:
        """The price on the tick grid: nearest, or strictly towards one side."""
        rounding = {None: ROUND_HALF_EVEN, True: ROUND_CEILING, False: ROUND_FLOOR}[up]
        return (price / self.tick_size).to_integral_value(rounding) * self.tick_size

    def round_quantity(self, quantity: Decimal, *, market: bool = True) -> Decimal:
        """The largest valid quantity not above ``quantity``; zero when below the minimum."""
        step = self.market_step_size if market else self.step_size
        low = self.market_min_quantity if market else self.min_quantity
        high = self.market_max_quantity if market else self.max_quantity
        rounded = (min(quantity, high) / step).to_integral_value(ROUND_DOWN) * step
        return rounded if rounded >= low else Decimal(0)
