"""Every answer through the typed models of Binance's own connector.

Tells which answers the strict models refused, and which documented fields answers lack.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import official_sdk
from binance_common.configuration import ConfigurationRestAPI
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)
from binance_sdk_derivatives_trading_usds_futures.rest_api import models
from pydantic import BaseModel
from scenario import BTC

Calls = list[tuple[str, Callable[[], Any]]]


class Complaints(logging.Handler):
    """The connector warns where an answer does not fit its model."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


def lacking(found: Any) -> Iterator[str]:
    """Fields of the models in an answer that the answer did not carry."""
    if isinstance(found, list):
        for one in found:
            yield from lacking(one)
    elif isinstance(found, BaseModel):
        if getattr(found, "is_oneof_model", bool)():
            yield from lacking(found.actual_instance)
            return
        for name, field in type(found).model_fields.items():
            value = getattr(found, name)
            if name == "additional_properties":
                continue
            if name not in found.model_fields_set or value is None:
                yield f"{type(found).__name__}.{field.alias or name}"
            yield from lacking(value)


def market_calls(c: Any) -> Calls:
    interval = models.KlineCandlestickDataIntervalEnum.INTERVAL_1m
    names = (
        *("test_connectivity", "check_server_time", "exchange_information"),
        *("get_funding_rate_info", "mark_price", "symbol_order_book_ticker"),
        *("symbol_price_ticker", "symbol_price_ticker_v2", "ticker24hr_price_change_statistics"),
        *("adl_risk", "get_funding_rate_history", "trading_schedule"),
    )
    of_symbol = (
        *("order_book", "recent_trades_list", "old_trades_lookup", "open_interest"),
        *("compressed_aggregate_trades_list", "query_index_price_constituents", "mark_price"),
        *("get_funding_rate_history", "adl_risk", "ticker24hr_price_change_statistics"),
        *("symbol_order_book_ticker", "symbol_price_ticker", "symbol_price_ticker_v2"),
    )
    perpetual = models.ContinuousContractKlineCandlestickDataContractTypeEnum.PERPETUAL
    return [
        *((name, getattr(c, name)) for name in names),
        *((name, lambda name=name: getattr(c, name)(symbol=BTC)) for name in of_symbol),
        ("klines", lambda: c.kline_candlestick_data(BTC, interval)),
        ("markPriceKlines", lambda: c.mark_price_kline_candlestick_data(BTC, interval)),
        ("indexPriceKlines", lambda: c.index_price_kline_candlestick_data(BTC, interval)),
        ("premiumIndexKlines", lambda: c.premium_index_kline_data(BTC, interval)),
        (
            "continuousKlines",
            lambda: c.continuous_contract_kline_candlestick_data(BTC, perpetual, interval),
        ),
    ]


def account_calls(c: Any) -> Calls:
    names = (
        *("account_information_v2", "account_information_v3", "futures_account_balance_v2"),
        *("futures_account_balance_v3", "futures_account_configuration", "get_bnb_burn_status"),
        *("get_current_multi_assets_mode", "get_current_position_mode", "get_income_history"),
        *("notional_and_leverage_brackets", "query_user_rate_limit", "symbol_configuration"),
        *("futures_trading_quantitative_rules_indicators", "position_information_v2"),
        *("position_information_v3", "position_adl_quantile_estimation", "users_force_orders"),
        *("current_all_open_orders", "current_all_algo_open_orders", "start_user_data_stream"),
        *("keepalive_user_data_stream", "close_user_data_stream"),
    )
    of_symbol = (
        *("user_commission_rate", "all_orders", "account_trade_list", "query_all_algo_orders"),
        *("get_position_margin_change_history", "notional_and_leverage_brackets"),
    )
    return [
        *((name, getattr(c, name)) for name in names),
        *((name, lambda name=name: getattr(c, name)(symbol=BTC)) for name in of_symbol),
        ("query_order", lambda: c.query_order(BTC, orig_client_order_id="limit")),
        (
            "query_current_open_order",
            lambda: c.query_current_open_order(BTC, orig_client_order_id="limit"),
        ),
        ("query_algo_order", lambda: c.query_algo_order(client_algo_id="stop")),
        (
            "get_order_modify_history",
            lambda: c.get_order_modify_history(BTC, orig_client_order_id="limit"),
        ),
    ]


