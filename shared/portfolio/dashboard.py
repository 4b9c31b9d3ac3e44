"""Everything the dashboard shows, in one answer, and cheap however many people look.

What costs weight at the exchange, or many queries, is looked at once and shared for
:data:`LOOK_MS`; the kill switch and what waits for an answer of a person are read every time. What
cannot be read is left out and said in ``problems``: a page must never fill a gap with old figures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from shared.clock import iso
from shared.errors import BorsaError, ExchangeError
from shared.execution import drill
from shared.execution.assess import load as load_decision
from shared.execution.desk import Desk
from shared.execution.exchange import Account, VenueAlgoOrder, VenuePosition
from shared.market.timeframe import MINUTE_MS, duration_ms
from shared.portfolio import positions, recent
from shared.portfolio.figures import fraction, plain
from shared.portfolio.gauges import Gauge, exposures, gauges
from shared.portfolio.overview import position_told, switch_told
from shared.portfolio.positions import PositionRecord
from shared.risk.exposure import committed_notional
from shared.risk.kill_switch import drawdown
from shared.risk.ledger_view import LedgerView

T = TypeVar("T")
Rows = list[dict[str, Any]]

#: How long one look is shared. Account, positions and the stops of each position cost a weight of
#: 10 and one per position: with this pause one instance spends at most 300 of 2,400 a minute.
LOOK_MS = 4_000
#: Real seconds between two looks of a page: the account of a venue, and of the simulated one.
REFRESH_SECONDS = {"simulated": 2}
REFRESH_OTHERWISE = 5
#: A closed bar has become a signal within this time after its close, milliseconds.
SIGNAL_AFTER_MS = 2 * MINUTE_MS
#: The guardian notes the equity at least this often, milliseconds (see ``RiskLedger``).
GUARDIAN_MS = 11 * MINUTE_MS
#: An alert that is not delivered after this long is in trouble, milliseconds.
DELIVERED_MS = 10 * MINUTE_MS


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange and the records at one moment; ``problems`` say what could not be read.

    ``at`` is when it began, which is how old its figures are at most; ``until`` when it ended. A
    list that could not be read is ``None``.
    """

    at: int
    until: int
    account: Account | None
    positions: tuple[VenuePosition, ...]
    algos: tuple[VenueAlgoOrder, ...]
    records: dict[str, PositionRecord]
    leverage: dict[str, int]
    lists: dict[str, Rows | None]
    problems: tuple[str, ...]


