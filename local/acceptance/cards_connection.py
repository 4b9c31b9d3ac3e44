"""Cards about the connection: clock, signatures, filters, limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from local.acceptance.bench import Bench, Reply
from local.acceptance.card import card
from shared.execution.binance.server_clock import ServerClock

GROUP = "connection"


@card(1, "Clock: the offset is measured; requests from elsewhere in time are refused", GROUP)
def clock(bench: Bench) -> None:
    sent = bench.clock.now_ms()
    server = bench.exchange.server_time()
    received = bench.clock.now_ms()
    bench.observe("offset of the exchange's clock, ms", server - (sent + received) // 2)
    bench.observe("round trip, ms", received - sent)
    bench.check("a signed request is accepted", 200, bench.raw("GET", "balance", version=3).status)
    for ahead, what in ((2_500, "2.5 s ahead"), (-10_000, "10 s behind, receive window 5 s")):
        skewed = ServerClock(bench.clock)
        bench.learn(skewed, ahead)
        reply = bench.raw("GET", "balance", version=3, server=skewed)
        bench.check(f"timestamp {what}", -1021, reply.code)


@card(2, "Signatures and keys: what is refused, and with which code", GROUP)
def signatures(bench: Bench) -> None:
    key = bench.credentials_probe()
    bench.ensure("an unknown key is refused", key.code in (-2014, -2015, -2008), key.code)
    bench.observe("unknown key: HTTP status and code", [key.status, key.code])
    # python-binance signs what is not encoded yet; the body it sends is.
    name = f"{bench.name()}:a/b"
    reply = bench.raw(
        "POST", "order/test", **_limit(bench, newClientOrderId=name, price=bench.far("BUY"))
    )
    bench.observe(
        "an id with ':' and '/', signed before encoding (reference section 9)",
        [reply.status, reply.code],
    )
    bench.ensure("it is accepted or refused as a signature", reply.code in (0, -1022), reply.code)


def _limit(bench: Bench, **changes: Any) -> dict[str, Any]:
    order = {
        "symbol": bench.symbol,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": bench.quantity(),
        **changes,
    }
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in order.items()
    }


@card(3, "Filters: the published ones are the enforced ones, each with its code", GROUP)
def filters(bench: Bench) -> None:
    i = bench.instrument
    bench.observe(
        "filters",
        {
            "tick": i.tick_size,
            "step": i.step_size,
            "marketStep": i.market_step_size,
            "minQuantity": i.min_quantity,
            "minNotional": i.min_notional,
            "multiplierUp": i.multiplier_up,
            "multiplierDown": i.multiplier_down,
            "marketTakeBound": i.market_take_bound,
        },
    )
    mark, far = bench.mark(), bench.far("BUY")
    most = max(i.max_quantity, i.market_max_quantity) + i.step_size
    dust = i.round_quantity(i.min_notional / far / 2, market=False)
    cases: list[tuple[str, set[int], dict[str, Any]]] = [
        ("too many decimals of the price", {-1111}, {"price": far + Decimal("0.00000001")}),
        ("price between two ticks", {-4014, -1111}, {"price": far + i.tick_size / 2}),
        ("too many decimals of the quantity", {-1111}, {"quantity": Decimal("0.123456789")}),
        ("quantity zero", {-4003}, {"quantity": 0}),
        ("quantity above the maximum", {-4005}, {"quantity": most}),
        (
            "buying far above the mark price",
            {-4016},
            {"price": i.round_price(mark * i.multiplier_up * 2, up=True)},
        ),
        ("an unknown symbol", {-1121}, {"symbol": "NOSUCHUSDT"}),
        ("a side that is none", {-1117}, {"side": "HOLD"}),
        ("no price", {-1102}, {"price": ""}),
        ("a malformed id", {-1100}, {"newClientOrderId": "a b"}),
        ("an id of 37 characters", {-4015}, {"newClientOrderId": "x" * 37}),
    ]
    if dust:
        cases.append(("below the minimum notional", {-4164}, {"quantity": dust}))
    for what, codes, change in cases:
        order = _limit(bench, **{"price": far, **change})
        if order["price"] == "":
            del order["price"]
        reply = bench.raw("POST", "order/test", **order)
        bench.ensure(what, reply.code in codes, reply.code)
    good = bench.raw("POST", "order/test", **_limit(bench, price=far))
    bench.check("a good order passes the same test", 200, good.status)


@card(4, "Rate limits: what the headers tell on each kind of answer", GROUP)
def headers(bench: Bench) -> None:
    def used(reply: Reply) -> int | None:
        value = reply.headers.get("x-mbx-used-weight-1m")
        return None if value is None else int(value)

    def public(path: str, **parameters: Any) -> Reply:
        return bench.raw("GET", path, signed=False, **parameters)

    first = public("time")
    second = public("time")
    costs: list[int | None] = [used(first), used(second)]
    bench.ensure("every answer tells the weight used", None not in costs, costs)
    same_minute = costs[0] is not None and costs[1] is not None and costs[1] > costs[0]
    if same_minute:
        bench.observe("weight of GET time by the header", (costs[1] or 0) - (costs[0] or 0))
    told: dict[str, Any] = {}
    for path, version in (("ticker/bookTicker", 1), ("ticker/price", 2), ("fundingRate", 1)):
        before = used(public("time"))
        reply = bench.raw("GET", path, version=version, signed=False, symbol=bench.symbol)
        told[path] = {"before": before, "header": used(reply)}
    bench.observe("used-weight header where it is said to be wrong or absent", told)
    accepted = bench.raw("POST", "order", **_limit(bench, price=bench.far("BUY")))
    bench.check("an order far from the market rests", "NEW", _field(accepted, "status"))
    bench.ensure(
        "an accepted order tells both order counts",
        {"x-mbx-order-count-10s", "x-mbx-order-count-1m"} <= set(accepted.headers),
    )
    refused = bench.raw("POST", "order", **_limit(bench, price=bench.far("BUY"), quantity=0))
    bench.observe(
        "order counts on a refused order",
        {k: v for k, v in refused.headers.items() if k.startswith("x-mbx-order")},
    )
    limits = bench.raw("GET", "rateLimit/order").body
    bench.observe("the account's own order limits", limits)
    bench.exchange.cancel_all_orders(bench.symbol)


def _field(reply: Reply, name: str) -> Any:
    return reply.body.get(name) if isinstance(reply.body, dict) else None


@card(5, "Leverage and margin type: set, read back, repeated, out of range", GROUP)
def leverage(bench: Bench) -> None:
    bench.exchange.set_leverage(bench.symbol, 2)
    bench.exchange.set_isolated(bench.symbol)
    config = bench.exchange.symbol_config(bench.symbol)
    bench.check("leverage read back", 2, config.leverage)
    bench.check("margin type read back", "ISOLATED", config.margin_type)
    bench.exchange.set_isolated(bench.symbol)
    again = bench.raw("POST", "marginType", symbol=bench.symbol, marginType="ISOLATED")
    bench.check("setting it again", -4046, again.code)
    beyond = bench.raw("POST", "leverage", symbol=bench.symbol, leverage=999)
    bench.check("leverage beyond every bracket", -4028, beyond.code)
    bench.limit("BUY", bench.far("BUY"))
    blocked = bench.raw("POST", "marginType", symbol=bench.symbol, marginType="CROSSED")
    bench.check("margin type with an open order", -4047, blocked.code)
    bench.exchange.cancel_all_orders(bench.symbol)
