"""The account of an exact backtest: decisions, entries, stops and the guardian on the venue.

Each step is what the live use case of the same name does, with its own pure parts (``decide``,
``verify_plan``, ``levels``, ``next_stop``, the risk ledger), directly on the venue.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from shared.clock import day
from shared.compliance.stages import stage_rules
from shared.execution.exchange import VenuePosition, opposite
from shared.execution.guardian import ATR_BARS
from shared.execution.protection import levels
from shared.market.timeframe import duration_ms
from shared.portfolio.positions import PositionRecord, opening
from shared.research.alarms import Alarms, is_abnormal
from shared.research.market import history
from shared.research.past import Past
from shared.research.round_trip import RoundTrip
from shared.research.switch import Switch
from shared.risk import cooldown
from shared.risk.decision import Cooldown, DecisionInputs
from shared.risk.exposure import positions_as_exposure
from shared.risk.kelly import TradeRecord, trade_record
from shared.risk.ledger import RiskLedger
from shared.risk.limits import verify_plan
from shared.risk.stops import average_true_range, next_stop, reached, time_is_up
from shared.risk.triggers import drawdown_evidence
from shared.simulation.orders import CENT, AlgoOrder, NewAlgoOrder, NewOrder
from shared.simulation.refusal import VenueRefusal
from shared.simulation.venue import Venue

if TYPE_CHECKING:
    from shared.research.config import BacktestConfig
    from shared.risk.plan import OrderPlan
    from shared.simulation.core import VenueEvent
    from shared.simulation.source import MarketSource
    from shared.strategies.signal import Signal

ACCOUNT = "main"
#: Digits of a stored trade's R multiple.
R_PLACES = Decimal("0.0001")


class _Clock:
    """The venue's time as the ledger's clock."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def now_ms(self) -> int:
        return self._venue.now

    def steady_ms(self) -> int:
        return self._venue.now

    def sleep(self, seconds: float) -> None:
        self._venue.advance(self._venue.now + round(seconds * 1000))


class _Held:
    """An open position of ours: its record and its live orders."""

    def __init__(self, record: PositionRecord, trip: RoundTrip) -> None:
        self.record = record
        self.trip = trip
        self.stop: AlgoOrder | None = None
        self.target: AlgoOrder | None = None


