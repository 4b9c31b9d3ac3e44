"""The scenario through ccxt's unified interface."""

from __future__ import annotations

import json
import sys

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
    refused = 0
    try:
        c.create_order(btc, "limit", "buy", 0.01, 101000, {"postOnly": True})
    except ccxt.InvalidOrder as error:
        refused = json.loads(str(error).removeprefix("binanceusdm "))["code"]
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
