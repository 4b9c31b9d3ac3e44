"""Cards about the account: stream, emergency stop, reconciliation, fees, margin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from local.acceptance.bench import Bench, Skip
from local.acceptance.card import card

GROUP = "account"


@card(26, "User data stream: every step of an order and a stop is told, in order", GROUP)
def stream(bench: Bench) -> None:
    opened = bench.raw("POST", "listenKey")
    key = opened.body.get("listenKey", "")
    bench.ensure("a listen key is given", bool(key), len(key))
    same = bench.raw("POST", "listenKey").body.get("listenKey") == key
    bench.ensure("asking again gives the same key", same)
    heard = bench.listen(key)
    bench.observe("host", heard.host)
    try:
        quantity = bench.quantity()
        began = bench.clock.now_ms()
        order = bench.limit("BUY", bench.far("BUY"), quantity=quantity)
        bench.exchange.cancel_order(bench.symbol, order.client_order_id)
        bought = bench.market("BUY", quantity)
        stop = bench.conditional("STOP_MARKET", bench.far("BUY"), quantity)
        bench.exchange.cancel_algo_order(stop.client_algo_id)
        bench.market("SELL", quantity, reduce_only=True)
        expected = {
            ("ORDER_TRADE_UPDATE", order.client_order_id): ["NEW", "CANCELED"],
            ("ORDER_TRADE_UPDATE", bought.client_order_id): ["NEW", "FILLED"],
            ("ALGO_UPDATE", stop.client_algo_id): ["NEW", "CANCELED"],
        }

        def lives() -> dict[tuple[str, str], list[str]]:
            found: dict[tuple[str, str], list[str]] = {}
            for _, event in list(heard.events):
                inner = event.get("o", {})
                name = inner.get("c") or inner.get("caid") or ""
                life = found.setdefault((event["e"], name), [])
                if not life or life[-1] != inner.get("X"):
                    life.append(inner.get("X"))
            return found

        bench.wait(lambda: all(lives().get(k, [])[-1:] == v[-1:] for k, v in expected.items()), 20)
        told = lives()
        for key_, wanted in expected.items():
            life = [s for s in told.get(key_, []) if s != "PARTIALLY_FILLED"]
            bench.check(f"{key_[0]} of {key_[1]}", wanted, life)
        bench.wait(lambda: any(e["e"] == "ACCOUNT_UPDATE" for _, e in list(heard.events)), 20)
        kinds = [event["e"] for _, event in heard.events]
        bench.ensure("balances and positions are told", "ACCOUNT_UPDATE" in kinds)
        bench.observe("events in the order of arrival", kinds)
        bench.observe(
            "milliseconds from the first request to each event",
            [at - began for at, _ in heard.events],
        )
    finally:
        heard.close()
    bench.check("the key is closed", 200, bench.raw("DELETE", "listenKey").status)


@card(27, "Emergency stop: position, stop and resting order, then nothing", GROUP)
def emergency_stop(bench: Bench) -> None:
    from shared.execution import emergency

    foreign = {p.symbol for p in bench.exchange.positions()}
    foreign |= {o.symbol for o in bench.exchange.open_orders()}
    foreign |= {a.symbol for a in bench.exchange.open_algo_orders()}
    foreign -= {bench.symbol, bench.second}
    if foreign:
        raise Skip(f"the account holds {', '.join(sorted(foreign))}: it would be closed too")
    quantity = bench.quantity()
    bench.market("BUY", quantity)
    bench.conditional("STOP_MARKET", bench.far("BUY"), quantity)
    bench.limit("BUY", bench.far("BUY"))
    desk = bench.desk()
    began = bench.clock.now_ms()
    bench.check("latched for the first time", True, emergency.latch(desk, "manual", {}, "card"))
    result = emergency.flatten_account(desk, "acceptance")
    for attempt in range(1, 10):
        if result.flat:
            break
        bench.clock.sleep(1)
        result = emergency.flatten_account(desk, "acceptance", attempt)
    took = bench.clock.now_ms() - began
    bench.observe("milliseconds until verified flat", took)
    bench.ensure("the account is flat", result.flat, list(result.remaining))
    bench.check("no failure on the way", [], list(result.failures))
    bench.ensure("within ten seconds", took < 10_000, took)
    bench.check("no position", Decimal(0), bench.position())
    bench.check("no conditional order", [], bench.exchange.open_algo_orders(bench.symbol))


@card(28, "Reconciliation: trades, income and wallet tell the same story", GROUP)
def reconciliation(bench: Bench) -> None:
    began = bench.exchange.server_time()
    wallet = bench.exchange.account().wallet_balance
    quantity = bench.quantity()
    ids = {bench.market("BUY", quantity).order_id}
    ids.add(bench.market("SELL", quantity, reduce_only=True).order_id)

    def trades() -> list[Any]:
        found = bench.exchange.fills(bench.symbol, start=began - 1_000)
        return [f for f in found if f.order_id in ids]

    bench.wait(lambda: sum((f.quantity for f in trades()), Decimal(0)) == 2 * quantity, 20, 1.0)
    fills = trades()
    bench.check(
        "quantity of the trades", 2 * quantity, sum((f.quantity for f in fills), Decimal(0))
    )
    fees = -sum((f.commission for f in fills), Decimal(0))
    result = sum((f.realized_pnl for f in fills), Decimal(0))
    numbers = {str(f.trade_id) for f in fills}

    def booked(kind: str) -> Decimal:
        rows = bench.exchange.income(start=began - 1_000)
        return sum(
            (r.income for r in rows if r.income_type == kind and r.trade_id in numbers), Decimal(0)
        )

    # Income weighs 30 a look.
    bench.wait(lambda: booked("COMMISSION") == fees and booked("REALIZED_PNL") == result, 60, 5.0)
    bench.observe("milliseconds until income showed them", bench.exchange.server_time() - began)
    bench.check("income tells the fees of the trades", fees, booked("COMMISSION"))
    bench.check("income tells their profit and loss", result, booked("REALIZED_PNL"))
    rows = bench.exchange.income(start=began - 1_000)
    others = sum(
        (r.income for r in rows if r.trade_id not in numbers and r.time >= began), Decimal(0)
    )
    change = bench.exchange.account().wallet_balance - wallet
    bench.check("the wallet changed by their sum", fees + result + others, change)


@card(29, "Fees, quantitative rules, deleveraging: what the venue says of this account", GROUP)
def standing(bench: Bench) -> None:
    bench.check_position("flat before", Decimal(0))
    for symbol in (bench.symbol, bench.second, bench.symbol.replace("USDT", "USDC")):
        rate = bench.raw("GET", "commissionRate", symbol=symbol)
        bench.observe(f"commission rate of {symbol} (section 9)", rate.body)
    status = bench.raw("GET", "apiTradingStatus")
    bench.check("quantitative rules can be read", 200, status.status)
    bench.observe("quantitative rules (section 9: thresholds)", status.body)
    premium = bench.raw("GET", "premiumIndex", signed=False, symbol=bench.symbol)
    bench.observe("mark, index, funding", premium.body)
    bench.observe("brackets", bench.raw("GET", "leverageBracket", symbol=bench.symbol).body)
    quantity = bench.quantity()
    bench.market("BUY", quantity)
    bench.observe("deleveraging quantile (section 9)", bench.raw("GET", "adlQuantile").body)
    bench.market("SELL", quantity, reduce_only=True)


@card(30, "Margin of orders beside a position (section 9: formulas from memory)", GROUP)
def order_margin(bench: Bench) -> None:
    quantity = bench.quantity()
    if 3 * quantity * bench.mark() > bench.max_notional:
        raise Skip("three times the smallest order is more than --max-notional")
    bench.market("BUY", quantity)

    def margins() -> dict[str, Any]:
        body = bench.raw("GET", "account", version=3).body
        names = ("totalOpenOrderInitialMargin", "totalPositionInitialMargin", "availableBalance")
        return {name: body.get(name) for name in names}

    told = {"position alone": margins()}
    for what, share in (("selling as much", 1), ("selling twice as much", 2)):
        order = bench.limit("SELL", bench.far("SELL"), quantity=share * quantity)
        told[what] = margins()
        bench.exchange.cancel_order(bench.symbol, order.client_order_id)
    order = bench.limit("BUY", bench.far("BUY"), quantity=quantity)
    told["buying as much"] = margins()
    bench.exchange.cancel_order(bench.symbol, order.client_order_id)
    bench.observe("margins", told)
    bench.ensure("all of them were told", all(None not in row.values() for row in told.values()))
    bench.market("SELL", quantity, reduce_only=True)