class BacktestAccount:
    """Wallet, positions, ledger and kill switch of one backtest.

    Parameters
    ----------
    source : MarketSource
    config : BacktestConfig
    """

    def __init__(self, source: MarketSource, config: BacktestConfig) -> None:
        from shared.storage.sqlite import SqliteStore

        self._source = source
        self.config = config
        self.contracts = config.contracts()
        self.venue = Venue(
            source, start_ms=config.start_ms, contracts=self.contracts, deposit=config.deposit
        )
        self.account = self.venue.account()
        self.stage = stage_rules(config.stage, "simulated", config.limits)
        clock = _Clock(self.venue)
        self._store = SqliteStore(":memory:", clock=clock)
        self.ledger = RiskLedger(self._store, clock, ACCOUNT)
        self.held: dict[str, _Held] = {}
        self.closed: list[RoundTrip] = []
        self._cooldowns: dict[str, Cooldown] = {}
        self.switch = Switch(config.start_ms, config.clear_after_ms)
        self._past = Past(source, config) if config.portfolio_gate else None
        self.venue.on_event(self._on_event)

    def close(self) -> None:
        """Free the ledger's store."""
        self._store.close()

    def snapshot(self, signal: Signal) -> DecisionInputs:
        """What :func:`shared.execution.assess.snapshot` reads, from the venue itself."""
        self._clear()
        core, now = self.venue.core, self.venue.now
        balances = self.venue.balances(self.account)
        equity = balances.margin_balance.quantize(CENT)
        positions = self._positions()
        book = core.book(signal.symbol)
        ledger = self.ledger.update_equity(equity)
        exposures = (*positions_as_exposure(positions), *ledger.exposures(exclude=signal.id))
        return DecisionInputs(
            signal=signal,
            account_id=ACCOUNT,
            stage=self.stage,
            limits=self.config.limits,
            sizing=self.config.sizing,
            instrument=self.contracts[signal.symbol].instrument,
            mark_price=core.mark_price(signal.symbol),
            bid_price=book.bid,
            ask_price=book.ask,
            equity=equity,
            wallet_balance=balances.wallet,
            available_balance=balances.available,
            exposures=exposures,
            kill_switch="latched" if self.switch.latched_at else "armed",
            day=day(now),
            day_realized_pnl=ledger.day_realized_pnl,
            equity_peak=ledger.equity_peak,
            day_start_equity=ledger.day_start_equity,
            trades_today=ledger.trades_today,
            market_data_age_ms=0,
            account_data_age_ms=0,
            now_ms=now,
            history=None
            if self._past is None
            else self._past.at(now, (signal.symbol, *(e.symbol for e in exposures))),
            record=self._record_of_trades() if "kelly" in self.config.sizing.methods else None,
            cooldown=self._cooldowns.get(signal.symbol, Cooldown()),
        )

    def _record_of_trades(self) -> TradeRecord:
        return trade_record(
            (trip.net / trip.risk).quantize(R_PLACES) if trip.risk else Decimal(0)
            for trip in reversed(self.closed)
        )

    def _positions(self) -> list[VenuePosition]:
        found = []
        for position in self.account.positions.values():
            mark = self.venue.core.mark_price(position.symbol)
            found.append(
                VenuePosition(
                    symbol=position.symbol,
                    quantity=position.quantity,
                    entry_price=Decimal(f"{position.entry_price:.8f}"),
                    mark_price=mark,
                    unrealized_pnl=position.unrealized(mark),
                    liquidation_price=Decimal(0),
                    isolated_wallet=position.isolated_wallet,
                    update_time=position.update_time,
                )
            )
        return found

    # ------------------------------------------------------------------ entry

    def open(self, inputs: DecisionInputs, plan: OrderPlan, strategy: int) -> None:
        """Entry at the worst price at most, then stop and target around what was paid."""
        exposures = (
            *positions_as_exposure(self._positions()),
            *self.ledger.read().exposures(exclude=plan.decision_id),
        )
        broken = verify_plan(plan, self.config.limits, inputs.instrument, exposures, self.stage)
        if broken or self.switch.latched_at:
            self.ledger.release(plan.decision_id)
            return
        setting = self.account.setting(plan.symbol)
        if not setting.isolated:
            self.venue.set_margin_type(self.account, plan.symbol, isolated=True)
        if setting.leverage != plan.leverage:
            self.venue.set_leverage(self.account, plan.symbol, plan.leverage)
        trip = RoundTrip(
            symbol=self.config.symbols.index(plan.symbol),
            strategy=strategy,
            long=plan.side == "BUY",
            opened_at=self.venue.now,
            risk=plan.risk_amount,
            income_from=len(self.account.income),
        )
        self.held[plan.symbol] = held = _Held(self._record(plan, inputs.signal.timeframe), trip)
        try:
            order = self.venue.place_order(
                self.account,
                NewOrder(
                    symbol=plan.symbol,
                    side=plan.side,
                    type="LIMIT",
                    time_in_force="IOC",
                    quantity=plan.quantity,
                    price=plan.worst_price,
                    client_order_id=f"e-{plan.decision_id}",
                ),
            )
        except VenueRefusal:
            order = None
        if order is None or not order.executed:
            del self.held[plan.symbol]
            self.ledger.release(plan.decision_id)
            return
        self._protect(held, plan)
        held.trip.path_at_entry = self.venue.core.path(plan.symbol)
        self.ledger.convert(
            plan.decision_id, filled_quantity=order.executed, filled_notional=order.quote
        )

    def _record(self, plan: OrderPlan, timeframe: str) -> PositionRecord:
        return opening(
            plan,
            account=ACCOUNT,
            at=self.venue.now,
            timeframe=timeframe,
            rules=self.config.stops,
            venue="simulated",
            stage=self.stage.name,
        )

    def _protect(self, held: _Held, plan: OrderPlan) -> None:
        position = self.account.position(plan.symbol)
        entry = Decimal(f"{position.entry_price:.8f}")
        wanted = levels(held.record, entry, self.contracts[plan.symbol].instrument)
        if wanted is None:
            self.close_position(plan.symbol, "protection failed")
            return
        held.record = msgspec.structs.replace(
            held.record,
            state="open",
            quantity=abs(position.quantity),
            entry_price=entry,
            stop_price=wanted[0],
            take_profit_price=wanted[1],
        )
        held.trip.stop_price = wanted[0]
        held.stop = self._place(held.record, "STOP_MARKET", wanted[0])
        if held.stop is None:
            self.close_position(plan.symbol, "protection failed")
            return
        held.target = self._place(held.record, "TAKE_PROFIT_MARKET", wanted[1])

    def _place(self, record: PositionRecord, type_: str, trigger: Decimal) -> AlgoOrder | None:
        """A conditional order at the venue; ``None`` when it is refused."""
        try:
            return self.venue.place_algo_order(
                self.account,
                NewAlgoOrder(
                    symbol=record.id,
                    side=opposite(record.side),
                    type=type_,
                    quantity=record.quantity,
                    trigger_price=trigger,
                    working_type="MARK_PRICE",
                    reduce_only=True,
                ),
            )
        except VenueRefusal:
            return None

    # ------------------------------------------------------------------ the guardian

    def guard(self) -> None:
        """One look of the guardian over everything that is open."""
        self._clear()
        balances = self.venue.balances(self.account)
        equity = balances.margin_balance.quantize(CENT)
        positions = {p.symbol: p for p in self._positions()}
        peak = self.ledger.update_equity(equity).equity_peak
        evidence = drawdown_evidence(
            equity=equity, peak=peak, limit=self.config.limits.max_drawdown, at=self.venue.now
        )
        if evidence is not None and not self.switch.closing:
            self.switch.latch(self.venue.now, closing=True)
        for symbol, position in positions.items():
            self._look_after(self.held[symbol], position)
        for symbol in [s for s in self.held if s not in positions]:
            self.settle(symbol)
        if self.switch.closing and positions:
            self._flatten()

    def alarm(self, found: Alarms, row: int) -> None:
        """A bar of an abnormal market has closed: latch the switch if it still counts as one."""
        self._clear()
        armed_at, thresholds = self.switch.armed_at, self.config.thresholds
        if self.switch.latched_at or not is_abnormal(found, row, armed_at, thresholds):
            return
        closing = "abnormal_volatility" in self.config.closing_triggers
        self.switch.latch(self.venue.now, closing=closing)
        if self.switch.closing:
            self._flatten()

    def _clear(self) -> None:
        """A person clears the switch when it is time; the equity peak starts anew."""
        if self.switch.cleared(self.venue.now):
            self.ledger.rebase_peak()

    def _flatten(self) -> None:
        """The emergency stop: everything is closed and settled at once."""
        for symbol, _ in list(self.account.positions):
            self.close_position(symbol, "kill switch")
        for symbol in list(self.held):
            self.settle(symbol)

    def _look_after(self, held: _Held, position: VenuePosition) -> None:
        record = held.record
        if time_is_up(record, self.venue.now):
            self.close_position(record.id, "time exit")
            return
        tick = self.contracts[record.id].instrument.tick_size
        step = next_stop(record, position.mark_price, tick, record.rules, self._atr(record))
        held.record = record = msgspec.structs.replace(record, best_price=step.best_price)
        if step.move:
            moved = self._place(record, "STOP_MARKET", step.stop_price)
            if moved is not None and held.stop is not None:
                self.venue.cancel_algo_order(self.account, held.stop)
                held.stop = moved
                held.record = record = msgspec.structs.replace(
                    record, stop_price=step.stop_price, stop_revision=record.stop_revision + 1
                )
        if held.target is None:
            if reached(record, position.mark_price):
                self.close_position(record.id, "take profit")
                return
            held.target = self._place(record, "TAKE_PROFIT_MARKET", record.take_profit_price)

    def _atr(self, record: PositionRecord) -> Decimal | None:
        """Average true range now, where the position's stop asks for it."""
        if not record.rules.trail_atr:
            return None
        step = duration_ms(record.timeframe)
        stop = self.venue.now - self.venue.now % step
        bars = history(
            self._source, record.id, record.timeframe, stop - (ATR_BARS + 1) * step, stop
        )
        if len(bars) <= ATR_BARS:
            return None
        highs, lows, closes = (
            [Decimal(str(x)) for x in column.tolist()]
            for column in (bars.high, bars.low, bars.close)
        )
        return average_true_range(highs, lows, closes)

    def close_position(self, symbol: str, reason: str) -> None:
        """Reduce-only at market."""
        position = self.account.position(symbol)
        if not position.quantity:
            return
        self.held[symbol].trip.exit_reason = reason
        self.venue.place_order(
            self.account,
            NewOrder(
                symbol=symbol,
                side="SELL" if position.quantity > 0 else "BUY",
                type="MARKET",
                quantity=abs(position.quantity),
                reduce_only=True,
                client_order_id=f"x-{symbol}-{self.venue.now}",
            ),
        )

    def settle(self, symbol: str) -> None:
        """The symbol is flat: book the trade and free its room, as settlement does."""
        held = self.held.pop(symbol)
        for algo in self.account.working_algos(symbol):
            self.venue.cancel_algo_order(self.account, algo)
        trip, record = held.trip, held.record
        trip.finish(self.account.income, symbol)
        self.ledger.close(record.decision_id, net_pnl=trip.net, at=trip.closed_at)
        self.closed.append(trip)
        before = self._cooldowns.get(symbol, Cooldown())
        self._cooldowns[symbol] = cooldown.after(before, trip.net, trip.closed_at)

    # ------------------------------------------------------------------ what the venue tells

    def _on_event(self, event: VenueEvent) -> None:
        """Every execution goes to its round trip, with the undisturbed price beside it."""
        if event.kind != "ORDER" or event.trade is None or event.trade.symbol not in self.held:
            return
        trade, core = event.trade, self.venue.core
        held = self.held[trade.symbol]
        held.trip.execution(trade, core.last(trade.symbol), core.path(trade.symbol))
        if held.trip.exit_reason or (trade.side == "BUY") == held.trip.long:
            return
        order = self.account.orders[trade.order_id]
        if event.execution == "CALCULATED":
            held.trip.exit_reason = "liquidation"
        elif held.target is not None and order.algo_id == held.target.algo_id:
            held.trip.exit_reason = "take profit"
        elif held.record.stop_price == held.trip.stop_price:
            held.trip.exit_reason = "stop"
        else:
            held.trip.exit_reason = "trailing stop"
