"""The contracts the venue lists: filters, leverage brackets, fees, liquidity.

BTCUSDT follows the published exchangeInfo and leverage brackets of 2026-09; the other symbols
carry values of the published kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.market.instrument import Instrument


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the maintenance table. Notionals in USDT; ``cum`` is the maintenance amount."""

    number: int
    floor: Decimal
    cap: Decimal
    rate: Decimal
    leverage: int
    cum: Decimal

    def holds(self, notional: Decimal) -> bool:
        """Whether a position of this notional belongs here."""
        return self.floor < notional <= self.cap


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A listed perpetual with everything the venue needs to trade it.

    ``spread_bps`` is the usual spread between bid and ask, ``range_share`` the share of a bar's
    range to which it widens, ``depth_per_bps`` the USDT offered on each side per basis point away
    from the touch. Fees are fractions of notional.
    """

    instrument: Instrument
    base_asset: str
    price_precision: int
    quantity_precision: int
    brackets: tuple[Bracket, ...]
    spread_bps: float
    depth_per_bps: float
    onboard_date: int
    maker_fee: Decimal = Decimal("0.0002")
    taker_fee: Decimal = Decimal("0.0005")
    range_share: float = 0.02
    max_orders: int = 200
    tick: float = 0.0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "tick", float(self.instrument.tick_size))

    @property
    def symbol(self) -> str:
        return self.instrument.symbol

    def bracket(self, notional: Decimal) -> Bracket:
        """The bracket a notional falls in; the last one beyond the table."""
        for row in self.brackets:
            if notional <= row.cap:
                return row
        return self.brackets[-1]

    def largest_notional(self, leverage: int) -> Decimal:
        """The largest position in USDT that a leverage allows."""
        return max(row.cap for row in self.brackets if row.leverage >= leverage)

    @property
    def max_leverage(self) -> int:
        return self.brackets[0].leverage


def brackets(rows: Sequence[tuple[str, str, int]]) -> tuple[Bracket, ...]:
    """Rows of (cap, maintenance rate, maximum leverage) with floors and ``cum`` filled in.

    ``cum`` makes maintenance margin continuous where brackets meet.
    """
    out: list[Bracket] = []
    floor = rate = cum = Decimal(0)
    for number, (cap, next_rate, leverage) in enumerate(rows, 1):
        cum += floor * (Decimal(next_rate) - rate) if number > 1 else 0
        rate = Decimal(next_rate)
        out.append(
            Bracket(
                number=number,
                floor=floor,
                cap=Decimal(cap),
                rate=rate,
                leverage=leverage,
                cum=cum,
            )
        )
        floor = Decimal(cap)
    return tuple(out)


def _instrument(
    symbol: str,
    tick: str,
    step: str,
    low: str,
    high: str,
    max_quantity: str,
    market_max: str,
    notional: str,
    liquidation_fee: str = "0.012500",
) -> Instrument:
    return Instrument(
        symbol=symbol,
        status="TRADING",
        tick_size=Decimal(tick),
        min_price=Decimal(low),
        max_price=Decimal(high),
        step_size=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(max_quantity),
        market_step_size=Decimal(step),
        market_min_quantity=Decimal(step),
        market_max_quantity=Decimal(market_max),
        min_notional=Decimal(notional),
        multiplier_up=Decimal("1.0500"),
        multiplier_down=Decimal("0.9500"),
        market_take_bound=Decimal("0.05"),
        trigger_protect=Decimal("0.0500"),
        liquidation_fee=Decimal(liquidation_fee),
    )


_MAJOR_TAIL = [
    ("480000000", "0.1", 5),
    ("600000000", "0.125", 4),
    ("800000000", "0.15", 3),
    ("1200000000", "0.25", 2),
    ("1800000000", "0.5", 1),
]

DEFAULT_CONTRACTS: dict[str, Contract] = {
    c.symbol: c
    for c in (
        Contract(
            instrument=_instrument(
                "BTCUSDT", "0.10", "0.001", "556.80", "4529764", "1000", "120", "50"
            ),
            base_asset="BTC",
            price_precision=2,
            quantity_precision=3,
            brackets=brackets(
                [
                    ("300000", "0.004", 150),
                    ("800000", "0.005", 100),
                    ("3000000", "0.0065", 75),
                    ("12000000", "0.01", 50),
                    ("70000000", "0.02", 25),
                    ("100000000", "0.025", 20),
                    ("230000000", "0.05", 10),
                    *_MAJOR_TAIL,
                ]
            ),
            spread_bps=0.02,
            depth_per_bps=1_000_000,
            onboard_date=1569398400000,
        ),
        Contract(
            instrument=_instrument(
                "ETHUSDT", "0.01", "0.001", "39.86", "306177", "10000", "2000", "20"
            ),
            base_asset="ETH",
            price_precision=2,
            quantity_precision=3,
            brackets=brackets(
                [
                    ("300000", "0.004", 150),
                    ("800000", "0.005", 100),
                    ("3000000", "0.0065", 75),
                    ("12000000", "0.01", 50),
                    ("50000000", "0.02", 25),
                    ("65000000", "0.025", 20),
                    ("150000000", "0.05", 10),
                    ("320000000", "0.1", 5),
                    ("400000000", "0.125", 4),
                    ("530000000", "0.15", 3),
                    ("800000000", "0.25", 2),
                    ("1200000000", "0.5", 1),
                ]
            ),
            spread_bps=0.05,
            depth_per_bps=600_000,
            onboard_date=1574841600000,
        ),
        Contract(
            instrument=_instrument(
                "XRPUSDT", "0.0001", "0.1", "0.0143", "100000", "10000000", "2000000", "5"
            ),
            base_asset="XRP",
            price_precision=4,
            quantity_precision=1,
            brackets=brackets(
                [
                    ("40000", "0.005", 100),
                    ("150000", "0.0065", 75),
                    ("1000000", "0.01", 50),
                    ("5000000", "0.02", 25),
                    ("10000000", "0.025", 20),
                    ("20000000", "0.05", 10),
                    ("40000000", "0.1", 5),
                    ("50000000", "0.125", 4),
                    ("100000000", "0.25", 2),
                    ("150000000", "0.5", 1),
                ]
            ),
            spread_bps=0.5,
            depth_per_bps=150_000,
            onboard_date=1578268800000,
        ),
        Contract(
            instrument=_instrument(
                "ADAUSDT", "0.0001", "1", "0.0174", "100000", "20000000", "3000000", "5", "0.015000"
            ),
            base_asset="ADA",
            price_precision=4,
            quantity_precision=0,
            brackets=brackets(
                [
                    ("10000", "0.0065", 75),
                    ("80000", "0.01", 50),
                    ("500000", "0.02", 25),
                    ("1000000", "0.025", 20),
                    ("5000000", "0.05", 10),
                    ("10000000", "0.1", 5),
                    ("12500000", "0.125", 4),
                    ("25000000", "0.25", 2),
                    ("50000000", "0.5", 1),
                ]
            ),
            spread_bps=0.5,
            depth_per_bps=80_000,
            onboard_date=1580428800000,
        ),
    )
}
