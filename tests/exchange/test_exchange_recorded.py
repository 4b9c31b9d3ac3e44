"""Matching from a recorded stream: real trades, quotes and depth."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
from exchange_world import KEY, SECRET, in_process_client

from local.clock import VirtualClock
from local.exchange.__main__ import read_recording
from local.exchange.api import BinanceApi
from local.exchange.market_streams import feed_of
from shared.errors import MarketDataError
from shared.simulation.recorded import RecordedStream
from shared.simulation.venue import Venue

BTC = "BTCUSDT"
D = Decimal
START = 1_723_161_300_000
REAL = Path(__file__).parents[2].parent / "shared" / "market" / "BTCUSDT-stream-20240808.gz"


def line(kind: str, after: int, **data: object) -> str:
    body = {"e": kind, "s": BTC, "T": START + after, **data}
    return f"123 {json.dumps({'stream': 'x', 'data': body})}\n"


def trade(after: int, number: int, price: str, quantity: str = "1.000", sold: bool = False) -> str:
    return line("trade", after, t=number, p=price, q=quantity, X="MARKET", m=sold)


def quote(after: int, bid: str, ask: str, size: str = "2.000") -> str:
    return line("bookTicker", after, b=bid, B=size, a=ask, A=size)


#: A quiet start, then sellers go through 60,000, then a recovery.
LINES = [
    quote(0, "60009.90", "60010.00"),
    line(
        "depthUpdate",
        0,
        u=100,
        b=[["60009.80", "3.000"], ["60009.00", "10.000"], ["60010.50", "9.000"]],
        a=[["60010.10", "1.000"], ["60011.00", "50.000"]],
    ),
    trade(10, 1, "60010.00"),
    trade(900, 2, "60009.90", sold=True),
    line("trade", 950, t=3, p="50000.00", q="9.000", X="INSURANCE_FUND", m=False),
    quote(1500, "60000.00", "60000.10"),
    trade(1510, 4, "60000.00", "0.050", sold=True),
    line("depthUpdate", 1600, u=120, b=[["60009.00", "0.000"]], a=[["60000.20", "4.000"]]),
    trade(1710, 5, "59999.90", "0.500", sold=True),
    trade(1910, 6, "59999.90", "2.000", sold=True),
    quote(2500, "60020.00", "60020.10"),
    trade(2510, 7, "60020.10"),
]


class Desk:
    """One exchange on recorded lines."""

    def __init__(self, source: RecordedStream, start: int) -> None:
        self.source = source
        self.clock = VirtualClock(start)
        self.venue = Venue(source, start_ms=start)
        self.api = BinanceApi(self.venue, self.clock, {KEY: SECRET})
        self.client = in_process_client(self.api)

    def at(self, ms: int) -> None:
        self.clock.advance_to(ms)
        self.api.advance()


@pytest.fixture
def desk() -> Desk:
    return Desk(RecordedStream(LINES), START + 100)


def test_takers_meet_the_recorded_book(desk: Desk) -> None:
    book = desk.client.futures_order_book(symbol=BTC, limit=10)
    # What the diffs say inside of the touch is older than the quote.
    assert book["asks"] == [["60010.00", "2"], ["60010.10", "1"], ["60011.00", "50"]]
    assert book["bids"] == [["60009.90", "2"], ["60009.80", "3"], ["60009.00", "10"]]
    desk.venue.transfer(desk.venue.account(), D(100_000))
    answer = desk.client.futures_create_order(
        symbol=BTC, side="BUY", type="MARKET", quantity="4", newOrderRespType="RESULT"
    )
    assert answer["status"] == "FILLED"
    fills = desk.client.futures_account_trades(symbol=BTC)
    assert [(f["price"], f["qty"]) for f in fills] == [
        ("60010", "2"),
        ("60010.1", "1"),
        ("60011", "1"),
    ]


def test_a_resting_order_waits_until_trades_go_through_its_price(desk: Desk) -> None:
    desk.client.futures_create_order(
        symbol=BTC,
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        price="60000",
        quantity="0.100",
        newClientOrderId="r",
    )

    def executed() -> Decimal:
        return D(desk.client.futures_get_order(symbol=BTC, origClientOrderId="r")["executedQty"])

    desk.at(START + 1699)
    assert executed() == 0  # traded at the price, not through it
    desk.at(START + 1799)
    assert executed() == D("0.05")  # a tenth of that bar's half bitcoin
    desk.at(START + 2000)
    assert executed() == D("0.1")
    [*_, last] = desk.client.futures_account_trades(symbol=BTC)
    assert (last["price"], last["maker"]) == ("60000", True)


def test_a_stop_triggers_on_the_recorded_trades(desk: Desk) -> None:
    c = desk.client
    c.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.100")
    c.futures_create_algo_order(
        symbol=BTC,
        side="SELL",
        type="STOP_MARKET",
        triggerPrice="60000",
        quantity="0.100",
        reduceOnly="true",
        clientAlgoId="s",
    )
    desk.at(START + 1499)
    assert c.futures_get_algo_order(clientAlgoId="s")["algoStatus"] == "NEW"
    desk.at(START + 1600)
    done = c.futures_get_algo_order(clientAlgoId="s")
    assert (done["algoStatus"], done["actualPrice"]) == ("FINISHED", "60000")
    assert START + 1500 <= done["triggerTime"] < START + 1600


def test_the_tape_is_the_recording_without_the_venue_s_own_trades(desk: Desk) -> None:
    feed = feed_of(desk.venue, "btcusdt@aggTrade", "market")
    assert [m["a"] for m in feed.due()] == [1]
    desk.at(START + 1599)
    assert [m["a"] for m in feed.due()] == [2, 4]
    rows = desk.client.futures_recent_trades(symbol=BTC)
    assert [(r["id"], r["price"], r["isBuyerMaker"]) for r in rows] == [
        (1, "60010.00", False),
        (2, "60009.90", True),
        (4, "60000.00", True),
    ]
    assert desk.client.futures_historical_trades(symbol=BTC, fromId=2, limit=1)[0]["id"] == 2


def test_a_whole_book_replaces_what_changes_told_before_it() -> None:
    whole = {
        "lastUpdateId": 110,
        "E": START + 1200,
        "T": START + 1200,
        "bids": [["60009.90", "1.000"], ["60005.00", "7.000"]],
        "asks": [["60012.00", "6.000"]],
    }
    # It arrives late, as an answer does; the change that is already in it has a smaller number.
    late = line("depthUpdate", 1210, u=105, b=[["60005.00", "1.000"]], a=[])
    lines = [*LINES[:5], late, f"9 {json.dumps(whole)}", *LINES[5:]]
    source = RecordedStream(lines)
    contract = Venue(source, start_ms=START).core.contract(BTC)

    def side(after: int, buy: bool) -> list:
        levels = source.recorded_book(contract, START + after).levels(buy=buy)
        return [(str(p), str(q)) for p, q in levels]

    assert side(1100, buy=False)[1:] == [("60009.80", "3.000"), ("60009.00", "10.000")]
    assert side(1300, buy=False) == [("60009.90", "2.000"), ("60005.00", "7.000")]
    assert side(1300, buy=True) == [("60010.00", "2.000"), ("60012.00", "6.000")]


def test_any_moment_can_be_asked_again() -> None:
    source = RecordedStream(LINES)
    venue = Venue(source, start_ms=START)
    contract = venue.core.contract(BTC)

    def seen(after: int) -> list:
        return list(source.recorded_book(contract, START + after).levels(buy=False))

    early = seen(100)
    assert len(seen(2600)) == 3
    assert seen(100) == early


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty"),
        (["nonsense"], "line 1"),
        ([LINES[0], '{"data": {"e": "trade"}}'], "line 2"),
        ([LINES[0]], "trades and quotes"),
    ],
)
def test_what_is_no_recording_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(MarketDataError, match=message):
        RecordedStream(lines)


def test_bars_divide_a_minute() -> None:
    with pytest.raises(MarketDataError, match="divide"):
        RecordedStream(LINES, bar_ms=70)


def test_a_file_may_be_gzipped(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("".join(LINES))
    (tmp_path / "packed.gz").write_bytes(gzip.compress("".join(LINES).encode()))
    plain, packed = (read_recording(tmp_path / n) for n in ("plain.txt", "packed.gz"))
    assert plain.span == packed.span == (START + 10, START + 2510)


@pytest.mark.skipif(not REAL.exists(), reason="no recorded stream on this machine")
class TestRealRecording:
    @pytest.fixture(scope="class")
    def source(self) -> RecordedStream:
        return read_recording(REAL)

    def test_the_replayed_book_is_sane_and_prices_are_the_recording_s(
        self, source: RecordedStream
    ) -> None:
        first, last = source.span
        desk = Desk(source, first)
        crossed = 0
        for moment in range(first + 10_000, last, 7_001):
            desk.at(moment)
            book = desk.venue.core.book(BTC)
            asks = [p for p, _ in book.levels(buy=True)]
            bids = [p for p, _ in book.levels(buy=False)]
            assert asks == sorted(asks)
            assert bids == sorted(bids, reverse=True)
            assert min(len(asks), len(bids)) > 500
            crossed += bids[0] >= asks[0]
            trades = desk.client.futures_recent_trades(symbol=BTC, limit=1)
            assert abs(D(trades[0]["price"]) - bids[0]) < 60
        assert crossed == 0

    def test_candles_are_those_of_the_trades(self, source: RecordedStream) -> None:
        first, last = source.span
        desk = Desk(source, last)
        minute = first - first % 60_000 + 120_000
        [row] = desk.client.futures_klines(symbol=BTC, interval="1m", startTime=minute, limit=1)
        trades = source.recorded_prints(BTC, minute, minute + 60_000)
        prices = [t.price for t in trades]
        assert D(row[5]) == sum(t.quantity for t in trades)
        assert (D(row[2]), D(row[3]), D(row[4])) == (max(prices), min(prices), prices[-1])

    def test_round_trips_pay_the_spread_and_the_fees(self, source: RecordedStream) -> None:
        first, last = source.span
        desk = Desk(source, first + 5_000)
        c = desk.client
        for moment in range(first + 10_000, last - 20_000, 30_000):
            desk.at(moment)
            c.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.050")
            c.futures_create_order(
                symbol=BTC, side="SELL", type="MARKET", quantity="0.050", reduceOnly="true"
            )
        ledger = desk.venue.ledger()
        assert ledger.problems() == []
        assert len(ledger.fills) >= 20
        fees = sum(f.commission for f in ledger.fills)
        spread = -sum(f.realized_pnl for f in ledger.fills)
        assert spread > 0
        assert ledger.wallet_balance == 5000 - fees - spread
