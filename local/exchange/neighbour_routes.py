"""What clients of USD-M futures ask Binance's other interfaces before they trade.

python-binance knocks at spot for a ping and the time, ccxt reads the wallet's list of coins. Only
that much of those interfaces exists here.
"""

from __future__ import annotations

from typing import Any

from local.exchange.endpoints import Call, Security, endpoint
from local.exchange.views import money
from shared.simulation.orders import ZERO


@endpoint("GET", "/api/v3/ping", security=Security.NONE)
def spot_ping(call: Call) -> Any:
    return {}


@endpoint("GET", "/api/v3/time", security=Security.NONE)
def spot_time(call: Call) -> Any:
    return {"serverTime": call.api.time()}


@endpoint("GET", "/sapi/v1/capital/config/getall", weight=10)
def coins(call: Call) -> Any:
    """The one coin of this exchange; nothing of it lies outside of the futures account."""
    nothing = money(ZERO)
    return [
        {
            "coin": "USDT",
            "name": "TetherUS",
            "depositAllEnable": False,
            "withdrawAllEnable": False,
            "trading": True,
            "isLegalMoney": False,
            "free": nothing,
            "locked": nothing,
            "freeze": nothing,
            "withdrawing": nothing,
            "ipoing": nothing,
            "ipoable": nothing,
            "storage": nothing,
            "networkList": [],
        }
    ]


@endpoint("GET", "/sapi/v1/margin/allPairs", security=Security.KEY)
def margin_pairs(call: Call) -> Any:
    """There is no margin trading here."""
    return []
