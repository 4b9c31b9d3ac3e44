"""A sound situation to deviate from: BTCUSDT in a calm market, an account that has lost nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from shared.compliance.stages import STAGES
from shared.market.instrument import Instrument
from shared.risk.decision import DecisionInputs, Exposure, OrderPlan
from shared.risk.gate import decide
from shared.risk.limits import Limits
from shared.risk.sizing import SizingConfig
from shared.strategies.signal import Signal, Vote, signal_id

D = Decimal
NOW = 1_746_360_005_000  # 2025-05-04T12:00:05Z
BAR_CLOSE = NOW - 5_000
TODAY = "2025-05-04"

#: Filters as ``exchangeInfo`` states them; ETH's minimum notional is 20.
BTC = Instrument(
    symbol="BTCUSDT",
    status="TRADING",
    tick_size=D("0.10"),
    min_price=D("556.80"),
    max_price=D("4529764"),
    step_size=D("0.001"),
    min_quantity=D("0.001"),
    max_quantity=D("1000"),
    market_step_size=D("0.001"),
    market_min_quantity=D("0.001"),
    market_max_quantity=D("120"),
    min_notional=D("50"),
    multiplier_up=D("1.05"),
    multiplier_down=D("0.95"),
    market_take_bound=D("0.05"),
    trigger_protect=D("0.05"),
    liquidation_fee=D("0.0125"),
)


def signal(side: str | None = "BUY", symbol: str = "BTCUSDT", **changes: Any) -> Signal:
    fields: dict[str, Any] = {
        "id": signal_id(symbol, "5m", BAR_CLOSE, 1),
        "symbol": symbol,
        "timeframe": "5m",
        "bar_open_time": BAR_CLOSE - 300_000,
        "bar_close_time": BAR_CLOSE,
        "side": side,
        "strength": -0.8 if side == "SELL" else 0.8,
        "threshold": 0.3,
        "close": 40_000.0,
        "atr": 400.0,
        "volatility": 0.001,
        "votes": [Vote(strategy="trend", weight=1.0, vote=0.8, figures={"ema": 39_900.0})],
        "window_digest": "0" * 64,
    }
    return Signal(**(fields | changes))


def inputs(**changes: Any) -> DecisionInputs:
    """The sound situation, with the named fields replaced.

    ``signal``, ``limits``, ``sizing``, ``instrument`` and ``stage`` may be given as a dict of
    changes (``stage`` as a name).
    """
    fields: dict[str, Any] = {
        "signal": signal(),
        "account_id": "main",
        "stage": STAGES["paper"],
        "limits": Limits(),
        "sizing": SizingConfig(),
        "instrument": BTC,
        "mark_price": D("40000"),
        "bid_price": D("39999.9"),
        "ask_price": D("40000.1"),
        "equity": D("5000"),
        "wallet_balance": D("5000"),
        "available_balance": D("5000"),
        "exposures": (),
        "kill_switch": "armed",
        "day": TODAY,
        "day_realized_pnl": D("0"),
        "equity_peak": D("5000"),
        "day_start_equity": D("5000"),
        "trades_today": 0,
        "market_data_age_ms": 500,
        "account_data_age_ms": 500,
        "now_ms": NOW,
    }
    for name, value in changes.items():
        if name == "signal" and isinstance(value, dict):
            value = signal(**value)
        elif name == "stage" and isinstance(value, str):
            value = STAGES[value]
        elif isinstance(value, dict):
            value = type(fields[name])(**(msgspec.structs.asdict(fields[name]) | value))
        fields[name] = value
    return DecisionInputs(**fields)


def exposure(symbol: str, notional: str, **changes: Any) -> Exposure:
    fields: dict[str, Any] = {
        "symbol": symbol,
        "quantity": D("1"),
        "notional": D(notional),
        "kind": "position",
    }
    return Exposure(**(fields | changes))


def good_plan(**changes: Any) -> OrderPlan:
    """The plan of the sound situation, with fields replaced."""
    plan = decide(inputs()).plan
    assert plan is not None
    return msgspec.structs.replace(plan, **changes)
