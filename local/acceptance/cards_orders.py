"""Cards about plain orders: their life, their ids, their refusals."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from local.acceptance.bench import Bench, Skip
from local.acceptance.card import card
from shared.execution.exchange import FINAL_ORDER

GROUP = "orders"


def _text(value: Decimal) -> str:
    return format(value, "f")


@card(6, "Market entry: filled, found, held, closed", GROUP)
def market(bench: Bench) -> None:
    quantity = bench.quantity()
    answer = bench.market("BUY", quantity)
    bench.observe("status in the answer to POST with RESULT", answer.status)
    raw = next(r for r in reversed(bench.session.requests) if r["request"] == "POST /fapi/v1/order")
    shown = raw["answer"] if isinstance(raw["answer"], dict) else {}
    bench.observe(
        "avgPrice and cumQuote in the answer to POST (reference section 9)",
        {name: shown.get(name, "absent") for name in ("avgPrice", "cumQuote")},
    )
    found = bench.find(answer.client_order_id, "FILLED")
    bench.check("found by its client id", answer.order_id, found.order_id if found else None)
    bench.check("filled", "FILLED", found.status if found else None)
    bench.ensure("the query tells the average price", bool(found and found.average_price))
    bench.check_position("the position is what was bought", quantity)
    bench.market("SELL", quantity, reduce_only=True)
    bench.check_position("flat after closing", Decimal(0))


@card(7, "Resting limit order: open, listed, cancelled, cancelled again", GROUP)
def resting(bench: Bench) -> None:
    order = bench.limit("BUY", bench.far("BUY"))
    name = order.client_order_id
    bench.check("accepted", "NEW", order.status)
    bench.find(name)
    listed = [o.client_order_id for o in bench.exchange.open_orders(bench.symbol)]
    bench.ensure("listed among open orders", name in listed, listed)
    bench.exchange.cancel_order(bench.symbol, name)
    found = bench.find(name, "CANCELED")
    bench.check("a query still finds it", "CANCELED", found.status if found else None)
    bench.exchange.cancel_order(bench.symbol, name)
    raw = bench.raw("DELETE", "order", symbol=bench.symbol, origClientOrderId=name)
    bench.check("cancelling it a second time", -2011, raw.code)


@card(8, "Post-only: rests behind the touch, refused where it would take", GROUP)
def post_only(bench: Bench) -> None:
    rests = bench.limit("BUY", bench.far("BUY"), force="GTX")
    bench.check("rests", "NEW", rests.status)
    bench.exchange.cancel_order(bench.symbol, rests.client_order_id)
    ask = bench.exchange.book_ticker(bench.symbol).ask_price
    through = bench.instrument.round_price(ask * Decimal("1.002"), up=True)
    name = bench.name()
    code = bench.refusal(lambda: bench.limit("BUY", through, force="GTX", name=name))
    bench.check("refused where it would take", -5022, code)
    found = bench.exchange.order(bench.symbol, name)
    bench.observe("the refused order as a query tells it", found.status if found else "not found")


@card(9, "Immediate orders: IOC and FOK with and without something to take", GROUP)
def immediate(bench: Bench) -> None:
    far = bench.far("BUY")
    none = bench.limit("BUY", far, force="IOC")
    bench.check("IOC far from the market", "EXPIRED", none.status)
    code = bench.refusal(lambda: bench.limit("BUY", far, force="FOK"))
    bench.ensure("FOK far from the market is refused or expires", code in (-5021, 0), code)
    bench.observe("code of a FOK that cannot fill", code)
    ask = bench.exchange.book_ticker(bench.symbol).ask_price
    through = bench.instrument.round_price(ask * Decimal("1.002"), up=True)
    taken = bench.limit("BUY", through, force="IOC")
    bench.check("IOC through the touch", "FILLED", taken.status)
    bench.market("SELL", taken.executed_quantity, reduce_only=True)


@card(10, "Reduce-only: refused without a position, never flips one", GROUP)
def reduce_only(bench: Bench) -> None:
    quantity = bench.quantity()
    code = bench.refusal(lambda: bench.market("SELL", quantity, reduce_only=True))
    bench.check("without a position", -2022, code)
    bench.market("BUY", quantity)
    resting = bench.limit("SELL", bench.far("SELL"), quantity=quantity, reduce_only=True)
    code = bench.refusal(lambda: bench.market("SELL", quantity, reduce_only=True))
    bench.observe("closing at market while a reduce-only order rests: code", code)
    found = bench.find(resting.client_order_id)
    bench.observe("the resting order afterwards", found.status if found else None)
    if code:
        bench.exchange.cancel_all_orders(bench.symbol)
        last = bench.market("SELL", quantity * 2, reduce_only=True)
        found = bench.find(last.client_order_id)
        bench.observe("quantity of an order of twice the position", found and found.quantity)
    bench.check_position("selling twice what is held leaves nothing", Decimal(0))


@card(11, "Partial fill: an order larger than the touch is filled in part", GROUP)
def partial(bench: Bench) -> None:
    book = bench.exchange.book_ticker(bench.symbol)
    quantity = book.ask_quantity + bench.quantity()
    if quantity * book.ask_price > bench.max_notional:
        raise Skip(
            f"the touch holds {book.ask_quantity}: more than --max-notional {bench.max_notional}"
        )
    order = bench.limit("BUY", book.ask_price, force="IOC", quantity=quantity)
    found = bench.find(order.client_order_id, order.status)
    executed = found.executed_quantity if found else Decimal(0)
    bench.observe("asked, executed", [quantity, executed])
    bench.ensure("something was executed", executed > 0, executed)
    if executed < quantity:
        bench.check("the rest expired", "EXPIRED", found.status if found else None)

    def traded() -> Decimal:
        fills = bench.exchange.fills(bench.symbol, start=bench.exchange.server_time() - 60_000)
        mine = [f for f in fills if found and f.order_id == found.order_id]
        return sum((f.quantity for f in mine), Decimal(0))

    bench.wait(lambda: traded() == executed, 20, 1.0)
    bench.check("its trades add up", executed, traded())
    bench.check_position("the position is what was executed", executed)
    if executed:
        bench.market("SELL", executed, reduce_only=True)


@card(12, "Batch: answered in order, each for itself; cancelled as a batch", GROUP)
def batch(bench: Bench) -> None:
    names = [bench.name(), bench.name()]
    order = {
        "symbol": bench.symbol,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": _text(bench.quantity()),
        "price": _text(bench.far("BUY")),
    }
    items = [
        {**order, "newClientOrderId": names[0]},
        {**order, "quantity": "0"},
        {"symbol": bench.symbol, "side": "SELL", "type": "STOP_MARKET", "quantity": "1"}
        | {"stopPrice": order["price"]},
        {**order, "newClientOrderId": names[1]},
    ]
    reply = bench.raw("POST", "batchOrders", batchOrders=json.dumps(items, separators=(",", ":")))
    rows: list[Any] = reply.body if isinstance(reply.body, list) else []
    found = [row.get("code", row.get("status")) for row in rows]
    bench.check("answers in the order of the requests", ["NEW", -4003, -4120, "NEW"], found)
    ids = [row["orderId"] for row in rows if "orderId" in row]
    listed = json.dumps(ids, separators=(",", ":"))
    other_case = bench.raw("DELETE", "batchOrders", symbol=bench.symbol, orderidlist=listed)
    bench.observe(
        "orderIdList in lower case (reference section 9)", [other_case.status, other_case.code]
    )
    if other_case.status != 200:
        bench.raw("DELETE", "batchOrders", symbol=bench.symbol, orderIdList=listed)
    bench.check("nothing rests afterwards", [], bench.exchange.open_orders(bench.symbol))


@card(13, "Not found: which codes tell it, and how long a new order stays unknown", GROUP)
def not_found(bench: Bench) -> None:
    unknown: dict[str, Any] = {"symbol": bench.symbol, "origClientOrderId": bench.name()}
    bench.check("an unknown order", -2013, bench.raw("GET", "order", **unknown).code)
    bench.check("an unknown open order", -2013, bench.raw("GET", "openOrder", **unknown).code)
    bench.check("cancelling it", -2011, bench.raw("DELETE", "order", **unknown).code)
    algo: dict[str, Any] = {"clientAlgoId": bench.name()}
    bench.check("an unknown conditional order", -2013, bench.raw("GET", "algoOrder", **algo).code)
    code = bench.raw("DELETE", "algoOrder", **algo).code
    bench.ensure("cancelling it", code in (-2011, -2013), code)
    lags = []
    for _ in range(5):
        order = bench.limit("BUY", bench.far("BUY"))
        began = bench.clock.now_ms()
        seen = bench.wait(
            lambda name=order.client_order_id: bench.exchange.order(bench.symbol, name),  # type: ignore[misc]
            10,
        )
        bench.ensure("a new order is found within ten seconds", seen is not None)
        lags.append(bench.clock.now_ms() - began)
        bench.exchange.cancel_order(bench.symbol, order.client_order_id)
    bench.observe("milliseconds until five new orders were found", lags)


@card(14, "Client id of an open order: refused, adopted by the adapter", GROUP)
def duplicate_open(bench: Bench) -> None:
    name, price = bench.name(), bench.far("BUY")
    first = bench.limit("BUY", price, name=name)
    raw = bench.raw_limit(bench.symbol, first.quantity, price, name)
    bench.check("the same id while the order is open", -4116, raw.code)
    adopted = bench.limit("BUY", price, name=name)
    bench.check("the adapter adopts the open order", first.order_id, adopted.order_id)
    bench.check("one order rests", 1, len(bench.exchange.open_orders(bench.symbol)))
    other = bench.raw_limit(
        bench.second, bench.quantity(bench.second), bench.far("BUY", bench.second), name
    )
    bench.observe(
        "the same id in another symbol (reference section 9: per symbol or per account)",
        [other.status, other.code],
    )
    bench.exchange.cancel_all_orders(bench.second)
    bench.exchange.cancel_all_orders(bench.symbol)


@card(15, "Client id of a closed order: what happens to a second order with it", GROUP)
def duplicate_closed(bench: Bench) -> None:
    name, price = bench.name(), bench.far("BUY")
    bench.limit("BUY", price, name=name)
    bench.exchange.cancel_order(bench.symbol, name)
    again: dict[str, Any] = {"symbol": bench.symbol, "side": "BUY", "newClientOrderId": name}
    quantity = _text(bench.quantity())
    limit: dict[str, Any] = {"type": "LIMIT", "timeInForce": "GTC", "quantity": quantity}
    limit["price"] = _text(price)
    reply = bench.raw("POST", "order", **again, **limit)
    bench.observe("the id of a cancelled order again (section 9)", [reply.status, reply.code])
    bench.exchange.cancel_all_orders(bench.symbol)
    filled = bench.market("BUY")
    bench.wait(lambda: bench.position() == filled.quantity, 10)
    before = bench.position()
    again["newClientOrderId"] = filled.client_order_id
    reply = bench.raw("POST", "order", **again, type="MARKET", quantity=quantity)
    bench.observe("the id of a filled market order again (section 9)", [reply.status, reply.code])
    if reply.code == 0:
        bench.wait(lambda: bench.position() != before, 10)
    else:
        bench.clock.sleep(1)
    after = bench.position()
    bench.observe("position before and after", [before, after])
    executed = after != before
    bench.check("an answer without an error means a second execution", reply.code == 0, executed)
    if after:
        bench.market("SELL", after, reduce_only=True)


@card(16, "Amendment: price and quantity change, the history tells it, no change is refused", GROUP)
def amendment(bench: Bench) -> None:
    order = bench.limit("BUY", bench.far("BUY"))
    price = order.price - bench.instrument.tick_size
    change: dict[str, Any] = {
        "symbol": bench.symbol,
        "side": "BUY",
        "origClientOrderId": order.client_order_id,
        "quantity": _text(order.quantity),
        "price": _text(price),
    }
    reply = bench.raw("PUT", "order", **change)
    bench.check("accepted", 200, reply.status)
    bench.wait(
        lambda: (o := bench.find(order.client_order_id)) is not None and o.price == price, 10
    )
    found = bench.find(order.client_order_id)
    bench.check("the new price", price, found.price if found else None)
    bench.check("the same order", order.order_id, found.order_id if found else None)
    bench.check("the same values again", -5027, bench.raw("PUT", "order", **change).code)
    history = bench.raw(
        "GET", "orderAmendment", symbol=bench.symbol, origClientOrderId=order.client_order_id
    ).body
    bench.check("one amendment in its history", 1, len(history) if history else 0)
    bench.exchange.cancel_order(bench.symbol, order.client_order_id)


@card(17, "Countdown: cancels plain orders; what it does to conditional ones", GROUP)
def countdown(bench: Bench) -> None:
    quantity = bench.quantity()
    bench.market("BUY", quantity)
    stop = bench.conditional("STOP_MARKET", bench.far("BUY"), quantity)
    order = bench.limit("BUY", bench.far("BUY"))
    armed = bench.raw("POST", "countdownCancelAll", symbol=bench.symbol, countdownTime=2_000)
    bench.check("armed", 200, armed.status)

    def ended() -> bool:
        found = bench.exchange.order(bench.symbol, order.client_order_id)
        return found is not None and found.status in FINAL_ORDER

    bench.ensure("the plain order is cancelled by it", bool(bench.wait(ended, 10)))
    found = bench.exchange.algo_order(stop.client_algo_id)
    bench.observe(
        "the conditional order afterwards (reference section 9)",
        found.status if found else "not found",
    )
    bench.raw("POST", "countdownCancelAll", symbol=bench.symbol, countdownTime=0)
    bench.exchange.cancel_all_algo_orders(bench.symbol)
    bench.market("SELL", quantity, reduce_only=True)
