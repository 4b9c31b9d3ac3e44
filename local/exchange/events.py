"""User data events as the private stream sends them."""

from __future__ import annotations

from typing import Any

from local.exchange.views import Json, money, price_text
from shared.simulation.core import VenueCore, VenueEvent
from shared.simulation.filters import plain
from shared.simulation.margin import maintenance
from shared.simulation.orders import AlgoOrder, Order, Position, Trade


def user_events(core: VenueCore, event: VenueEvent) -> list[Json]:
    """What the owner is sent for one venue event, in order: a trade is told twice."""
    told = user_event(core, event)
    if event.kind == "ORDER" and event.execution == "TRADE" and event.trade is not None:
        return [_trade_lite(event.record, event.trade), told]
    return [told]


def user_event(core: VenueCore, event: VenueEvent) -> Json:
    """The JSON of one venue event."""
    head: Json = {"T": event.time, "E": event.time + 1}
    if event.kind == "ORDER":
        order = _order(event.record, event.execution, event.trade)
        return {"e": "ORDER_TRADE_UPDATE", **head, "o": order}
    if event.kind == "MARGIN":
        return _margin_call(core, event)
    if event.kind == "ALGO":
        return {"e": "ALGO_UPDATE", **head, "o": _algo(event.record)}
    if event.kind == "CONFIG":
        if not event.symbol:
            return {"e": "ACCOUNT_CONFIG_UPDATE", **head, "ai": {"j": event.record}}
        config = {"s": event.symbol, "l": event.leverage}
        return {"e": "ACCOUNT_CONFIG_UPDATE", **head, "ac": config}
    return {"e": "ACCOUNT_UPDATE", **head, "a": _account(core, event)}


def _trade_lite(order: Order, trade: Trade) -> Json:
    """The fast notice of a trade: no status, no fee."""
    return {
        "e": "TRADE_LITE",
        "T": trade.time,
        "E": trade.time + 1,
        "s": order.symbol,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "m": trade.maker,
        "c": order.client_order_id,
        "S": order.side,
        "L": plain(trade.price),
        "l": plain(trade.quantity),
        "t": trade.trade_id,
        "i": order.order_id,
    }


def _margin_call(core: VenueCore, event: VenueEvent) -> Json:
    """Positions near liquidation; the cross wallet only when cross positions are among them."""
    out: Json = {"e": "MARGIN_CALL", "E": event.time}
    if not event.isolated and event.cross_wallet is not None:
        out["cw"] = money(event.cross_wallet)
    out["p"] = [_endangered(core, position, event.isolated) for position in event.positions]
    return out


def _endangered(core: VenueCore, position: Position, isolated: bool) -> Json:
    mark = core.mark_price(position.symbol)
    notional = abs(position.quantity) * mark
    return {
        "s": position.symbol,
        "ps": position.side,
        "pa": plain(position.quantity),
        "mt": "ISOLATED" if isolated else "CROSSED",
        "iw": price_text(position.isolated_wallet),
        "mp": money(mark),
        "up": money(position.unrealized(mark)),
        "mm": price_text(maintenance(core.contract(position.symbol), notional)),
    }


def _order(order: Order, execution: str, trade: Trade | None) -> Json:
    out: Json = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "ap": price_text(order.average_price),
        "sp": plain(order.stop_price),
        "x": execution,
        "X": order.status,
        "i": order.order_id,
        "l": plain(trade.quantity) if trade else "0",
        "z": plain(order.executed),
        "L": plain(trade.price) if trade else "0",
        "T": order.update_time,
        "t": trade.trade_id if trade else 0,
        "b": "0",
        "a": "0",
        "m": bool(trade and trade.maker),
        "R": order.reduce_only,
        "wt": order.working_type,
        "ot": order.original_type,
        "ps": order.position_side,
        "cp": order.close_position,
        "pP": order.price_protect,
        "si": 0,
        "ss": 0,
        "rp": money(trade.realized_pnl) if trade else "0",
        "V": order.self_trade_prevention,
        "pm": order.price_match,
        "gtd": order.good_till,
        "er": str(order.expiry_reason),
    }
    if execution == "AMENDMENT" and order.modify_id is not None:
        out["M"] = order.modify_id
    if trade and trade.commission:
        out["N"] = "USDT"
        out["n"] = money(trade.commission)
    return out


def _algo(algo: AlgoOrder) -> Json:
    out: Json = {
        "caid": algo.client_algo_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.type,
        "s": algo.symbol,
        "S": algo.side,
        "ps": algo.position_side,
        "f": algo.time_in_force,
        "q": plain(algo.quantity),
        "X": algo.status,
        "ai": str(algo.order_id) if algo.order_id else "",
        "tp": plain(algo.trigger_price),
        "p": plain(algo.price),
        "V": algo.self_trade_prevention,
        "wt": algo.working_type,
        "pm": algo.price_match,
        "cp": algo.close_position,
        "pP": algo.price_protect,
        "R": algo.reduce_only,
        "tt": algo.trigger_time,
        "gtd": algo.good_till,
    }
    if algo.order_id:
        out["ap"] = price_text(algo.actual_price)
        out["aq"] = plain(algo.actual_quantity)
        out["act"] = "LIMIT" if algo.type in ("STOP", "TAKE_PROFIT") else "MARKET"
    if algo.reject_reason:
        out["rm"] = algo.reject_reason
    if algo.type == "TRAILING_STOP_MARKET":
        out["ia"] = algo.activated
    return out


def _account(core: VenueCore, event: VenueEvent) -> Json:
    balances: list[Any] = []
    if event.wallet is not None and event.cross_wallet is not None:
        balances.append(
            {
                "a": "USDT",
                "wb": money(event.wallet),
                "cw": money(event.cross_wallet),
                "bc": money(event.balance_change),
            }
        )
    out: Json = {
        "m": event.execution,
        "B": balances,
        "P": [_position(core, p, event.isolated) for p in event.positions],
    }
    if event.execution == "FUNDING_FEE":
        out["S"] = event.symbol
    return out


def _position(core: VenueCore, position: Position, isolated: bool) -> Json:
    return {
        "s": position.symbol,
        "pa": plain(position.quantity),
        "ep": price_text(position.entry_price),
        "bep": price_text(position.break_even_price),
        "cr": money(position.realized),
        "up": money(position.unrealized(core.mark_price(position.symbol))),
        "mt": "isolated" if isolated else "cross",
        "iw": price_text(position.isolated_wallet),
        "ps": position.side,
    }
