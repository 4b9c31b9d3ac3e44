"""Fills and income are read to the end, whichever end of a full page the venue returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.execution.binance.history import complete
from tests.binance.scripted import START_MS, Bench, Reply, Sent

DAY = 86_400_000
WEEK = 7 * DAY


class Ledger:
    """``userTrades`` and ``income`` of an account, with the venue's limits."""

    def __init__(self, bench: Bench, times: list[int], *, newest_first: bool) -> None:
        self.rows = [{"id": i + 1, "time": t} for i, t in enumerate(sorted(times))]
        self.newest_first = newest_first
        bench.script.on("GET", "/fapi/v1/userTrades", self.trades)
        bench.script.on("GET", "/fapi/v1/income", self.income)

    def page(self, sent: Sent) -> list[dict[str, int]]:
        p = sent.params
        limit = int(p["limit"])
        assert limit <= 1000
        if "fromId" in p:
            assert "startTime" not in p
            return [r for r in self.rows if r["id"] >= int(p["fromId"])][:limit]
        first, last = int(p["startTime"]), int(p["endTime"])
        assert last - first < WEEK
        rows = [r for r in self.rows if first <= r["time"] <= last]
        return rows[-limit:] if self.newest_first else rows[:limit]

    def trades(self, sent: Sent) -> Reply:
        return Reply([self.trade(r) for r in self.page(sent)])

    def income(self, sent: Sent) -> Reply:
        return Reply([self.entry(r) for r in self.page(sent)])

    @staticmethod
    def trade(row: dict[str, int]) -> dict[str, Any]:
        return {
            "buyer": False, "commission": "0.07819010", "commissionAsset": "USDT",
            "id": row["id"], "maker": False, "orderId": 25851813, "price": "7819.01",
            "qty": "0.002", "quoteQty": "15.63802", "realizedPnl": "-0.91539999",
            "side": "SELL", "positionSide": "BOTH", "symbol": "BTCUSDT", "time": row["time"],
        }  # fmt: skip

    @staticmethod
    def entry(row: dict[str, int]) -> dict[str, Any]:
        return {
            "symbol": "", "incomeType": "TRANSFER", "income": "-0.37500000", "asset": "USDT",
            "info": "TRANSFER", "time": row["time"], "tranId": row["id"], "tradeId": "",
        }  # fmt: skip


def spread(count: int, since: int) -> list[int]:
    """``count`` times, evenly over the span up to the start of the test."""
    return [since + (START_MS - since) * i // count for i in range(count)]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(
    ("times", "since"),
    [
        ([], START_MS - 30 * DAY),
        (spread(5, START_MS - 30 * DAY), START_MS - 30 * DAY),
        (spread(2500, START_MS - DAY), START_MS - DAY),
        (spread(2500, START_MS - 20 * DAY), START_MS - 20 * DAY),
        (spread(1000, START_MS - DAY), START_MS - DAY),
    ],
    ids=["none", "few over a month", "2500 in a day", "2500 in 20 days", "exactly a page"],
)
def test_everything_since_a_time(times: list[int], since: int, newest_first: bool) -> None:
    bench = Bench()
    Ledger(bench, times, newest_first=newest_first)
    everything = list(range(1, len(times) + 1))
    fills = bench.exchange.fills("BTCUSDT", start=since)
    assert [f.trade_id for f in fills] == everything
    entries = bench.exchange.income(start=since)
    assert [i.transaction_id for i in entries] == everything


def test_fills_from_an_id_on() -> None:
    bench = Bench()
    Ledger(bench, spread(2500, START_MS - DAY), newest_first=False)
    fills = bench.exchange.fills("BTCUSDT", from_id=400)
    assert [f.trade_id for f in fills] == list(range(400, 2501))
    assert len(bench.script.calls("GET", "/fapi/v1/userTrades")) == 3


def test_fills_of_the_last_week_by_default() -> None:
    bench = Bench()
    Ledger(bench, [START_MS - 8 * DAY, START_MS - 6 * DAY, START_MS], newest_first=False)
    assert [f.trade_id for f in bench.exchange.fills("BTCUSDT")] == [2, 3]


def test_more_fills_in_one_millisecond_than_a_page_holds() -> None:
    bench = Bench()
    Ledger(bench, [START_MS - 500] * 1500 + [START_MS - 100], newest_first=False)
    fills = bench.exchange.fills("BTCUSDT", start=START_MS - 1000)
    assert [f.trade_id for f in fills] == list(range(1, 1502))


