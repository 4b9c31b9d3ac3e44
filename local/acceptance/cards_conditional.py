"""Cards about conditional orders: the stops that protect a position."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from local.acceptance.bench import Bench
from local.acceptance.card import card
from shared.execution.exchange import LIVE_ALGO, VenueAlgoOrder

GROUP = "conditional orders"


def _position(bench: Bench) -> Decimal:
    quantity = bench.quantity()
    bench.market("BUY", quantity)
    return quantity


def _flat(bench: Bench) -> None:
    bench.exchange.cancel_all_algo_orders(bench.symbol)
    held = bench.position()
    if held:
        bench.market("SELL" if held > 0 else "BUY", abs(held), reduce_only=True)


@card(18, "Stop: placed, found, listed apart from plain orders, cancelled", GROUP)
def stop(bench: Bench) -> None:
    quantity = _position(bench)
    placed = bench.conditional("STOP_MARKET", bench.far("BUY"), quantity)
    _life(bench, placed)
    _flat(bench)


@card(19, "Take-profit: the same, and beside a stop for the same quantity", GROUP)
def take_profit(bench: Bench) -> None:
    quantity = _position(bench)
    other = bench.conditional("STOP_MARKET", bench.far("BUY"), quantity)
    placed = bench.conditional("TAKE_PROFIT_MARKET", bench.far("SELL"), quantity)
    _life(bench, placed)
    found = bench.exchange.algo_order(other.client_algo_id)
    bench.check("the stop stays", "NEW", found.status if found else None)
    _flat(bench)


def _life(bench: Bench, placed: VenueAlgoOrder) -> None:
    """Placed, queried, listed, cancelled."""
    name = placed.client_algo_id
    bench.check("accepted", "NEW", placed.status)
    began = bench.clock.now_ms()
    found = bench.wait(lambda: bench.exchange.algo_order(name), 30)
    bench.observe("milliseconds until a query found it", bench.clock.now_ms() - began)
    bench.check("reduce-only", True, found.reduce_only if found else None)
    bench.check("triggered by the mark price", "MARK_PRICE", found.working_type if found else None)

    def listed() -> bool:
        return name in {a.client_algo_id for a in bench.exchange.open_algo_orders(bench.symbol)}

    bench.ensure("listed among open conditional orders", bool(bench.wait(listed, 30)))
    plain = [o.client_order_id for o in bench.exchange.open_orders(bench.symbol)]
    bench.check("not among plain ones", [], plain)
    bench.exchange.cancel_algo_order(name)
    ended = bench.wait(
        lambda: (a := bench.exchange.algo_order(name)) and a.status == "CANCELED", 30
    )
    bench.ensure("cancelled", bool(ended))
    bench.exchange.cancel_algo_order(name)


@card(20, "Trigger: a stop close to the price becomes an order and closes the position", GROUP)
def trigger(bench: Bench) -> None:
    quantity = _position(bench)
    pair = _around(bench, quantity)
    lives: dict[str, list[list[Any]]] = {a.client_algo_id: [] for a in pair}
    began = bench.clock.now_ms()

    def done() -> VenueAlgoOrder | None:
        finished = None
        for name, life in lives.items():
            found = bench.exchange.algo_order(name)
            status = found.status if found else "not found"
            if not life or life[-1][1] != status:
                life.append([bench.clock.now_ms() - began, status])
            if found is not None and found.status == "FINISHED":
                finished = found
        return finished

    triggered = bench.wait(done, 180)
    bench.observe("milliseconds and status of both orders", lives)
    if bench.ensure("one of them triggered within three minutes", triggered is not None):
        assert triggered is not None
        bench.ensure("it names the order it became", bool(triggered.order_id), triggered.order_id)

        def became() -> Any:
            return bench.raw("GET", "order", symbol=bench.symbol, orderId=triggered.order_id).body

        bench.wait(lambda: became().get("status") == "FILLED", 10)
        orders = became()
        bench.check("that order is filled", "FILLED", orders.get("status"))
        bench.observe("client id of that order", orders.get("clientOrderId"))
        bench.check_position("the position is closed", Decimal(0))
        name = next(a.client_algo_id for a in pair if a.client_algo_id != triggered.client_algo_id)
        left = bench.exchange.algo_order(name)
        bench.observe("its sibling afterwards", left.status if left else "not found")
        bench.ensure("it stays armed until it is cancelled", bool(left and left.status == "NEW"))
    _flat(bench)
    bench.wait(lambda: not bench.exchange.open_algo_orders(bench.symbol), 30)
    bench.check("nothing armed remains", [], bench.exchange.open_algo_orders(bench.symbol))


def _around(bench: Bench, quantity: Decimal) -> list[VenueAlgoOrder]:
    """A stop and a take-profit close to the last price; further away where that is too close."""
    distance = Decimal("0.00005")
    i = bench.instrument
    for _ in range(6):
        book = bench.exchange.book_ticker(bench.symbol)
        below = i.round_price(book.bid_price * (1 - distance), up=False)
        above = i.round_price(book.ask_price * (1 + distance), up=True)
        placed: list[VenueAlgoOrder] = []

        def arm(kind: str, at: Decimal, placed: list[VenueAlgoOrder] = placed) -> None:
            order = bench.conditional(kind, at, quantity, working_type="CONTRACT_PRICE")
            placed.append(order)

        codes = [
            bench.refusal(lambda at=below: arm("STOP_MARKET", at)),  # type: ignore[misc]
            bench.refusal(lambda at=above: arm("TAKE_PROFIT_MARKET", at)),  # type: ignore[misc]
        ]
        if codes == [0, 0]:
            bench.observe("distance from the touch", distance)
            return placed
        bench.exchange.cancel_all_algo_orders(bench.symbol)
        distance *= 2
    raise AssertionError(f"no distance from the price was accepted: {codes}")


@card(21, "Immediately triggering: a stop on the wrong side of the price is refused", GROUP)
def immediate(bench: Bench) -> None:
    quantity = _position(bench)
    code = bench.refusal(lambda: bench.conditional("STOP_MARKET", bench.far("SELL"), quantity))
    bench.ensure("refused", code in (-2021, -4142), code)
    bench.observe("code", code)
    _flat(bench)


@card(22, "Replacing a stop: the new one stands before the old one goes", GROUP)
def replace(bench: Bench) -> None:
    quantity = _position(bench)
    old = bench.conditional("STOP_MARKET", bench.far("BUY"), quantity)
    least = 9

    def live() -> int:
        return sum(a.status in LIVE_ALGO for a in bench.exchange.open_algo_orders(bench.symbol))

    bench.wait(lambda: live() == 1, 30)
    tick = bench.instrument.tick_size
    for step in range(1, 4):
        new = bench.conditional("STOP_MARKET", bench.far("BUY") + step * tick, quantity)
        bench.wait(lambda: live() == 2, 30)
        least = min(least, live())
        bench.exchange.cancel_algo_order(old.client_algo_id)
        least = min(least, live())
        old = new
    bench.ensure("two reduce-only stops for the whole quantity stand side by side", True)
    bench.ensure("at no look was the position without a stop", least >= 1, least)
    bench.check("one remains", 1, live())
    _flat(bench)


def _stop(bench: Bench) -> dict[str, Any]:
    """A stop of a long position, far away, for what it is sized by to be added."""
    return {
        "algoType": "CONDITIONAL",
        "symbol": bench.symbol,
        "side": "SELL",
        "type": "STOP_MARKET",
        "triggerPrice": format(bench.far("BUY"), "f"),
    }


@card(23, "closePosition: one stop per direction; a quantity stop stands beside it", GROUP)
def close_position(bench: Bench) -> None:
    quantity = _position(bench)
    order = _stop(bench) | {"closePosition": "true", "workingType": "MARK_PRICE"}
    first = bench.raw("POST", "algoOrder", **order, clientAlgoId=(name := bench.name()))
    bench.check("the first is accepted", 200, first.status)
    bench.observe("its timeInForce", first.body.get("timeInForce"))
    second = bench.raw("POST", "algoOrder", **order, clientAlgoId=bench.name())
    bench.check("the second is refused", -4130, second.code)
    quantified = bench.conditional("STOP_MARKET", bench.far("BUY"), quantity)
    bench.check("a stop with a quantity is accepted", "NEW", quantified.status)
    with_quantity = bench.raw(
        "POST", "algoOrder", **order, quantity=format(quantity, "f"), clientAlgoId=bench.name()
    )
    bench.check("closePosition with a quantity", -4137, with_quantity.code)
    bench.market("SELL", quantity, reduce_only=True)

    def status() -> str:
        found = bench.exchange.algo_order(name)
        return found.status if found else "not found"

    bench.wait(lambda: status() != "NEW", 30)
    bench.check("it expires with the position", "EXPIRED", status())
    left = bench.exchange.algo_order(quantified.client_algo_id)
    bench.check("the stop with a quantity stays armed", "NEW", left.status if left else None)
    _flat(bench)


@card(24, "Conditional types on the plain endpoint are refused", GROUP)
def plain_endpoint(bench: Bench) -> None:
    for kind in ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"):
        price = format(bench.far("BUY" if kind.startswith("STOP") else "SELL"), "f")
        more: dict[str, Any] = {"price": price, "timeInForce": "GTC"}
        if kind.endswith("MARKET"):
            more = {}
        reply = bench.raw(
            "POST",
            "order",
            symbol=bench.symbol,
            side="SELL",
            type=kind,
            quantity=format(bench.quantity(), "f"),
            stopPrice=price,
            **more,
        )
        bench.check(kind, -4120, reply.code)


@card(25, "Ids of conditional orders: open, cancelled, shared with a plain order", GROUP)
def ids(bench: Bench) -> None:
    quantity = _position(bench)
    name = bench.name()
    bench.conditional("STOP_MARKET", bench.far("BUY"), quantity, name=name)
    order = _stop(bench) | {
        "quantity": format(quantity, "f"),
        "reduceOnly": "true",
        "clientAlgoId": name,
    }
    bench.check("while it is open", -4116, bench.raw("POST", "algoOrder", **order).code)
    plain = bench.raw_limit(bench.symbol, quantity, bench.far("BUY"), name)
    bench.observe("a plain order with the same id (section 9)", [plain.status, plain.code])
    bench.exchange.cancel_all_orders(bench.symbol)
    bench.exchange.cancel_algo_order(name)
    bench.wait(lambda: (a := bench.exchange.algo_order(name)) and a.status == "CANCELED", 30)
    again = bench.raw("POST", "algoOrder", **order)
    bench.observe("after it was cancelled (section 9)", [again.status, again.code])
    _flat(bench)