class Dashboard:
    """Takes snapshots of one account.

    Parameters
    ----------
    desk : callable
        Makes a desk for one look.
    timeframes : sequence of str
        Bars on which decisions are made.
    models : callable
        Names of the models that the configuration lets vote.
    channels : bool
        Whether alerts go anywhere.
    """

    def __init__(
        self,
        desk: Callable[[], Desk],
        timeframes: Sequence[str],
        models: Callable[[], Sequence[str]],
        *,
        channels: bool,
    ) -> None:
        self._desk = desk
        self._channels = channels
        self._timeframes = tuple(timeframes)
        self._models = models
        self._lock = threading.Lock()
        self._seen: Look | None = None
        self._leverage: dict[str, int] = {}

    def snapshot(self) -> dict[str, Any]:
        """The account now, as the dashboard shows it; money as strings."""
        desk = self._desk()
        look = self._look(desk)
        problems = list(look.problems)

        def part(name: str, read: Callable[[], T]) -> T | None:
            try:
                return read()
            except BorsaError as error:
                problems.append(f"{name}: {type(error).__name__}: {error}")
                return None

        switch = part("kill switch", desk.kill_switch.ensure)
        ledger = part("ledger", desk.ledger.read)
        approvals = part("approvals", lambda: recent.approvals(desk))
        tested = part("drill", lambda: drill.told(desk))
        models = part("models", lambda: list(self._models()))
        now = desk.clock.now_ms()
        figures = None
        if look.account is not None and ledger is not None:
            figures = _figures(desk, look, look.account, ledger)
        return {
            "time": iso(now),
            "seenAt": iso(look.at),
            "refreshSeconds": REFRESH_SECONDS.get(desk.environment, REFRESH_OTHERWISE),
            "account": desk.account,
            "environment": desk.environment,
            "stage": desk.stage.name,
            "stageProblems": list(desk.stage_problems),
            "needsApproval": desk.stage.needs_approval,
            "killSwitch": None if switch is None else switch_told(switch),
            "drill": tested,
            **(figures or dict.fromkeys(("money", "gauges", "positions", "exposure"))),
            "approvals": approvals,
            "models": models,
            **look.lists,
            "health": _health(
                look, ledger, problems, now, self._timeframes, channels=self._channels
            ),
            "problems": problems,
        }

    def _look(self, desk: Desk) -> Look:
        # Whoever comes while somebody looks waits for that look: it is the same one. Counted from
        # its end: while the exchange does not answer, those who wait would look in turns.
        with self._lock:
            seen = self._seen
            if seen is None or not 0 <= desk.clock.now_ms() - seen.until < LOOK_MS:
                seen = self._seen = self._take(desk)
            return seen

    def _take(self, desk: Desk) -> Look:
        at = desk.clock.now_ms()
        problems: list[str] = []

        def part(name: str, read: Callable[[], T], otherwise: T) -> T:
            try:
                return read()
            except BorsaError as error:
                problems.append(f"{name}: {type(error).__name__}: {error}")
                return otherwise

        account: Account | None = None
        held: list[VenuePosition] = []
        algos: list[VenueAlgoOrder] = []
        try:
            account, held = desk.exchange.account_and_positions()
            # By symbol: all at once cost forty times as much.
            for p in held:
                algos += desk.exchange.open_algo_orders(p.symbol)
        except ExchangeError as error:
            account = None
            problems.append(f"exchange: {type(error).__name__}: {error}")
        symbols = sorted({*desk.symbols, *(p.symbol for p in held)})
        none: dict[str, PositionRecord] = {}
        records = part(
            "records", lambda: positions.open_among(desk.store, desk.account, symbols), none
        )
        rows: dict[str, Callable[[], Rows]] = {
            "signals": lambda: recent.signals(desk, self._timeframes),
            "decisions": lambda: recent.decisions(desk, self._timeframes),
            "trades": lambda: recent.trades(desk),
            "orders": lambda: recent.orders(desk),
            "alerts": lambda: recent.alerts(desk),
            "violations": lambda: recent.violations(desk),
        }
        lists = {name: part(name, read, None) for name, read in rows.items()}
        unknown: dict[str, int] = {}
        leverage = part("leverage", lambda: self._asked_leverage(desk, records), unknown)
        return Look(
            at=at,
            until=desk.clock.now_ms(),
            account=account,
            positions=tuple(held),
            algos=tuple(algos),
            records=records,
            leverage=leverage,
            lists=lists,
            problems=tuple(problems),
        )

    def _asked_leverage(self, desk: Desk, records: Mapping[str, PositionRecord]) -> dict[str, int]:
        """Leverage that the decision behind each position asked for; a decision never changes."""
        found = {}
        for symbol, record in records.items():
            known = self._leverage.get(record.decision_id)
            if known is None:
                stored = load_decision(desk, symbol, record.decision_id)
                if stored is None or stored[1].plan is None:
                    continue
                known = stored[1].plan.leverage
            found[record.decision_id] = known
        self._leverage = found
        return {s: found[r.decision_id] for s, r in records.items() if r.decision_id in found}


def _figures(desk: Desk, look: Look, account: Account, ledger: LedgerView) -> dict[str, Any]:
    peak = max(account.equity, ledger.equity_peak)
    measured: list[Gauge] = gauges(
        desk.limits,
        desk.stage,
        ledger,
        equity=account.equity,
        venue=look.positions,
        records=look.records,
        leverage={
            p.symbol: look.leverage[p.symbol] for p in look.positions if p.symbol in look.leverage
        },
    )
    start = ledger.day_start_equity
    return {
        "money": {
            "equity": plain(account.equity),
            "walletBalance": plain(account.wallet_balance),
            "unrealizedPnl": plain(account.unrealized_pnl),
            "availableBalance": plain(account.available_balance),
            "equityPeak": plain(peak),
            "drawdown": fraction(drawdown(account.equity, peak)),
            "day": ledger.day,
            "dayResult": plain(account.equity - start) if start > 0 else None,
            "dayRealizedPnl": plain(ledger.day_realized_pnl),
            "tradesToday": ledger.trades_today,
        },
        "gauges": measured,
        "positions": [_position(look, p) for p in look.positions],
        "exposure": _exposure(desk, look, ledger),
    }


