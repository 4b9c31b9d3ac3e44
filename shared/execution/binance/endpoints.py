"""The REST endpoints in use: how python-binance calls them and what they cost.

Weights and order counts are those of Binance's own SDK 18.1.0.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec


class Priority(enum.IntEnum):
    """Who is served first when the rate budget runs low."""

    EXIT = 0  #: reduces exposure, protects it, or is needed to know it
    DATA = 1  #: market data and bookkeeping
    ENTRY = 2  #: adds exposure
    VIEW = 3  #: somebody only looks


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint.

    ``call`` is python-binance's method; ``weight_all`` the weight without a symbol where it
    differs; ``orders`` the cost on the order counters. ``idempotent`` says that repeating the
    request changes nothing more.
    """

    verb: Literal["GET", "POST", "DELETE"]
    path: str
    call: str
    weight: int
    weight_all: int = 0
    orders: int = 0
    signed: bool = True
    idempotent: bool = True
    priority: Priority = Priority.DATA

    @property
    def query(self) -> bool:
        """Whether nothing can be changed by it."""
        return self.verb == "GET"


def _market(path: str, call: str, weight: int, weight_all: int = 0) -> Endpoint:
    return Endpoint(
        verb="GET", path=path, call=call, weight=weight, weight_all=weight_all, signed=False
    )


def _query(path: str, call: str, weight: int, priority: Priority, weight_all: int = 0) -> Endpoint:
    return Endpoint(
        verb="GET", path=path, call=call, weight=weight, weight_all=weight_all, priority=priority
    )


def _cancel(path: str, call: str) -> Endpoint:
    return Endpoint(verb="DELETE", path=path, call=call, weight=1, priority=Priority.EXIT)


def _setting(path: str, call: str) -> Endpoint:
    return Endpoint(verb="POST", path=path, call=call, weight=1, priority=Priority.ENTRY)


def _order(path: str, call: str) -> Endpoint:
    return Endpoint(
        verb="POST",
        path=path,
        call=call,
        weight=0,
        orders=1,
        idempotent=False,
        priority=Priority.ENTRY,
    )


TIME = msgspec.structs.replace(_market("/fapi/v1/time", "futures_time", 1), priority=Priority.EXIT)
EXCHANGE_INFO = _market("/fapi/v1/exchangeInfo", "futures_exchange_info", 1)
KLINES = _market("/fapi/v1/klines", "futures_klines", 10)
PREMIUM_INDEX = _market("/fapi/v1/premiumIndex", "futures_mark_price", 1, 10)
BOOK_TICKER = _market("/fapi/v1/ticker/bookTicker", "futures_orderbook_ticker", 2)

ACCOUNT = _query("/fapi/v3/account", "futures_account", 5, Priority.EXIT)
POSITION_RISK = _query("/fapi/v3/positionRisk", "futures_position_information", 5, Priority.EXIT)
ACCOUNT_CONFIG = _query("/fapi/v1/accountConfig", "futures_account_config", 5, Priority.DATA)
SYMBOL_CONFIG = _query("/fapi/v1/symbolConfig", "futures_symbol_config", 5, Priority.DATA)
LEVERAGE_BRACKET = _query("/fapi/v1/leverageBracket", "futures_leverage_bracket", 1, Priority.DATA)
USER_TRADES = _query("/fapi/v1/userTrades", "futures_account_trades", 5, Priority.DATA)
INCOME = _query("/fapi/v1/income", "futures_income_history", 30, Priority.DATA)
LEVERAGE = _setting("/fapi/v1/leverage", "futures_change_leverage")
MARGIN_TYPE = _setting("/fapi/v1/marginType", "futures_change_margin_type")
POSITION_MODE = _setting("/fapi/v1/positionSide/dual", "futures_change_position_mode")

NEW_ORDER = _order("/fapi/v1/order", "futures_create_order")
TEST_ORDER = msgspec.structs.replace(
    _order("/fapi/v1/order/test", "futures_create_test_order"), orders=0, idempotent=True
)
GET_ORDER = _query("/fapi/v1/order", "futures_get_order", 1, Priority.EXIT)
ALL_ORDERS = _query("/fapi/v1/allOrders", "futures_get_all_orders", 5, Priority.DATA)
OPEN_ORDERS = _query("/fapi/v1/openOrders", "futures_get_open_orders", 1, Priority.EXIT, 40)
CANCEL_ORDER = _cancel("/fapi/v1/order", "futures_cancel_order")
CANCEL_ALL_ORDERS = _cancel("/fapi/v1/allOpenOrders", "futures_cancel_all_open_orders")

NEW_ALGO_ORDER = _order("/fapi/v1/algoOrder", "futures_create_algo_order")
GET_ALGO_ORDER = _query("/fapi/v1/algoOrder", "futures_get_algo_order", 1, Priority.EXIT)
OPEN_ALGO_ORDERS = _query(
    "/fapi/v1/openAlgoOrders", "futures_get_open_algo_orders", 1, Priority.EXIT, 40
)
ALL_ALGO_ORDERS = _query("/fapi/v1/allAlgoOrders", "futures_get_all_algo_orders", 5, Priority.DATA)
CANCEL_ALGO_ORDER = _cancel("/fapi/v1/algoOrder", "futures_cancel_algo_order")
CANCEL_ALL_ALGO_ORDERS = _cancel("/fapi/v1/algoOpenOrders", "futures_cancel_all_algo_open_orders")

#: Largest page of klines, and of userTrades, allOrders, allAlgoOrders and income.
KLINES_PAGE = 1500
HISTORY_PAGE = 1000


def klines_weight(limit: int) -> int:
    """Weight of one klines request by its ``limit``."""
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1000 else 10