@settings(deadline=None, max_examples=30)
@given(
    count=st.integers(0, 2600),
    days=st.integers(1, 20),
    seed=st.randoms(use_true_random=False),
)
def test_pages_that_are_shuffled_and_doubled(count: int, days: int, seed: Any) -> None:
    """Whatever order and however often the venue tells of an execution, it is one execution."""
    bench = Bench()
    since = START_MS - days * DAY
    ledger = Ledger(bench, spread(count, since), newest_first=False)
    honest = ledger.page

    def disturbed(sent: Sent) -> list[dict[str, int]]:
        rows = honest(sent)
        if len(rows) < 900:  # a full page stays a full page
            rows = rows + seed.sample(rows, len(rows) // 10)
        seed.shuffle(rows)
        return rows

    ledger.page = disturbed  # type: ignore[method-assign]
    everything = list(range(1, count + 1))
    assert [f.trade_id for f in bench.exchange.fills("BTCUSDT", start=since)] == everything
    assert [i.transaction_id for i in bench.exchange.income(start=since)] == everything


def test_transfers_without_an_id_are_all_told() -> None:
    bench = Bench()
    rows = [Ledger.entry({"id": 0, "time": START_MS - 100}) for _ in range(3)]
    bench.script.on("GET", "/fapi/v1/income", Reply(rows))
    assert len(bench.exchange.income(start=START_MS - 1000)) == 3


def test_income_between_two_times() -> None:
    bench = Bench()
    Ledger(bench, spread(10, START_MS - 10_000), newest_first=False)
    entries = bench.exchange.income(start=START_MS - 8000, end=START_MS - 5000)
    assert [i.time - START_MS for i in entries] == [-8000, -7000, -6000, -5000]


@settings(deadline=None, max_examples=60)
@given(
    times=st.lists(st.integers(0, 60), max_size=80),
    start=st.integers(0, 60),
    length=st.integers(0, 60),
    newest=st.booleans(),
)
def test_complete_yields_each_row_once(
    times: list[int], start: int, length: int, newest: bool
) -> None:
    """Rows of a millisecond that no page can hold are the one thing it cannot separate."""
    page = 4
    rows = [t for t in sorted(times) if sorted(times).count(t) < page]

    def fetch(first: int, last: int) -> list[int]:
        found = [t for t in rows if first <= t <= last]
        return found[-page:] if newest else found[:page]

    run: Callable[..., Any] = complete
    found = [t for part in run(fetch, start, start + length, page) for t in part]
    assert found == [t for t in rows if start <= t <= start + length]


def test_every_order_since_a_time_whoever_sent_it() -> None:
    """1,500 orders of one day: a full page is halved until nothing can be missing."""
    bench = Bench()
    first = START_MS - DAY
    placed = [{"id": i + 1, "time": first + i * 40_000} for i in range(1500)]

    def page(sent: Sent) -> Reply:
        p = sent.params
        assert int(p["endTime"]) - int(p["startTime"]) < WEEK
        rows = [r for r in placed if int(p["startTime"]) <= r["time"] <= int(p["endTime"])]
        return Reply([ordered(r) for r in rows[-int(p["limit"]) :]])

    bench.script.on("GET", "/fapi/v1/allOrders", page)
    found = bench.exchange.order_history("BTCUSDT", start=first + 1)
    assert [o.order_id for o in found] == [r["id"] for r in placed[1:]]
    assert [o.placed_at for o in found] == [r["time"] for r in placed[1:]]
    assert {o.time_in_force for o in found} == {"GTX"}


def test_every_conditional_order_since_a_time() -> None:
    bench = Bench()
    first = START_MS - 9 * DAY
    placed = [{"id": i + 1, "time": first + i * 400_000} for i in range(1900)]

    def page(sent: Sent) -> Reply:
        p = sent.params
        assert int(p["endTime"]) - int(p["startTime"]) < WEEK
        rows = [r for r in placed if int(p["startTime"]) <= r["time"] <= int(p["endTime"])]
        return Reply([conditional(r) for r in rows[-int(p["limit"]) :]])

    bench.script.on("GET", "/fapi/v1/allAlgoOrders", page)
    found = bench.exchange.algo_history("BTCUSDT", start=first + 1)
    assert [a.algo_id for a in found] == [r["id"] for r in placed[1:]]
    assert [a.placed_at for a in found] == [r["time"] for r in placed[1:]]
    assert {a.status for a in found} == {"CANCELED"}


def conditional(row: dict[str, int]) -> dict[str, Any]:
    return {
        "algoId": row["id"], "clientAlgoId": f"web_{row['id']}", "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET", "symbol": "BTCUSDT", "side": "SELL", "positionSide": "BOTH",
        "timeInForce": "GTC", "quantity": "0.01", "algoStatus": "CANCELED",
        "triggerPrice": "750.000", "price": "0", "workingType": "MARK_PRICE",
        "closePosition": False, "reduceOnly": True, "createTime": row["time"],
        "updateTime": row["time"] + 10, "triggerTime": 0, "actualOrderId": "",
    }  # fmt: skip


def ordered(row: dict[str, int]) -> dict[str, Any]:
    return {
        "avgPrice": "0.00000", "clientOrderId": f"web_{row['id']}", "cumQuote": "0",
        "executedQty": "0", "orderId": row["id"], "origQty": "0.40", "origType": "LIMIT",
        "price": "7000", "reduceOnly": False, "side": "BUY", "positionSide": "BOTH",
        "status": "CANCELED", "stopPrice": "0", "closePosition": False, "symbol": "BTCUSDT",
        "time": row["time"], "timeInForce": "GTX", "type": "LIMIT",
        "updateTime": row["time"] + 10, "workingType": "CONTRACT_PRICE", "priceProtect": False,
    }  # fmt: skip


def test_both_sides_of_a_trade_with_oneself_are_kept() -> None:
    bench = Bench()
    both = [
        {**Ledger.trade({"id": 5, "time": START_MS - 10}), "orderId": 1, "side": "BUY"},
        {**Ledger.trade({"id": 5, "time": START_MS - 10}), "orderId": 2},
    ]
    bench.script.on("GET", "/fapi/v1/userTrades", lambda sent: Reply(both))
    found = bench.exchange.fills("BTCUSDT", start=START_MS - DAY)
    assert [(f.trade_id, f.order_id, f.side) for f in found] == [(5, 1, "BUY"), (5, 2, "SELL")]
