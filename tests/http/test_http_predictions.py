"""The endpoints of models and predictions, behind the real HTTP server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.exchange.faults import ApiRequest, ApiResponse, Fault, error_answer, on
from shared.intelligence.features import FEATURE_SET, NAMES, feature_history, window
from shared.intelligence.library import SLOTS, library
from shared.market.candle import to_columns
from tests.http.serving import NOW, Serving, problem
from tests.intelligence.made_onnx import LOOKBACK, MAKERS, save, serving, trees

MINUTE = 60_000
#: The bar before the one that NOW lies in.
NEWEST = NOW - NOW % MINUTE - MINUTE
PREDICT, BATCH = "/api/predict", "/api/predict-batch"

Rows = Callable[[list[Any]], list[Any]]


@pytest.fixture(scope="module", autouse=True)
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("models")
    for name, make in MAKERS.items():
        save(folder, name, make())
    save(folder, "catboost", trees(4), timeframe="5m", symbols=("ADAUSDT",))
    save(folder, "gru", trees(5), feature_set="1-0123456789ab")
    with serving(folder):
        yield folder


def klines(served: Serving, change: Rows) -> list[str]:
    """Change the candles that the exchange answers with; its answers are counted in the list."""
    read: list[str] = []

    def after(request: ApiRequest, response: ApiResponse) -> ApiResponse:
        if request.path != "/fapi/v1/klines":
            return response
        read.append(request.query)
        return replace(response, body=json.dumps(change(json.loads(response.body))).encode())

    served.faults.after = after  # type: ignore[method-assign]
    return read


@pytest.fixture(autouse=True)
def rested(app: Serving) -> None:
    """Whatever other tests asked is not counted."""
    app.services.prediction_throttle._seen.clear()


def asked(app: Serving, body: Any, path: str = PREDICT) -> dict[str, Any]:
    answer = app.request("POST", path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_models_are_listed_with_their_state(app: Serving) -> None:
    found = app.request("GET", "/api/models").json()
    assert found["featureSet"] == FEATURE_SET
    by_name = {one["name"]: one for one in found["models"]}
    assert tuple(by_name) == SLOTS
    assert by_name["svm_rbf"] == {"name": "svm_rbf", "state": "missing"}
    assert by_name["gru"]["state"] == "refused"
    assert "feature set 1-0123456789ab" in by_name["gru"]["message"]
    card = by_name["lstm"]["card"]
    assert (card["kind"], card["lookback"], card["timeframe"]) == ("sequence", LOOKBACK, "1m")
    assert card["figures"]["log_loss"] == 1.05
    assert card["folds"] == 1
    assert "histograms" not in card


def test_a_prediction_is_what_the_models_say_of_the_last_closed_bar(app: Serving) -> None:
    found = asked(app, {"symbol": "BTCUSDT", "timeframe": "1m"})
    assert found["barOpenTime"] == NEWEST
    assert found["barCloseTime"] == NEWEST + MINUTE
    # The same from candles read here.
    candles = app.services.exchange.candles("BTCUSDT", "1m", end=NEWEST + MINUTE, limit=600)
    columns = to_columns(candles)
    assert found["close"] == columns.close[-1]
    assert found["features"] == dict(zip(NAMES, window(columns)[0].tolist(), strict=True))
    expected = {
        "lstm": library().model("lstm").probabilities(window(columns, LOOKBACK)[None])[0],
        "mlp": library().model("mlp").probabilities(window(columns))[0],
        "xgboost": library().model("xgboost").probabilities(window(columns))[0],
    }
    assert [one["model"] for one in found["models"]] == list(expected)
    for one in found["models"]:
        assert [one["down"], one["flat"], one["up"]] == expected[one["model"]].tolist()
        assert one["version"] == library().card(one["model"]).version
        assert one["trainedOnSymbol"] is True
    mean = sum(row[2] for row in expected.values()) / 3
    assert found["mean"]["up"] == pytest.approx(mean, abs=1e-12)
    assert [one["model"] for one in found["refused"]] == ["gru"]


def test_one_model_alone(app: Serving) -> None:
    found = asked(app, {"symbol": "ETHUSDT", "timeframe": "5m", "model": "catboost"})
    (one,) = found["models"]
    assert one["model"] == "catboost"
    assert one["trainedOnSymbol"] is False
    assert found["mean"] == {name: one[name] for name in ("down", "flat", "up")}
    assert found["barOpenTime"] % 300_000 == 0
    assert found["refused"] == []


REFUSED = [
    ({"symbol": "DOGEUSDT", "timeframe": "1m"}, 400, "unknown symbol 'DOGEUSDT'; use one of BTC"),
    ({"symbol": "BTCUSDT", "timeframe": "7m"}, 400, "unknown time frame '7m'"),
    ({"symbol": "BTCUSDT", "timeframe": "1h"}, 400, "no model was trained on bars of 1h; ask"),
    (
        {"symbol": "BTCUSDT", "timeframe": "5m", "model": "mlp"},
        400,
        "mlp was not trained on bars of 5m; ask about 1m",
    ),
    ({"symbol": "BTCUSDT", "timeframe": "1m", "model": "moon"}, 400, "unknown model 'moon'"),
    ({"symbol": "BTCUSDT", "timeframe": "1m", "model": "tcn"}, 503, "models/tcn.json is not there"),
    ({"symbol": "BTCUSDT", "timeframe": "1m", "model": "gru"}, 503, "feature set 1-0123456789ab"),
    ({"symbol": "BTCUSDT"}, 400, "missing required field `timeframe`"),
    ({"symbol": 5, "timeframe": "1m"}, 400, "$.symbol"),
    ({"symbol": "BTCUSDT", "timeframe": "1m", "modle": "mlp"}, 400, "unknown field `modle`"),
    ([], 400, "Expected `object`, got `array`"),
]


@pytest.mark.parametrize(("body", "status", "told"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_answered_is_told(app: Serving, body: Any, status: int, told: str) -> None:
    before = app.state()
    answer = app.request("POST", PREDICT, json=body)
    assert answer.status_code == status, answer.text
    assert told in problem(answer)
    assert app.state() == before


def test_a_batch_answers_each_for_itself(app: Serving) -> None:
    good = {"symbol": "BTCUSDT", "timeframe": "1m"}
    bad = [body for body, *_ in REFUSED[:7]]
    found = asked(app, {"requests": [good, *bad, good | {"symbol": "ETHUSDT"}]}, BATCH)
    first, *wrong, last = found["predictions"]
    assert first == asked(app, good)
    assert last["symbol"] == "ETHUSDT"
    assert last["models"]
    for one, (body, status, told) in zip(wrong, REFUSED[:7], strict=True):
        assert (one["symbol"], one["timeframe"]) == (body["symbol"], body["timeframe"])
        assert told in one["error"]["message"]
        kinds = {400: "InvalidInput", 503: "ConfigurationError"}
        assert one["error"]["kind"] == kinds[status]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"requests": []}, "requests has 0 entries; use 1 to 20"),
        ({"requests": [{"symbol": "BTCUSDT", "timeframe": "1m"}] * 21}, "requests has 21 entries"),
        ({"requests": [{"symbol": "BTCUSDT"}]}, "$.requests[0]"),
        ({}, "missing required field `requests`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_batch_is_bounded(app: Serving, body: Any, told: str) -> None:
    answer = app.request("POST", BATCH, json=body)
    assert answer.status_code == 400, answer.text
    assert told in problem(answer)


def test_sixty_a_minute_and_nobody_is_kept_from_clearing(app: Serving) -> None:
    body = {"symbol": "DOGEUSDT", "timeframe": "1m"}
    statuses = [app.request("POST", PREDICT, json=body).status_code for _ in range(61)]
    assert statuses == [400] * 60 + [429]
    answer = app.request("POST", BATCH, json={"requests": [body]})
    assert answer.status_code == 429
    assert "more than 60 requests for predictions within a minute" in problem(answer)
    app.services.throttle.admit()


# ---------------------------------------------------------------- with an application of its own
# These come last: what a function calls its services are those that were made last.


def test_candles_are_read_once_per_bar(fresh: Serving) -> None:
    body = {"symbol": "ETHUSDT", "timeframe": "1m"}
    # The application's own polls and windows ask for other numbers of candles.
    bars = f"limit={feature_history() + LOOKBACK - 1}&"
    queries = klines(fresh, lambda rows: rows)

    def read() -> int:
        return sum(bars in query and "symbol=ETHUSDT" in query for query in queries)

    first = asked(fresh, body)
    assert asked(fresh, body) == first
    assert asked(fresh, body | {"model": "mlp"})["barOpenTime"] == NEWEST
    assert read() == 1
    fresh.pass_time(60)
    assert asked(fresh, body)["barOpenTime"] == NEWEST + MINUTE
    assert read() == 2


@pytest.mark.parametrize(
    ("change", "status", "kind", "told"),
    [
        (lambda rows: rows[-40:], 400, "InvalidInput", "40 bars, the features of the last 8 need"),
        (lambda rows: rows[:300] + rows[301:], 502, "CandleGap", "1 candle(s) missing"),
        (lambda rows: [], 502, "MarketDataError", "the exchange has no candles"),
        (lambda rows: rows[:-2], 502, "MarketDataError", "has closed"),
        (lambda rows: [*rows[:9], [*rows[9][:2], "0", *rows[9][3:]], *rows[10:]], 502,
         "MarketDataError", "no candle can have these values"),
    ],
    ids=["young", "hole", "none", "late", "impossible"],
)  # fmt: skip
def test_candles_that_cannot_be_used_are_told(
    fresh: Serving, change: Rows, status: int, kind: str, told: str
) -> None:
    body = {"symbol": "BTCUSDT", "timeframe": "1m"}
    klines(fresh, change)
    answer = fresh.request("POST", PREDICT, json=body)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (status, kind)
    assert told in problem(answer)
    klines(fresh, lambda rows: rows)
    assert len(asked(fresh, body)["models"]) == 3


def test_an_exchange_that_is_down_is_told(fresh: Serving) -> None:
    down = error_answer(503, 0, "Service Unavailable.")
    fresh.faults.add(Fault(on("GET", "/fapi/v1/klines"), down, times=100))
    answer = fresh.request("POST", PREDICT, json={"symbol": "BTCUSDT", "timeframe": "1m"})
    assert answer.status_code == 502
    assert answer.json()["error"]["kind"] == "ExchangeUnavailable"
