"""What the orders of one entry have executed together."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.execution.exchange import VenueOrder
from shared.risk.plan import OrderPlan


class Tally:
    """Adds up orders that are over; ``cost`` is in USDT."""

    def __init__(self, plan: OrderPlan) -> None:
        self._plan = plan
        self.executed = Decimal(0)
        self.cost = Decimal(0)
        self._last: VenueOrder | None = None

    def add(self, order: VenueOrder) -> None:
        """Count an order that is over."""
        self.executed += order.executed_quantity
        self.cost += order.executed_quantity * (order.average_price or order.price)
        if order.executed_quantity:
            self._last = order

    def with_(self, order: VenueOrder) -> VenueOrder | None:
        """All that is over, and this one as it is now, as if it were one order."""
        both = Tally(self._plan)
        both.executed, both.cost, both._last = self.executed, self.cost, self._last
        both.add(order)
        return both.order

    @property
    def order(self) -> VenueOrder | None:
        """All of it as one order; ``None`` while nothing has executed."""
        if self._last is None:
            return None
        return msgspec.structs.replace(
            self._last,
            status="FILLED",
            quantity=self._plan.quantity,
            executed_quantity=self.executed,
            average_price=self.cost / self.executed,
        )
