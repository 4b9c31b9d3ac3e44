"""Step one of a trade: from a signal and a snapshot of the account to a stored decision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from shared.compliance import before_entry
from shared.errors import AlreadyExists, Conflict, ExchangeError, NotFound
from shared.execution import freshness, halting
from shared.execution.desk import Desk
from shared.execution.exchange import instrument_of
from shared.portfolio import trades
from shared.portfolio.record import closed_record
from shared.risk import cooldown
from shared.risk.decision import Cooldown, Decision, DecisionInputs
from shared.risk.exposure import positions_as_exposure
from shared.risk.gate import MAX_COOLDOWN_LOSSES, decide
from shared.risk.ledger import LimitReached
from shared.storage.records import record_of
from shared.storage.store import Document, Where, every
from shared.strategies.signal import Signal
from shared.telemetry import record

CONTAINER = "signals"


def decision_key(signal_id: str) -> str:
    """Id of the document that holds the decision on a signal."""
    return f"decision-{signal_id}"


def load(desk: Desk, symbol: str, signal_id: str) -> tuple[DecisionInputs, Decision] | None:
    """A stored decision with the inputs it was made from."""
    document = desk.store.get(CONTAINER, symbol, decision_key(signal_id))
    return None if document is None else decode(document)


def decode(document: Document) -> tuple[DecisionInputs, Decision]:
    """Inputs and decision in a stored document."""
    return (
        record_of(document.body["inputs"], DecisionInputs),
        record_of(document.body["decision"], Decision),
    )


def load_signal(desk: Desk, symbol: str, signal_id: str) -> Signal:
    """The stored signal.

    Raises
    ------
    NotFound
        When there is none.
    """
    document = desk.store.get(CONTAINER, symbol, signal_id)
    if document is None:
        raise NotFound(f"there is no signal {signal_id}")
    return record_of(document.body["signal"], Signal)


def snapshot(desk: Desk, signal: Signal) -> DecisionInputs:
    """Everything the gate needs, read now. Any failure to read raises: no data, no exposure."""
    asked_at = desk.clock.now_ms()
    with _reading("the contract"):
        instrument = instrument_of(desk.exchange, signal.symbol)
    with _reading("the account's balances"):
        account = desk.deciding.account()
    with _reading("the positions"):
        positions = desk.deciding.positions()
    # Before the prices: the first question of a day goes to the exchange.
    with _reading("the daily candles"):
        desk.histories.of((signal.symbol, *(p.symbol for p in positions)))
    with _reading("the orders of the symbol"):
        compliance = before_entry.read(desk, signal.symbol)
    priced_at = desk.clock.now_ms()
    with _reading("the mark price"):
        mark = desk.deciding.mark_price(signal.symbol)
    with _reading("the order book"):
        book = desk.deciding.book_ticker(signal.symbol)
    switch = desk.kill_switch.ensure()
    ledger = desk.ledger.update_equity(account.equity, desk.environment)
    exposures = (
        *positions_as_exposure(positions),
        *ledger.exposures(exclude=signal.id),
    )
    # Nothing is read after the ages were taken: a slow answer makes the prices old as well.
    with _reading("the daily candles"):
        history = desk.histories.of((signal.symbol, *(e.symbol for e in exposures)))
    trades_record = (
        closed_record(desk.store, desk.account, desk.environment)
        if "kelly" in desk.sizing.methods
        else None
    )
    # After the ledger: a trade is stored before its room is free.
    pause = _cooldown(desk, signal.symbol)
    now = freshness.now_ms(desk)
    return DecisionInputs(
        signal=signal,
        account_id=desk.account,
        stage=desk.stage,
        limits=desk.limits,
        sizing=desk.sizing,
        instrument=instrument,
        mark_price=mark.mark_price,
        bid_price=book.bid_price,
        ask_price=book.ask_price,
        equity=account.equity,
        wallet_balance=account.wallet_balance,
        available_balance=account.available_balance,
        exposures=exposures,
        kill_switch=switch.state,
        # Of the ledger: a clock that is ahead may have begun a new day in it.
        day=ledger.day,
        day_realized_pnl=ledger.day_realized_pnl,
        equity_peak=ledger.equity_peak,
        day_start_equity=ledger.day_start_equity,
        trades_today=ledger.trades_today,
        # A mark price of no time is of an unknown one.
        market_data_age_ms=(
            freshness.age_ms(desk, priced_at, mark.time, book.time) if mark.time else None
        ),
        account_data_age_ms=desk.clock.now_ms() - asked_at,
        now_ms=now,
        compliance=compliance,
        history=history,
        record=trades_record,
        cooldown=pause,
    )


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Say with an error of the exchange what was being read."""
    try:
        yield
    except ExchangeError as error:
        error.add_note(what)
        raise