def _position(look: Look, venue: VenuePosition) -> dict[str, Any]:
    """A position with what it risks: ``rNow`` is its unrealised result over the planned loss."""
    record = look.records.get(venue.symbol)
    risk = record.risk_amount if record else Decimal(0)
    return {
        **position_told(venue, record, look.algos),
        "notional": plain(abs(venue.quantity * venue.mark_price)),
        "riskAmount": plain(risk) if risk else None,
        "rNow": f"{venue.unrealized_pnl / risk:.2f}" if risk else None,
        "leverage": look.leverage.get(venue.symbol),
        "timeframe": record.timeframe if record else None,
    }


def _exposure(desk: Desk, look: Look, ledger: LedgerView) -> list[dict[str, Any]]:
    """What is committed by symbol, every traded symbol named; ``share`` of the largest position."""
    committed = committed_notional(exposures(look.positions, ledger)) or {}
    most = min(desk.limits.max_position_notional, desk.stage.max_notional)
    held = {p.symbol: p for p in look.positions}
    waiting = {r.symbol: r.side for r in ledger.reservations.values()}
    told = []
    for symbol in sorted({*desk.symbols, *committed}):
        notional, position = committed.get(symbol, Decimal(0)), held.get(symbol)
        side = waiting.get(symbol)
        if position is not None:
            side = "BUY" if position.quantity > 0 else "SELL"
        told.append(
            {
                "symbol": symbol,
                "side": side,
                "notional": plain(notional),
                "share": float(notional / most) if most > 0 else 0.0,
                "unrealizedPnl": plain(position.unrealized_pnl) if position else None,
            }
        )
    return told


def _health(
    look: Look,
    ledger: LedgerView | None,
    problems: Sequence[str],
    now: int,
    timeframes: Sequence[str],
    *,
    channels: bool,
) -> list[dict[str, Any]]:
    """Lines of ``name``, ``state``, ``detail``.

    ``state`` is ``ok``, ``late``, ``failing``, ``unknown``, or ``warning``: as it was set up, and
    not as an account with money should be.
    """

    def line(name: str, state: str, detail: str, at: int | None = None) -> dict[str, Any]:
        return {"name": name, "state": state, "detail": detail, "at": at}

    exchange = [p.partition(": ")[2] for p in problems if p.startswith("exchange: ")]
    store = [p for p in problems if not p.startswith(("exchange: ", "models: "))]
    lines = [
        line(
            "exchange", "failing" if exchange else "ok", "; ".join(exchange) or "answers", look.at
        ),
        line("store", "failing" if store else "ok", "; ".join(store[:2]) or "answers", now),
        _market_data(line, look, now, timeframes),
    ]
    if ledger is None or not ledger.equity_at:
        lines.append(line("guardian", "unknown", "has not noted the equity yet"))
    else:
        late = now - ledger.equity_at > GUARDIAN_MS
        lines.append(
            line("guardian", "late" if late else "ok", "last noted the equity", ledger.equity_at)
        )
    waiting = [
        a
        for a in look.lists["alerts"] or ()
        if a["state"] == "raised" and str(a["time"]) < iso(now - DELIVERED_MS)
    ]
    if any(p.startswith("alerts: ") for p in problems):
        lines.append(line("alerts", "unknown", "cannot be read"))
    elif not channels:
        lines.append(line("alerts", "warning", "stored only, no channel: nobody is told"))
    else:
        detail = f"{len(waiting)} not delivered" if waiting else "delivered"
        lines.append(line("alerts", "late" if waiting else "ok", detail))
    return lines


def _market_data(
    line: Callable[..., dict[str, Any]], look: Look, now: int, timeframes: Sequence[str]
) -> dict[str, Any]:
    """How old the newest bar is that became a signal, of the symbol where it is oldest."""
    step = min(duration_ms(t) for t in timeframes)
    newest: dict[str, int] = {}
    for s in look.lists["signals"] or ():
        newest[s["symbol"]] = max(newest.get(s["symbol"], 0), s["barCloseTime"])
    if not newest:
        return line("market data", "unknown", "no signal yet")
    symbol, at = min(newest.items(), key=lambda item: (item[1], item[0]))
    late = now - at > step + SIGNAL_AFTER_MS
    return line("market data", "late" if late else "ok", f"newest bar, oldest of {symbol}", at)
