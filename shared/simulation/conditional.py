"""Conditional ("algo") orders: acceptance, trigger conditions, what a trigger does.

Status life: NEW, then CANCELED or EXPIRED, or TRIGGERING, TRIGGERED (a plain order is in the
matching engine), FINISHED (that order filled or ended) or REJECTED (matching refused it).
"""

from __future__ import annotations

from decimal import Decimal

from shared.simulation import entry, matching
from shared.simulation.account import AccountState
from shared.simulation.core import VenueCore
from shared.simulation.filters import (
    check_notional,
    check_percent,
    check_price,
    check_quantity,
    check_trigger_distance,
)
from shared.simulation.link import set_status
from shared.simulation.orders import ZERO, AlgoOrder, NewAlgoOrder, Order
from shared.simulation.refusal import VenueRefusal

#: Conditional orders an account may have working.
MAX_ALGO_ORDERS = 200
TRAILING = "TRAILING_STOP_MARKET"


def place(core: VenueCore, account: AccountState, request: NewAlgoOrder) -> AlgoOrder:
    """Accept a conditional order. Margin is not checked before the trigger.

    Raises
    ------
    VenueRefusal
        With the code of the first rule that is broken.
    """
    contract = core.contract(request.symbol)
    entry.check_mode(account, request.position_side, request.reduce_only)
    existing = account.latest_algo.get(request.client_algo_id)
    if existing is not None and account.algos[existing].is_open:
        raise VenueRefusal(-4116)
    _check_close_position(account, request)
    if not request.close_position:
        check_quantity(contract, request.quantity, market=request.type.endswith("MARKET"))
    limit = request.type in ("STOP", "TAKE_PROFIT") and request.price_match == "NONE"
    if limit:
        check_price(contract, request.price)
    good_till = entry.good_till(core, request.good_till)
    if request.type == TRAILING:
        _check_trailing(core, request)
    else:
        if request.trigger_price is None:
            raise VenueRefusal(
                -1102,
                "Mandatory parameter 'triggerprice' was not sent, was empty/null, or malformed.",
            )
        check_price(contract, request.trigger_price, trigger=True)
        if limit:
            buy = request.side == "BUY"
            check_trigger_distance(contract, request.price, request.trigger_price, buy=buy)
    if not (request.reduce_only or request.close_position or _reduces_a_side(request)):
        core.quantitative.check(account, request.symbol, core.now)
        worth = request.price or request.trigger_price or core.mark_price(request.symbol)
        check_notional(contract, request.quantity, worth)
    if sum(map(len, account.open_algos.values())) >= MAX_ALGO_ORDERS:
        raise VenueRefusal(-4045)
    algo = AlgoOrder(
        algo_id=core.next_id("algo"),
        client_algo_id=request.client_algo_id or f"algo-{core.sequence['algo']}",
        symbol=request.symbol,
        side=request.side,
        position_side=request.position_side,
        type=request.type,
        time_in_force=request.time_in_force,
        quantity=request.quantity,
        price=request.price,
        trigger_price=request.trigger_price or ZERO,
        working_type=request.working_type,
        close_position=request.close_position,
        price_protect=request.price_protect,
        reduce_only=request.reduce_only,
        activate_price=request.activate_price,
        callback_rate=request.callback_rate,
        self_trade_prevention=request.self_trade_prevention,
        good_till=good_till,
        price_match=request.price_match,
        status="NEW",
        create_time=core.now,
        update_time=core.now,
    )
    if request.type == TRAILING:
        _start_trailing(core, algo)
    elif is_through(algo, reference(core, algo)):
        raise VenueRefusal(-2021)
    # Good till executed means: with a position; it does not wait for one.
    leans = request.close_position or request.time_in_force == "GTE_GTC"
    if (leans or request.reduce_only) and not _closes(account, algo):
        raise VenueRefusal(-4509 if leans else -2022)
    account.add_algo(algo)
    core.changed()
    core.emit_algo(account, algo)
    return algo


def cancel(core: VenueCore, account: AccountState, algo: AlgoOrder) -> None:
    """Cancel a conditional order that has not triggered.

    Raises
    ------
    VenueRefusal
        -2011 when it is not open any more.
    """
    if not algo.is_open:
        raise VenueRefusal(-2011)
    set_status(core, account, algo, "CANCELED")


def reference(core: VenueCore, algo: AlgoOrder) -> float:
    """The price an order watches: contract or mark price."""
    last, mark = core.path(algo.symbol).at(core.now)
    return mark if algo.working_type == "MARK_PRICE" else last


def falls(algo: AlgoOrder) -> bool:
    """Whether a falling price triggers it (a selling stop, a buying take-profit)."""
    stop = algo.type in ("STOP", "STOP_MARKET", TRAILING)
    return stop == (algo.side == "SELL")


def level(algo: AlgoOrder) -> float | None:
    """The price that triggers it now; ``None`` for a trailing order not yet activated."""
    if algo.type != TRAILING:
        return float(algo.trigger_price)
    if not algo.activated:
        return None
    share = float(algo.callback_rate or 0) / 100
    return algo.extreme * (1 - share if algo.side == "SELL" else 1 + share)


def is_through(algo: AlgoOrder, price: float) -> bool:
    """Whether the watched price satisfies the trigger."""
    at = level(algo)
    if at is None:
        return False
    return price <= at if falls(algo) else price >= at