def trade_calls(c: Any) -> Calls:
    buy, limit = models.NewOrderSideEnum.BUY, models.NewOrderTypeEnum.LIMIT
    item = models.PlaceMultipleOrdersBatchOrdersParameterInner
    change = models.ModifyMultipleOrdersBatchOrdersParameterInner
    order = {
        "symbol": BTC,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": 0.01,
        # The connector's own default is one its own check refuses.
        "reduceOnly": "false",
    }
    return [
        (
            "test_order",
            lambda: c.test_order(
                BTC,
                models.TestOrderSideEnum.BUY,
                models.TestOrderTypeEnum.MARKET,
                quantity=0.01,
            ),
        ),
        (
            "new_order",
            lambda: c.new_order(
                BTC,
                buy,
                limit,
                time_in_force=models.NewOrderTimeInForceEnum.GTC,
                quantity=0.01,
                price=97000,
                new_client_order_id="typed",
            ),
        ),
        (
            "modify_order",
            lambda: c.modify_order(
                BTC,
                models.ModifyOrderSideEnum.BUY,
                0.01,
                97100,
                orig_client_order_id="typed",
                modify_id=7,
            ),
        ),
        (
            "place_multiple_orders",
            lambda: c.place_multiple_orders(
                [
                    item.from_dict({**order, "price": 96000, "newClientOrderId": name})
                    for name in ("b1", "b2")
                ]
            ),
        ),
        (
            "modify_multiple_orders",
            lambda: c.modify_multiple_orders(
                [
                    change.from_dict(
                        {
                            "symbol": BTC,
                            "side": "BUY",
                            "quantity": 0.01,
                            "price": 96100,
                            "origClientOrderId": "b1",
                        }
                    )
                ]
            ),
        ),
        (
            "cancel_multiple_orders",
            lambda: c.cancel_multiple_orders(BTC, orig_client_order_id_list=["b1", "b2"]),
        ),
        ("cancel_order", lambda: c.cancel_order(BTC, orig_client_order_id="typed")),
        ("modify_isolated_position_margin", lambda: c.modify_isolated_position_margin(BTC, 10, 1)),
        ("get_position_margin_change_history", lambda: c.get_position_margin_change_history(BTC)),
        ("auto_cancel_all_open_orders", lambda: c.auto_cancel_all_open_orders(BTC, 60_000)),
        ("cancel_algo_order", lambda: c.cancel_algo_order(client_algo_id="stop")),
        ("cancel_all_open_orders", lambda: c.cancel_all_open_orders(BTC)),
        ("cancel_all_algo_open_orders", lambda: c.cancel_all_algo_open_orders(BTC)),
        ("toggle_bnb_burn", lambda: c.toggle_bnb_burn_on_futures_trade("true")),
        (
            "new_order",
            lambda: c.new_order(
                BTC,
                models.NewOrderSideEnum.SELL,
                models.NewOrderTypeEnum.MARKET,
                quantity=0.015,
            ),
        ),
        (
            "change_margin_type",
            lambda: c.change_margin_type(BTC, models.ChangeMarginTypeMarginTypeEnum.CROSSED),
        ),
        ("change_initial_leverage", lambda: c.change_initial_leverage(BTC, 5)),
        ("change_multi_assets_mode", lambda: c.change_multi_assets_mode("true")),
        ("change_position_mode", lambda: c.change_position_mode("true")),
    ]


def run(url: str, key: str, secret: str) -> dict[str, Any]:
    official_sdk.run(url, key, secret)
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    settings = ConfigurationRestAPI(
        api_key=key, api_secret=secret, base_path=url, timeout=10_000, compression=False
    )
    c = DerivativesTradingUsdsFutures(config_rest_api=settings).rest_api
    refused: dict[str, str] = {}
    missing: set[str] = set()
    raw: list[str] = []
    calls = [*market_calls(c), *account_calls(c), *trade_calls(c)]
    for name, call in calls:
        try:
            found = call().data()
        except Exception as error:  # noqa: BLE001 - told below, with the call's name
            refused[name] = f"{type(error).__name__}: {error} {getattr(error, 'error_message', '')}"
            continue
        if isinstance(found, dict) or (isinstance(found, list) and found[:1] == [{}]):
            raw.append(name)
        missing.update(lacking(found))
    return {
        "calls": len(calls),
        "refused": refused,
        "complaints": complaints.told,
        "missing": sorted(missing),
        "raw": raw,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(*sys.argv[1:4])))
