"""The scenario through ccxt's unified interface."""

from __future__ import annotations

import json
import sys
from typing import Any

import ccxt
from scenario import BTC, ETH, Reading, algo, fill, order, paid, position, tell

SYMBOL = {BTC: "BTC/USDT:USDT", ETH: "ETH/USDT:USDT"}
NAME = {symbol: name for name, symbol in SYMBOL.items()}


def run(url: str, key: str, secret: str) -> Reading:
    c = ccxt.binanceusdm({"apiKey": key, "secret": secret})
    for name, address in c.urls["api"].items():
        # Every interface of the same exchange: the path stays, the host changes.
        c.urls["api"][name] = url + "/" + address.split("/", 3)[3]
    btc, eth = SYMBOL[BTC], SYMBOL[ETH]
    c.load_markets()
    assert set(c.symbols) == {btc, eth}, c.symbols
    c.set_leverage(10, btc)
    c.set_margin_mode("isolated", btc)
    c.create_order(btc, "limit", "buy", 0.01, 99000, {"clientOrderId": "limit"})
    c.create_order(btc, "limit", "buy", 0.01, 98500, {"clientOrderId": "maker", "postOnly": True})
    refused = []

    def try_(*order: Any) -> None:
        try:
            c.create_order(*order)
        except ccxt.ExchangeError as error:
            refused.append(json.loads(str(error).removeprefix("binanceusdm "))["code"])

    try_(btc, "limit", "buy", 0.01, 101000, {"postOnly": True})
    c.create_order(btc, "market", "buy", 0.02)
    protect = {"reduceOnly": True}
    c.create_order(
        btc,
        "market",
        "sell",
        0.02,
        None,
        {**protect, "stopLossPrice": 95000, "clientOrderId": "stop"},
    )
    c.create_order(
        btc,
        "market",
        "sell",
        0.02,
        None,
        {**protect, "takeProfitPrice": 105000, "clientOrderId": "profit"},
    )
    [resting] = [o for o in c.fetch_open_orders(btc) if o["clientOrderId"] == "limit"]
    c.edit_order(resting["id"], btc, "limit", "buy", 0.012, 98000)
    c.cancel_order("", btc, {"clientOrderId": "maker"})
    [profit] = [
        o
        for o in c.fetch_open_orders(btc, params={"trigger": True})
        if o["clientOrderId"] == "profit"
    ]
    c.cancel_order(profit["id"], btc, {"trigger": True})
    c.create_order(btc, "market", "sell", 0.005, None, protect)
    c.create_order(eth, "market", "sell", 0.5)
    c.create_order(eth, "market", "buy", 0.5, None, protect)
    batch = {"symbol": btc, "type": "limit", "side": "buy", "amount": 0.002}
    placed = c.create_orders(
        [
            {**batch, "price": 97000, "params": {"clientOrderId": "one"}},
            {**batch, "price": 96500, "params": {"clientOrderId": "two"}},
        ]
    )
    c.cancel_orders([placed[1]["id"]], btc)
    c.add_margin(btc, 20)
    c.reduce_margin(btc, 5)
    trailing = {"trailingPercent": 1, "trailingTriggerPrice": 105000, "clientOrderId": "trail"}
    trail = c.create_order(btc, "market", "sell", 0.005, None, {**protect, **trailing})
    c.cancel_order(trail["id"], btc, {"trigger": True})
    closing = {"closePosition": True}
    at = {"stopLossPrice": 90000, "clientOrderId": "close"}
    close = c.create_order(btc, "market", "sell", 0.015, None, {**closing, **at})
    try_(btc, "market", "sell", 0.015, None, {**closing, "stopLossPrice": 89000})
    c.cancel_order(close["id"], btc, {"trigger": True})
    try_(eth, "market", "sell", 0.5, None, protect)
    balance = c.fetch_balance()
    return Reading(
        wallet=float(balance["info"]["totalWalletBalance"]),
        available=balance["USDT"]["free"],
        positions=[
            position(NAME[p["symbol"]], signed(p), p["entryPrice"], p["info"]["isolatedWallet"])
            for p in c.fetch_positions()
            if p["contracts"]
        ],
        orders=[
            order(o["clientOrderId"], o["side"], o["price"], o["amount"])
            for o in c.fetch_open_orders(btc)
        ],
        algos=[
            algo(o["clientOrderId"], o["info"]["orderType"], o["triggerPrice"], o["amount"])
            for o in c.fetch_open_orders(btc, params={"trigger": True})
        ],
        fills=[
            fill(NAME[t["symbol"]], t["side"], t["price"], t["amount"], t["fee"]["cost"])
            for symbol in (btc, eth)
            for t in c.fetch_my_trades(symbol)
        ],
        income=[paid(i["info"]["incomeType"], signed_income(i)) for i in c.fetch_ledger("USDT")],
        refused=refused,
    )


def signed(held: dict) -> float:
    return held["contracts"] if held["side"] == "long" else -held["contracts"]


def signed_income(entry: dict) -> float:
    return entry["amount"] if entry["direction"] == "in" else -entry["amount"]


if __name__ == "__main__":
    tell(run(*sys.argv[1:4]))
