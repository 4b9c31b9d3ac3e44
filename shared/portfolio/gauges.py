"""How much of every hard limit is in use: what the gate would judge by, for people to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from shared.execution.exchange import VenuePosition
from shared.portfolio.positions import PositionRecord
from shared.risk import limits as law
from shared.risk.exposure import (
    committed_notional,
    committed_risk,
    open_symbols,
    positions_as_exposure,
)
from shared.risk.kill_switch import drawdown
from shared.risk.ledger_view import LedgerView, risk_room
from shared.risk.limits import Limits
from shared.risk.plan import Exposure, StageRules

ZERO = Decimal(0)


class Gauge(msgspec.Struct, frozen=True, kw_only=True):
    """One limit and what is used of it.

    Parameters
    ----------
    used : Decimal, optional
        ``None`` where it is not known, which the gate would decline.
    limit : Decimal
        In force now: the stricter of configuration and stage.
    ceiling : Decimal, optional
        The constant in code that no configuration can exceed.
    unit : str
        ``USDT``, ``fraction`` (of 1), ``count``, or ``times``.
    share : float, optional
        ``used`` over ``limit``, at least 0; above 1 the limit is exceeded.
    least : bool
        The limit is a minimum: ``used`` must not be below it. ``share`` is ``None`` then.
    alarms : bool
        Coming near is a warning. The other limits are room to be used: sizing goes up to them.
    holds : bool
        Whether the limit is kept; false where ``used`` is not known.
    """

    name: str
    used: Decimal | None
    limit: Decimal
    ceiling: Decimal | None
    unit: Literal["USDT", "fraction", "count", "times"]
    share: float | None
    least: bool = False
    alarms: bool = False
    holds: bool = True


def exposures(venue: Sequence[VenuePosition], ledger: LedgerView) -> tuple[Exposure, ...]:
    """The exchange's positions and what the ledger holds for decisions, as the gate counts them."""
    return (*positions_as_exposure(venue), *ledger.exposures())


def gauges(
    limits: Limits,
    stage: StageRules,
    ledger: LedgerView,
    *,
    equity: Decimal,
    venue: Sequence[VenuePosition],
    records: Mapping[str, PositionRecord],
    leverage: Mapping[str, int],
) -> list[Gauge]:
    """Every hard limit, the account's first.

    Parameters
    ----------
    equity : Decimal
        USDT, unrealised P&L included.
    records : mapping
        Our open records by symbol.
    leverage : mapping
        Leverage that the decisions behind the open positions asked for, by symbol.
    """
    # As the gate does: judged by the equity of now, not by that of the guardian's last round.
    ledger = msgspec.structs.replace(
        ledger, equity=equity, equity_peak=max(equity, ledger.equity_peak)
    )
    held = exposures(venue, ledger)
    committed, symbols = committed_notional(held), open_symbols(held)
    mine = [records[p.symbol] for p in venue if p.symbol in records]
    at_risk, room = committed_risk(held), risk_room(ledger, limits)
    return [
        _most(
            "loss today",
            ledger.day_loss,
            limits.max_daily_loss,
            law.MAX_DAILY_LOSS,
            "USDT",
            alarms=True,
        ),
        _most(
            "drawdown",
            drawdown(equity, ledger.equity_peak),
            limits.max_drawdown,
            law.MAX_DRAWDOWN,
            "fraction",
            alarms=True,
        ),
        _most("lost if every stop is hit", at_risk, max(ZERO, room), None, "USDT", alarms=True),
        _most(
            "exposure, all symbols",
            None if committed is None else sum(committed.values(), ZERO),
            limits.max_total_notional,
            law.MAX_TOTAL_NOTIONAL,
            "USDT",
        ),
        _most(
            "largest position",
            None if committed is None else max(committed.values(), default=ZERO),
            min(limits.max_position_notional, stage.max_notional),
            law.MAX_POSITION_NOTIONAL,
            "USDT",
        ),
        _most(
            "open positions",
            None if symbols is None else Decimal(len(symbols)),
            Decimal(limits.max_open_positions),
            Decimal(law.MAX_OPEN_POSITIONS),
            "count",
        ),
        _most(
            "trades today",
            Decimal(ledger.trades_today),
            Decimal(min(limits.max_trades_per_day, stage.max_trades_per_day)),
            Decimal(law.MAX_TRADES_PER_DAY),
            "count",
        ),
        _most(
            "highest leverage",
            Decimal(max(leverage.values(), default=0)),
            Decimal(min(limits.max_leverage, stage.max_leverage)),
            Decimal(law.MAX_LEVERAGE),
            "times",
        ),
        _most(
            "widest stop",
            max((r.stop_fraction for r in mine), default=ZERO),
            limits.max_stop_fraction,
            law.STOP_FRACTION_MAX,
            "fraction",
        ),
        *(
            Gauge(
                name="lowest reward to risk",
                used=lowest,
                limit=limits.min_reward_risk,
                ceiling=law.MIN_REWARD_RISK,
                unit="times",
                share=None,
                least=True,
                holds=lowest >= limits.min_reward_risk,
            )
            for lowest in sorted(r.reward_risk for r in mine)[:1]
        ),
    ]


def _most(
    name: str,
    used: Decimal | None,
    limit: Decimal,
    ceiling: Decimal | None,
    unit: Literal["USDT", "fraction", "count", "times"],
    *,
    alarms: bool = False,
) -> Gauge:
    share: float | None = None
    if used is not None:
        used = max(ZERO, used)
        share = float(used / limit) if limit > 0 else float(used > 0)
    return Gauge(
        name=name,
        used=used,
        limit=limit,
        ceiling=ceiling,
        unit=unit,
        share=share,
        alarms=alarms,
        holds=used is not None and used <= limit,
    )
