"""The scenario through Binance's own connector, whose typed models read every answer."""

from __future__ import annotations

import sys
from typing import Any

from binance_common.configuration import ConfigurationRestAPI
from binance_common.errors import BadRequestError
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)
from binance_sdk_derivatives_trading_usds_futures.rest_api import models
from scenario import BTC, ETH, Reading, algo, fill, order, paid, position, tell


def run(url: str, key: str, secret: str) -> Reading:
    settings = ConfigurationRestAPI(
        api_key=key, api_secret=secret, base_path=url, timeout=10_000, compression=False
    )
    c = DerivativesTradingUsdsFutures(config_rest_api=settings).rest_api
    c.test_connectivity()
    symbols = {s.symbol for s in c.exchange_information().data().symbols}
    assert symbols == {BTC, ETH}, symbols
    c.change_initial_leverage(BTC, 10)
    c.change_margin_type(BTC, models.ChangeMarginTypeMarginTypeEnum.ISOLATED)
    buy, sell = models.NewOrderSideEnum.BUY, models.NewOrderSideEnum.SELL
    force = models.NewOrderTimeInForceEnum
    limit = models.NewOrderTypeEnum.LIMIT
    c.new_order(
        BTC,
        buy,
        limit,
        time_in_force=force.GTC,
        quantity=0.01,
        price=99000,
        new_client_order_id="limit",
    )
    c.new_order(
        BTC,
        buy,
        limit,
        time_in_force=force.GTX,
        quantity=0.01,
        price=98500,
        new_client_order_id="maker",
    )
    refused = []

    def try_(call: Any, *arguments: Any, **named: Any) -> None:
        try:
            call(*arguments, **named)
        except BadRequestError as error:
            refused.append(int(error.status_code))

    try_(c.new_order, BTC, buy, limit, time_in_force=force.GTX, quantity=0.01, price=101000)
    market: Any = {"new_order_resp_type": models.NewOrderNewOrderRespTypeEnum.RESULT}
    at_market = models.NewOrderTypeEnum.MARKET
    c.new_order(BTC, buy, at_market, quantity=0.02, **market)
    for kind, price, name in (
        (models.NewAlgoOrderTypeEnum.STOP_MARKET, 95000, "stop"),
        (models.NewAlgoOrderTypeEnum.TAKE_PROFIT_MARKET, 105000, "profit"),
    ):
        c.new_algo_order(
            models.NewAlgoOrderAlgoTypeEnum.CONDITIONAL,
            BTC,
            models.NewAlgoOrderSideEnum.SELL,
            kind,
            quantity=0.02,
            trigger_price=price,
            reduce_only=models.NewAlgoOrderReduceOnlyEnum.TRUE,
            client_algo_id=name,
        )
    c.modify_order(BTC, models.ModifyOrderSideEnum.BUY, 0.012, 98000, orig_client_order_id="limit")
    c.cancel_order(BTC, orig_client_order_id="maker")
    c.cancel_algo_order(client_algo_id="profit")
    reduce: Any = {"reduce_only": models.NewOrderReduceOnlyEnum.TRUE, **market}
    c.new_order(BTC, sell, at_market, quantity=0.005, **reduce)
    c.new_order(ETH, sell, at_market, quantity=0.5, **market)
    c.new_order(ETH, buy, at_market, quantity=0.5, **reduce)
    item = models.PlaceMultipleOrdersBatchOrdersParameterInner
    batch = {
        "symbol": BTC,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": 0.002,
        # The connector's own default is one its own check refuses.
        "reduceOnly": "false",
    }
    c.place_multiple_orders(
        [
            item.from_dict({**batch, "price": 97000, "newClientOrderId": "one"}),
            item.from_dict({**batch, "price": 96500, "newClientOrderId": "two"}),
        ]
    )
    c.cancel_multiple_orders(BTC, orig_client_order_id_list=["two"])
    c.modify_isolated_position_margin(BTC, 20, 1)
    c.modify_isolated_position_margin(BTC, 5, 2)
    conditional: Any = (models.NewAlgoOrderAlgoTypeEnum.CONDITIONAL, BTC)
    away = models.NewAlgoOrderSideEnum.SELL
    c.new_algo_order(
        *conditional,
        away,
        models.NewAlgoOrderTypeEnum.TRAILING_STOP_MARKET,
        quantity=0.005,
        reduce_only=models.NewAlgoOrderReduceOnlyEnum.TRUE,
        callback_rate=1,
        activate_price=105000,
        client_algo_id="trail",
    )
    c.cancel_algo_order(client_algo_id="trail")
    closing: Any = {"close_position": models.NewAlgoOrderClosePositionEnum.TRUE}
    stop = models.NewAlgoOrderTypeEnum.STOP_MARKET
    c.new_algo_order(
        *conditional, away, stop, trigger_price=90000, client_algo_id="close", **closing
    )
    try_(c.new_algo_order, *conditional, away, stop, trigger_price=89000, **closing)
    c.cancel_algo_order(client_algo_id="close")
    try_(c.new_order, ETH, sell, at_market, quantity=0.5, **reduce)
    account = c.account_information_v3().data()
    return Reading(
        wallet=float(account.total_wallet_balance),
        available=float(account.available_balance),
        positions=[
            position(p.symbol, p.position_amt, p.entry_price, p.isolated_wallet)
            for p in c.position_information_v3().data()
            if float(p.position_amt)
        ],
        orders=[
            order(o.client_order_id, o.side, o.price, o.orig_qty)
            for o in c.current_all_open_orders(BTC).data()
        ],
        algos=[
            algo(o.client_algo_id, o.order_type, o.trigger_price, o.quantity)
            for o in c.current_all_algo_open_orders(symbol=BTC).data()
        ],
        fills=[
            fill(t.symbol, t.side, t.price, t.qty, t.commission)
            for symbol in (BTC, ETH)
            for t in c.account_trade_list(symbol).data()
        ],
        income=[paid(i.income_type, i.income) for i in c.get_income_history().data()],
        refused=refused,
    )


if __name__ == "__main__":
    tell(run(*sys.argv[1:4]))