def _cooldown(desk: Desk, symbol: str) -> Cooldown:
    """The symbol's last trades on this venue, where a pause after losses is asked for."""
    if not desk.limits.loss_cooldown_ms:
        return Cooldown()
    found = every(
        desk.store,
        trades.CONTAINER,
        desk.account,
        where=[Where("symbol", "=", symbol), Where("venue", "=", desk.environment)],
        order_by="closedAt",
        descending=True,
        limit=MAX_COOLDOWN_LOSSES,
    )
    last = (record_of(document.body, trades.Trade) for document in found)
    return cooldown.of((trade.net_pnl, trade.closed_at) for trade in last)


def assess(desk: Desk, symbol: str, signal_id: str) -> Decision:
    """Decide on a signal once; called again, return the stored decision.

    An approved decision has its exposure reserved before it is stored, under the ledger's ETag,
    so that concurrent decisions cannot exceed a limit together.
    """
    existing = load(desk, symbol, signal_id)
    if existing is not None:
        _note(desk, *existing)
        return existing[1]
    signal = load_signal(desk, symbol, signal_id)
    try:
        inputs = snapshot(desk, signal)
    except ExchangeError as error:
        halting.heed(desk, error)
        what = next(iter(getattr(error, "__notes__", ())), "the exchange")
        desk.alert(
            "warning",
            "snapshot-failed",
            f"{symbol}: no decision, {what} could not be read",
            f"{type(error).__name__}: {error}. Nothing was opened.",
            correlation=signal_id,
        )
        raise
    decision = decide(inputs)
    if decision.plan is not None and decision.outcome == "approved":
        try:
            desk.ledger.reserve(
                decision.plan,
                positions=inputs.exposures,
                limits=desk.limits,
                stage=desk.stage,
                history=inputs.history,
            )
        except LimitReached as error:
            # Another workflow took the room between the snapshot and now. The stored inputs
            # carry what the ledger then said, so that the decision still replays.
            others = desk.ledger.read().exposures(exclude=decision.id)
            inputs = msgspec.structs.replace(
                inputs,
                exposures=(*(e for e in inputs.exposures if e.kind == "position"), *others),
                trades_today=desk.ledger.read().trades_today,
                history=desk.histories.of(
                    (symbol, *(e.symbol for e in (*inputs.exposures, *others)))
                ),
            )
            decision = decide(inputs)
            if decision.outcome == "approved":
                raise Conflict(f"{signal_id}: {error}; decide again") from error
    body: dict[str, Any] = {
        "id": decision_key(signal_id),
        "symbol": symbol,
        "kind": "decision",
        "time": decision.decided_at,
        "outcome": decision.outcome,
        "inputs": msgspec.to_builtins(inputs),
        "decision": msgspec.to_builtins(decision),
    }
    try:
        desk.store.create(CONTAINER, body)
    except AlreadyExists:
        # A second delivery decided at the same time; the first stored one counts, and what is
        # reserved must be what it plans.
        stored = load(desk, symbol, signal_id)
        if stored is not None:
            first = stored[1].plan
            if first is None:
                desk.ledger.release(decision.id)
            elif first != decision.plan and decision.id not in desk.ledger.read().settled:
                desk.ledger.reserve(
                    first,
                    positions=stored[0].exposures,
                    limits=desk.limits,
                    stage=desk.stage,
                    history=stored[0].history,
                )
        return assess(desk, symbol, signal_id)
    _note(desk, inputs, decision)
    record(
        "borsa.decisions",
        outcome=decision.outcome,
        reason=decision.reasons[0].split(":")[0] if decision.reasons else "",
    )
    return decision


def _note(desk: Desk, inputs: DecisionInputs, decision: Decision) -> None:
    desk.audit.append(
        "decision",
        {"inputs": msgspec.to_builtins(inputs), "decision": msgspec.to_builtins(decision)},
        correlation=decision.id,
        key=f"decision:{decision.id}",
    )
