"""Whatever is done on whatever market: money is conserved, positions are the sum of fills."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal as D

import pytest
from exchange_world import MIDNIGHT, START, columns
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.market.timeframe import MINUTE_MS
from shared.simulation.candles import CandleSource
from shared.simulation.ledger import Ledger
from shared.simulation.orders import NewAlgoOrder, NewOrder
from shared.simulation.refusal import VenueRefusal
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

SYMBOLS = ("BTCUSDT", "ETHUSDT")
LEVELS = {"BTCUSDT": 100_000.0, "ETHUSDT": 3_000.0}
TICKS = {"BTCUSDT": 1, "ETHUSDT": 2}


@st.composite
def markets(draw: st.DrawFn) -> CandleSource:
    """Up to 40 minutes with moves and gaps large enough to liquidate."""
    candles, funding = {}, {}
    for symbol in SYMBOLS:
        price = LEVELS[symbol]
        rows = []
        for gap, move, up, down in draw(
            st.lists(
                st.tuples(
                    st.integers(-30, 30),
                    st.integers(-150, 150),
                    st.integers(0, 100),
                    st.integers(0, 100),
                ),
                min_size=10,
                max_size=40,
            )
        ):
            o = price * (1 + gap / 10_000)
            c = o * (1 + move / 10_000)
            h = max(o, c) * (1 + up / 10_000)
            low = min(o, c) * (1 - down / 10_000)
            rows.append(tuple(round(x, TICKS[symbol]) for x in (o, h, low, c)))
            price = c
        candles[symbol] = columns(symbol, rows, volume=draw(st.sampled_from([0.5, 1e6])))
        times = [MIDNIGHT + n * 5 * MINUTE_MS for n in range(1, 8)]
        funding[symbol] = [(t, draw(st.integers(-40, 40)) / 10_000) for t in times]
    return CandleSource(candles, funding=funding)


waits = st.tuples(st.just("wait"), st.integers(1, 300_000))
rarely = st.sampled_from([False, False, False, True])
actions = st.one_of(
    waits,
    waits,
    st.tuples(
        st.just("market"),
        st.sampled_from(SYMBOLS),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(20, 400),
        rarely,
    ),
    st.tuples(
        st.just("limit"),
        st.sampled_from(SYMBOLS),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(20, 400),
        st.integers(-150, 150),
        st.sampled_from(["GTC", "GTC", "IOC", "GTX", "FOK"]),
        rarely,
    ),
    st.tuples(
        st.just("algo"),
        st.sampled_from(SYMBOLS),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 400),
        st.integers(-200, 200),
        st.sampled_from(["STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]),
        st.booleans(),
    ),
    st.tuples(st.just("cancel"), st.sampled_from(SYMBOLS)),
    st.tuples(st.just("isolate"), st.sampled_from(SYMBOLS), st.booleans()),
    st.tuples(st.just("leverage"), st.sampled_from(SYMBOLS), st.integers(1, 100)),
    st.tuples(st.just("margin"), st.sampled_from(SYMBOLS), st.integers(-500, 500)),
)


@st.composite
def plans(draw: st.DrawFn) -> list[tuple]:
    """Settings, a position in each symbol, then anything; at the end all bars pass."""
    plan: list[tuple] = []
    for symbol in SYMBOLS:
        plan.append(("isolate", symbol, draw(st.booleans())))
        plan.append(("leverage", symbol, draw(st.sampled_from([10, 50, 100]))))
        side = draw(st.sampled_from(["BUY", "SELL"]))
        lots = draw(st.integers(100, 1500)) * (1 if symbol == "BTCUSDT" else 20)
        plan.append(("market", symbol, side, lots, False))
    plan += draw(st.lists(actions, min_size=5, max_size=25))
    return [*plan, ("wait", 40 * MINUTE_MS)]


def priced(venue: Venue, symbol: str, bps: int) -> D:
    price = float(venue.core.last_price(symbol)) * (1 + bps / 10_000)
    tick = venue.core.contract(symbol).instrument.tick_size
    return round(price / float(tick)) * tick


def perform(venue: Venue, action: tuple) -> None:
    account = venue.account()
    match action:
        case ("wait", ms):
            venue.advance(venue.now + ms)
        case ("market", symbol, side, lots, reduce):
            venue.place_order(
                account,
                NewOrder(
                    symbol=symbol,
                    side=side,
                    type="MARKET",
                    quantity=lots * D("0.001"),
                    reduce_only=reduce,
                ),
            )
        case ("limit", symbol, side, lots, bps, force, reduce):
            venue.place_order(
                account,
                NewOrder(
                    symbol=symbol,
                    side=side,
                    type="LIMIT",
                    quantity=lots * D("0.001"),
                    price=priced(venue, symbol, bps),
                    time_in_force=force,
                    reduce_only=reduce,
                ),
            )
        case ("algo", symbol, side, lots, bps, kind, reduce):
            trailing = kind.startswith("TRAILING")
            venue.place_algo_order(
                account,
                NewAlgoOrder(
                    symbol=symbol,
                    side=side,
                    type=kind,
                    quantity=lots * D("0.001"),
                    trigger_price=None if trailing else priced(venue, symbol, bps),
                    callback_rate=D("0.5") if trailing else None,
                    reduce_only=reduce,
                    working_type="MARK_PRICE" if lots % 2 else "CONTRACT_PRICE",
                ),
            )
        case ("cancel", symbol):
            venue.cancel_all_orders(account, symbol)
            venue.cancel_all_algo_orders(account, symbol)
        case ("isolate", symbol, isolated):
            venue.set_margin_type(account, symbol, isolated=isolated)
        case ("leverage", symbol, leverage):
            venue.set_leverage(account, symbol, leverage)
        case ("margin", symbol, amount):
            venue.move_position_margin(account, symbol, D(amount))


def recount(ledger: Ledger) -> tuple[D, dict[str, D]]:
    """Wallet and positions from the fills alone, by another way: average cost per symbol."""
    wallet = sum((e.amount for e in ledger.income if e.kind in _NOT_FROM_FILLS), D(0))
    held: dict[str, D] = {}
    cost: dict[str, D] = {}
    for fill in ledger.fills:
        q, c = held.get(fill.symbol, D(0)), cost.get(fill.symbol, D(0))
        change = fill.quantity if fill.side == "BUY" else -fill.quantity
        if q and (q > 0) != (change > 0):
            closed = min(abs(q), abs(change))
            share = closed / abs(q)
            wallet += (closed if q > 0 else -closed) * fill.price - c * share
            c -= c * share
            left = change + (closed if q > 0 else -closed)
            c += left * fill.price
        else:
            c += change * fill.price
        held[fill.symbol], cost[fill.symbol] = q + change, c
        wallet -= fill.commission
    return wallet, {s: q for s, q in held.items() if q}


_NOT_FROM_FILLS = ("TRANSFER", "FUNDING_FEE", "INSURANCE_CLEAR")


def check_reduce_only(ledger: Ledger) -> None:
    """No execution of a reduce-only order opened or turned a position."""
    orders = {o.order_id: o for o in ledger.orders}
    held: dict[str, D] = {}
    for fill in ledger.fills:
        q = held.get(fill.symbol, D(0))
        change = fill.quantity if fill.side == "BUY" else -fill.quantity
        if orders[fill.order_id].reduce_only:
            assert q * change < 0
            assert abs(change) <= abs(q)
        held[fill.symbol] = q + change


def check_nothing_crosses(ledger: Ledger) -> None:
    """No resting order of the account would trade with another one."""
    for symbol in SYMBOLS:
        resting = [o for o in ledger.open_orders if o.symbol == symbol]
        bids = [o.price for o in resting if o.side == "BUY"]
        asks = [o.price for o in resting if o.side == "SELL"]
        assert not bids or not asks or max(bids) < min(asks)


def free(venue: Venue) -> D:
    """What positions and orders leave of the cross margin, below zero where they take more."""
    account, ledger = venue.account(), venue.ledger()
    left = ledger.wallet_balance - sum(p.isolated_wallet for p in ledger.positions)
    for symbol in SYMBOLS:
        setting, mark = account.setting(symbol), venue.core.mark_price(symbol)
        held = D(0)
        for position in ledger.positions:
            if position.symbol == symbol:
                held = position.quantity * mark
                if not setting.isolated:
                    left += position.quantity * (mark - position.entry_price)
                    left -= abs(held) / setting.leverage
        bids, asks = (
            sum(
                (o.quantity - o.executed) * o.price
                for o in ledger.open_orders
                if (o.symbol, o.side, o.reduce_only) == (symbol, side, False)
            )
            for side in ("BUY", "SELL")
        )
        most = max(abs(held + bids), abs(held - asks), abs(held))
        left -= (most - abs(held)) / setting.leverage
    return left


@settings(max_examples=120, deadline=None)
@given(source=markets(), plan=plans())
def test_nothing_is_promised_twice(source: CandleSource, plan: list[tuple]) -> None:
    """An order that is taken leaves the free balance above zero, but for what it slips."""
    venue = Venue(source, start_ms=START, deposit=D(3000))
    venue.account()
    for action in plan:
        before = free(venue)
        with suppress(VenueRefusal):
            perform(venue, action)
        check_nothing_crosses(venue.ledger())
        if action[0] in ("market", "limit", "leverage", "margin"):
            fills = [f for f in venue.ledger().fills if f.time == venue.now]
            slipped = sum((f.quantity * f.price for f in fills), D(0)) / 1000
            assert free(venue) >= min(before, D(0)) - slipped


@settings(max_examples=120, deadline=None)
@given(source=markets(), plan=plans())
def test_books_are_never_wrong(source: CandleSource, plan: list[tuple]) -> None:
    venue = Venue(source, start_ms=START, deposit=D(3000))
    for action in plan:
        with suppress(VenueRefusal):
            perform(venue, action)
        ledger = venue.ledger()
        assert ledger.problems() == []
    ledger = venue.ledger()
    check_reduce_only(ledger)
    wallet, held = recount(ledger)
    assert held == {p.symbol: p.quantity for p in ledger.positions}
    # Realised P&L is booked to 0.00000001 USDT per fill.
    assert abs(wallet - ledger.wallet_balance) <= D("0.00000001") * (len(ledger.fills) + 1)
    for order in ledger.orders:
        assert order.executed <= order.quantity
        if order.price and order.executed and order.type == "LIMIT" and order.expiry_reason != 5:
            better = order.average_price <= order.price
            assert better if order.side == "BUY" else order.average_price >= order.price
    for algo in ledger.algo_orders:
        if algo.status == "FINISHED":
            assert algo.order_id
            assert algo.trigger_time >= algo.create_time


@pytest.mark.parametrize("seed", range(4))
def test_a_synthetic_week_of_trading_stays_balanced(seed: int) -> None:
    """Every hour the position is turned around, with a stop behind it."""
    venue = Venue(SyntheticMarket(seed, SYMBOLS), start_ms=START)
    account = venue.account()
    for hour in range(7 * 24):
        venue.advance(START + hour * 60 * MINUTE_MS)
        symbol = SYMBOLS[hour % 2]
        venue.cancel_all_algo_orders(account, symbol)
        held = account.position(symbol).quantity
        side = "SELL" if held > 0 else "BUY"
        quantity = abs(held) + D("0.010")
        if symbol == "ETHUSDT" and not held:
            quantity += D("0.100")
        venue.place_order(
            account, NewOrder(symbol=symbol, side=side, type="MARKET", quantity=quantity)
        )
        away = -60 if side == "BUY" else 60
        venue.place_algo_order(
            account,
            NewAlgoOrder(
                symbol=symbol,
                side="SELL" if side == "BUY" else "BUY",
                type="STOP_MARKET",
                quantity=abs(account.position(symbol).quantity),
                trigger_price=priced(venue, symbol, away),
                working_type="MARK_PRICE",
                reduce_only=True,
            ),
        )
    ledger = venue.ledger()
    assert ledger.problems() == []
    wallet, held_now = recount(ledger)
    assert abs(wallet - ledger.wallet_balance) < D("0.0001")
    assert held_now == {p.symbol: p.quantity for p in ledger.positions}
    kinds = {e.kind for e in ledger.income}
    assert kinds == {"TRANSFER", "COMMISSION", "REALIZED_PNL", "FUNDING_FEE"}
    assert any(a.status == "FINISHED" for a in ledger.algo_orders)
