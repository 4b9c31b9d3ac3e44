"""What charts show, asked for behind the real HTTP server."""

from __future__ import annotations

import pytest

from shared.indicators.chart_found import found
from shared.indicators.chart_patterns import Rules
from shared.market.candle import to_columns
from shared.market.timeframe import duration_ms
from tests.http.serving import NOW, Serving, problem


@pytest.fixture(autouse=True)
def rested(app: Serving) -> None:
    """Whatever other tests asked is not counted."""
    app.services.prediction_throttle._seen.clear()


def test_patterns_are_those_of_the_candles(app: Serving) -> None:
    seen = 0
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for timeframe in ("1m", "3m", "5m"):
            told = app.request("GET", f"/api/patterns/{symbol}?timeframe={timeframe}").json()
            # The same from candles read here, and more of them: the answer does not depend on how
            # many there are.
            step = duration_ms(timeframe)
            closed = NOW - NOW % step
            candles = app.services.exchange.candles(symbol, timeframe, end=closed, limit=900)
            columns = to_columns(candles)
            expected = [
                one for one in found(columns, Rules()) if one.known > closed - Rules().span * step
            ]
            assert told["barCloseTime"] == closed
            assert told["close"] == columns.close[-1]
            assert [(p["kind"], p["known"], p["quality"]) for p in told["patterns"]] == [
                (one.kind, one.known, one.quality) for one in expected
            ]
            seen += len(expected)
    assert seen > 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("DOGEUSDT", "unknown symbol 'DOGEUSDT'; use one of BTC"),
        ("BTCUSDT?timeframe=7m", "unknown time frame '7m'"),
    ],
)
def test_what_cannot_be_asked(app: Serving, path: str, message: str) -> None:
    answer = app.request("GET", f"/api/patterns/{path}")
    assert answer.status_code == 400
    assert message in problem(answer)