def follow(algo: AlgoOrder, price: float) -> bool:
    """Let a trailing order see a price; whether that activated it."""
    sell = algo.side == "SELL"
    activated = False
    if not algo.activated:
        wanted = float(algo.activate_price or 0)
        if not (price >= wanted if sell else price <= wanted):
            return False
        algo.activated = activated = True
        algo.extreme = price
    algo.extreme = max(algo.extreme, price) if sell else min(algo.extreme, price)
    return activated


def trigger(core: VenueCore, account: AccountState, algo: AlgoOrder) -> None:
    """The condition is met: forward a plain order to the matching engine."""
    if algo.price_protect and _too_far(core, algo):
        set_status(core, account, algo, "EXPIRED")
        return
    algo.trigger_time = core.now
    set_status(core, account, algo, "TRIGGERING")
    if core.forward_trigger is not None and not core.forward_trigger(algo):
        return
    order = _plain_order(core, account, algo)
    try:
        if order.price:
            contract, mark = core.contract(algo.symbol), core.mark_price(algo.symbol)
            check_percent(contract, order.price, mark, buy=order.side == "BUY")
        if matching.must_reduce(account, order):
            left = matching.reducible(account, order)
            if not left:
                raise VenueRefusal(-2022)
            order.quantity = min(order.quantity, left)
            entry.check_release(core, account, order)
        else:
            entry.check_margin(core, account, order)
        algo.order_id = order.order_id
        set_status(core, account, algo, "TRIGGERED")
        entry.submit(core, account, order)
    except VenueRefusal as refusal:
        algo.reject_reason = refusal.message
        algo.order_id = 0
        set_status(core, account, algo, "REJECTED")


def _plain_order(core: VenueCore, account: AccountState, algo: AlgoOrder) -> Order:
    quantity = algo.quantity
    if algo.close_position:
        quantity = abs(account.position(algo.symbol, algo.position_side).quantity)
    limit = algo.type in ("STOP", "TAKE_PROFIT")
    return Order(
        order_id=core.next_id("order"),
        client_order_id=algo.client_algo_id,
        symbol=algo.symbol,
        side=algo.side,
        position_side=algo.position_side,
        type="LIMIT" if limit else "MARKET",
        original_type=algo.type,
        time_in_force="GTC" if algo.time_in_force == "GTE_GTC" else algo.time_in_force,
        quantity=quantity,
        price=_limit_price(core, algo) if limit else ZERO,
        reduce_only=algo.reduce_only,
        close_position=algo.close_position,
        self_trade_prevention=algo.self_trade_prevention,
        good_till=algo.good_till,
        price_match=algo.price_match,
        status="NEW",
        time=core.now,
        update_time=core.now,
        stop_price=algo.trigger_price,
        working_type=algo.working_type,
        price_protect=algo.price_protect,
        algo_id=algo.algo_id,
    )


def _limit_price(core: VenueCore, algo: AlgoOrder) -> Decimal:
    if algo.price_match == "NONE":
        return algo.price
    return entry.matched_price(core, algo.symbol, algo.side, algo.price_match)


def _closes(account: AccountState, algo: AlgoOrder) -> bool:
    held = account.position(algo.symbol, algo.position_side).quantity
    return held < 0 if algo.side == "BUY" else held > 0


def _reduces_a_side(request: NewAlgoOrder) -> bool:
    """Whether it is the closing side of hedge mode."""
    return (request.position_side, request.side) in (("LONG", "SELL"), ("SHORT", "BUY"))


def _too_far(core: VenueCore, algo: AlgoOrder) -> bool:
    last, mark = core.path(algo.symbol).at(core.now)
    bound = core.contract(algo.symbol).instrument.trigger_protect
    return abs(last - mark) / mark > float(bound)


def _check_close_position(account: AccountState, request: NewAlgoOrder) -> None:
    if not request.close_position:
        return
    if request.type == TRAILING:
        raise VenueRefusal(-4136)
    if request.type in ("STOP", "TAKE_PROFIT"):
        raise VenueRefusal(-1106, "Parameter 'closeposition' sent when not required.")
    if request.quantity:
        raise VenueRefusal(-4137)
    if request.reduce_only:
        raise VenueRefusal(-1106, "Parameter 'reduceonly' sent when not required.")
    if (request.position_side, request.side) in (("LONG", "BUY"), ("SHORT", "SELL")):
        raise VenueRefusal(-4061)
    for algo in account.working_algos(request.symbol):
        same = (algo.type, algo.side, algo.position_side) == (
            request.type,
            request.side,
            request.position_side,
        )
        if algo.close_position and same:
            raise VenueRefusal(-4130)


def _check_trailing(core: VenueCore, request: NewAlgoOrder) -> None:
    rate = request.callback_rate
    if rate is None:
        raise VenueRefusal(
            -1102,
            "Mandatory parameter 'callbackrate' was not sent, was empty/null, or malformed.",
        )
    if not Decimal("0.1") <= rate <= 20:
        raise VenueRefusal(-2007, "Invalid callBack rate")
    if request.activate_price is not None:
        check_price(core.contract(request.symbol), request.activate_price, trigger=True)
        last = core.last_price(request.symbol)
        wrong = (
            request.activate_price >= last
            if request.side == "BUY"
            else request.activate_price <= last
        )
        if wrong:
            raise VenueRefusal(-2021)


def _start_trailing(core: VenueCore, algo: AlgoOrder) -> None:
    if algo.activate_price is None:
        algo.activate_price = core.last_price(algo.symbol)
        algo.activated = True
        algo.extreme = reference(core, algo)
