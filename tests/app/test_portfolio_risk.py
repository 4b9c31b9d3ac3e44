"""GET /api/risk and POST /api/risk/stress on the embedded platform, with real positions."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from desk import ACCOUNT, OPEN_ALGOS, POSITIONS, UNAVAILABLE, Floor

from local.cli import risk
from local.cli.risk_page import page
from local.exchange.faults import ApiRequest, ApiResponse, Fault
from shared.errors import ExchangeUnavailable, InvalidInput
from shared.execution.histories import Histories
from shared.market.timeframe import DAY_MS
from shared.risk.decision import Decision, DecisionInputs, canonical_json
from shared.risk.gate import decide

Open = Callable[..., Floor]

#: A year of a market that falls by 20 % on two days: the tail of 99 %.
QUIET = 0.01


def year(seed: int, crash: float = -0.20) -> list[float]:
    drawn = np.clip(np.random.default_rng(seed).normal(0, QUIET, 370), -0.03, 0.03)
    drawn[100] = drawn[200] = crash
    return [float(x) for x in drawn]


BTC, ETH = year(1), year(2)


def asked(floor: Floor, query: str = "") -> dict[str, Any]:
    answer = floor.http("GET", f"/api/risk{query}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def played(floor: Floor, **body: Any) -> dict[str, Any]:
    answer = floor.http("POST", "/api/risk/stress", body)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def opened(open_floor: Open) -> Floor:
    floor = open_floor({"BTCUSDT": (), "ETHUSDT": (), "XRPUSDT": ()}, days={
        "BTCUSDT": BTC, "ETHUSDT": ETH,
    })  # fmt: skip
    floor.trade("BTCUSDT")
    floor.trade("ETHUSDT", "SELL")
    floor.minutes(2)
    assert floor.held("BTCUSDT") > 0 > floor.held("ETHUSDT")
    return floor


def test_nothing_held(open_floor: Open) -> None:
    floor = open_floor()
    found = asked(floor)
    assert found["notes"] == ["nothing is held"]
    assert found["valueAtRisk"]["decides"] == {"valueAtRisk": "0", "expectedShortfall": "0"}
    assert found["heatMap"]["rows"] == []
    assert played(floor)["results"][0]["pnl"] == "0"


def test_figures_are_those_of_the_positions_and_their_past(open_floor: Open) -> None:
    floor = opened(open_floor)
    found = asked(floor)
    held = {s: float(floor.held(s)) * floor.price(s) for s in ("BTCUSDT", "ETHUSDT")}
    told = {s: float(x) for s, x in found["holdings"].items()}
    assert told == pytest.approx(held, rel=0.01)
    # 365 days: those of the past and two flat ones of the minutes; the tail is 3.65 of them.
    past = {s: np.array([*r[-363:], 0.0, 0.0]) for s, r in (("BTCUSDT", BTC), ("ETHUSDT", ETH))}
    gains = np.sort(sum(told[s] * past[s] for s in told))
    tail = found["valueAtRisk"]["historical"]
    assert float(tail["valueAtRisk"]) == pytest.approx(-gains[3], rel=0.01)
    mean = -(gains[:3].sum() + 0.65 * gains[3]) / 3.65
    assert float(tail["expectedShortfall"]) == pytest.approx(mean, rel=0.01)
    normal = found["valueAtRisk"]["normal"]
    sigma = float(np.sqrt(np.mean(gains**2)))
    assert float(normal["valueAtRisk"]) == pytest.approx(2.3263 * sigma, rel=0.01)
    for method in ("bootstrap", "studentT"):
        one = found["valueAtRisk"][method]
        assert float(one["expectedShortfall"]) >= float(one["valueAtRisk"]) > 0
    assert found["historyDays"] == 365
    parts = {c["symbol"]: c for c in found["components"]}
    assert sum(float(c["expectedShortfall"]) for c in parts.values()) == pytest.approx(mean, 0.01)
    assert sum(c["shareOfShortfall"] for c in parts.values()) == pytest.approx(1.0, abs=1e-3)
    rows = {r["symbol"]: r for r in found["heatMap"]["rows"]}
    assert set(rows) == {"BTCUSDT", "ETHUSDT"}
    equity = float(found["equity"])
    exposure = rows["BTCUSDT"]["values"]["exposure"]
    assert exposure == pytest.approx(abs(told["BTCUSDT"]) / equity, rel=1e-3)
    assert all(0.01 < r["values"]["stopDistance"] < 0.05 for r in rows.values())
    assert max(r["shades"]["exposure"] for r in rows.values()) == 1.0
    ledger = floor.services.ledger.read()
    open_risk = sum((e.risk for e in ledger.entries.values()), Decimal(0))
    assert Decimal(found["heat"]["openRisk"]) == pytest.approx(open_risk, abs=Decimal("0.001"))
    assert found["heat"]["withoutStop"] == []
    limits = found["limits"]
    assert limits["maxHeat"]["value"] == found["heat"]["openRisk"]
    assert limits["maxValueAtRisk"]["value"] == found["valueAtRisk"]["decides"]["valueAtRisk"]
    assert float(limits["maxValueAtRisk"]["limit"]) == pytest.approx(equity / 10)
    # Every limit of docs/risk.md on the portfolio, each with its ceiling in code.
    shares = {"maxValueAtRisk": (0.1, 0.2), "maxExpectedShortfall": (0.15, 0.3),
              "maxMarginalShortfall": (0.075, 0.15), "maxHeat": (0.1, 0.2)}  # fmt: skip
    assert set(limits) == {*shares, "maxClusterNotional"}
    for name, (own, ceiling) in shares.items():
        told_limit = [float(limits[name][k]) for k in ("limit", "ceiling")]
        assert told_limit == pytest.approx([own * equity, ceiling * equity])
    assert [limits["maxClusterNotional"][k] for k in ("limit", "ceiling")] == ["2000", "5000"]
    # What one of the two adds to the other: by both methods, the larger of each portfolio counts.
    deciding = float(found["valueAtRisk"]["decides"]["expectedShortfall"])
    alone = [_shortfall(told[s] * past[s]) for s in told]
    marginal = float(limits["maxMarginalShortfall"]["value"])
    assert marginal == pytest.approx(max(0.0, deciding - min(alone)), abs=0.02 * deciding)


def _shortfall(gains: np.ndarray) -> float:
    """By history and by the normal distribution at 99 %, the larger: of 365 days 3.65 are the tail.

    The normal one is sigma times the density at the quantile over the tail's probability.
    """
    worst = np.sort(gains)
    by_history = -(worst[:3].sum() + 0.65 * worst[3]) / 3.65
    normal = float(np.sqrt(np.mean(gains**2))) * 0.0266521 / 0.01
    return float(max(by_history, normal))


def test_the_command_line_tells_it(
    open_floor: Open, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    floor = opened(open_floor)
    body = asked(floor)
    risk.tell(body)
    told = capsys.readouterr().out
    for word in (
        "historical (the past year)",
        "BTCUSDT",
        "heat map",
        "limit maxHeat",
        "cluster",
        "limit maxMarginalShortfall: ",
    ):
        assert word in told
    risk.tell_stress(played(floor))
    told = capsys.readouterr().out
    assert "2020-03-12" in told
    assert "2025-10-10 (approximate)" in told
    assert "only without stops: BTCUSDT" in told
    html = page(body)
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        assert f"<td>{symbol}</td>" in html


@pytest.mark.parametrize("pair", ["BTCUSDT", "=-0.1", "BTCUSDT="])
def test_a_move_that_is_none_is_told(pair: str) -> None:
    assert risk.shocks(["BTCUSDT=-0.2", "market=-0.1"]) == ({"BTCUSDT": "-0.2"}, "-0.1")
    with pytest.raises(InvalidInput, match="is no move"):
        risk.shocks([pair])


def test_the_past_is_asked_for_once_a_day(open_floor: Open) -> None:
    floor = opened(open_floor)
    seen: list[str] = []
    floor.session.before = lambda method, url: seen.append(url)  # type: ignore[assignment]
    first = asked(floor)
    assert sum("klines" in url for url in seen) <= 2
    seen.clear()
    again = asked(floor)
    assert not any("klines" in url for url in seen)
    assert again["valueAtRisk"]["studentT"] == first["valueAtRisk"]["studentT"]


def test_a_page_that_asks_costs_little(open_floor: Open) -> None:
    """Conditional orders of everything weigh forty, and every open page asks twice a minute."""
    floor = opened(open_floor)
    asked(floor)
    seen: list[tuple[str, bool]] = []

    def noted(request: ApiRequest) -> bool:
        seen.append((request.path, "symbol=" in request.query))
        return False

    floor.faults.add(Fault(matches=noted, answer=UNAVAILABLE))
    asked(floor)
    # Account and positions of weight 5, and the orders of each contract held, of weight 1.
    assert Counter(seen) == {
        (ACCOUNT[1], False): 1,
        (POSITIONS[1], False): 1,
        (OPEN_ALGOS[1], True): 2,
    }


def test_levels_may_be_chosen(open_floor: Open) -> None:
    floor = opened(open_floor)
    usual, longer = asked(floor), asked(floor, "?horizon=4&confidence=0.95&seed=3")
    assert (longer["confidence"], longer["horizonDays"]) == ("0.95", 4)
    at_95 = asked(floor, "?confidence=0.95")
    one, four = (float(x["valueAtRisk"]["normal"]["valueAtRisk"]) for x in (at_95, longer))
    assert four == pytest.approx(2 * one, rel=1e-3)
    assert one < float(usual["valueAtRisk"]["normal"]["valueAtRisk"])


def test_a_contract_without_a_past_is_assumed_and_said_so(open_floor: Open) -> None:
    floor = open_floor(days={"BTCUSDT": BTC})
    floor.trade("XRPUSDT")
    floor.minutes(2)
    found = asked(floor)
    (note,) = found["notes"]
    assert "too little history of XRPUSDT" in note
    notional = Decimal(found["holdings"]["XRPUSDT"])
    assert Decimal(found["valueAtRisk"]["decides"]["valueAtRisk"]) == pytest.approx(
        notional / 5, abs=Decimal("0.001")
    )


def test_a_crash_meets_stops_and_margins(open_floor: Open) -> None:
    floor = opened(open_floor)
    found = played(floor)
    assert len(found["results"]) >= 9
    losses = [float(r["pnl"]) for r in found["results"]]
    assert losses == sorted(losses)
    own = played(floor, shocks={"BTCUSDT": "-0.30"}, market="0", stopGap="0")
    (one,) = own["results"]
    btc, eth = one["positions"]
    # The stop was at most 5 % away: filled there, with the fee on top.
    assert (btc["outcome"], eth["outcome"], eth["shock"]) == ("stopped", "held", "0")
    stop = Decimal(str(floor.stops("BTCUSDT")[0].trigger_price))
    quantity, mark = floor.held("BTCUSDT"), Decimal(str(floor.price("BTCUSDT")))
    expected = quantity * (stop - mark) - quantity * stop * Decimal("0.0005")
    assert Decimal(btc["pnl"]) == pytest.approx(expected, abs=Decimal("0.05"))
    # Without it the margin of 5x, a fifth of the notional, would have been lost and no more.
    assert one["liquidatedWithoutStops"] == ["BTCUSDT"]
    margin = floor.account.position("BTCUSDT").isolated_wallet
    assert Decimal(one["pnlWithoutStops"]) == pytest.approx(-margin, abs=Decimal("0.5"))
    rally = played(floor, market="0.25", shocks={"ETHUSDT": "0.25"}, stopGap="1")
    short = rally["results"][0]["positions"][1]
    assert (short["symbol"], short["outcome"]) == ("ETHUSDT", "liquidated")


def test_a_contract_follows_the_market_though_that_is_not_held(open_floor: Open) -> None:
    """Twice the moves of BTC on every day: a beta of two, whatever else is held."""
    floor = open_floor(
        {"BTCUSDT": (), "ETHUSDT": ()},
        days={"BTCUSDT": year(1, -0.1), "ETHUSDT": [2 * x for x in year(1, -0.1)]},
    )
    floor.trade("ETHUSDT")
    floor.minutes(2)
    assert floor.held("ETHUSDT") > 0 == floor.held("BTCUSDT")
    ((position,),) = [r["positions"] for r in played(floor, market="-0.1")["results"]]
    assert position["shockFrom"] == "beta"
    assert float(position["shock"]) == pytest.approx(-0.2, abs=0.001)
    # What tells the risk of the portfolio does not count what is not held.
    assert asked(floor)["correlations"] == {}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?confidence=2", "confidence is 2"),
        ("?confidence=x", "confidence is 'x'"),
        ("?confidence=NaN", "confidence is NaN"),
        ("?horizon=0", "horizon is 0 days"),
        ("?horizon=-1", "horizon is '-1'"),
    ],
)
def test_levels_that_are_none_are_refused(open_floor: Open, query: str, says: str) -> None:
    floor = open_floor()
    answer = floor.http("GET", f"/api/risk{query}")
    assert answer.status == 400
    assert says in json.loads(answer.body)["error"]["message"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"scenarios": ["1929"]}, "unknown scenario '1929'"),
        ({"shocks": {"BTCUSDT": "-2"}}, "move of BTCUSDT"),
        ({"shock": {}}, "cannot be used"),
        ({"stopGap": "2"}, "stopGap is 2"),
    ],
)
def test_scenarios_that_are_none_are_refused(
    open_floor: Open, body: dict[str, Any], says: str
) -> None:
    floor = open_floor()
    answer = floor.http("POST", "/api/risk/stress", body)
    assert answer.status == 400
    assert says in json.loads(answer.body)["error"]["message"]
    assert floor.http("POST", "/api/risk/stress", {}, key=False).status == 401
    assert floor.http("GET", "/api/risk", key=False).status == 401


# ---------------------------------------------------------------- the gate

KLINES = ("GET", "/fapi/v1/klines")


def decisions(floor: Floor) -> list[tuple[DecisionInputs, Decision]]:
    return [
        (
            msgspec.convert(body["inputs"], DecisionInputs),
            msgspec.convert(body["decision"], Decision),
        )
        for body in floor.audit("decision")
    ]


#: limits | the second trade | whether it is opened, else the reason. About 400 and 500 USDT are
#: held; on the same days both fall by 20 %, twice a year.
SECOND: list[tuple[dict[str, str], str, str | None]] = [
    ({}, "BUY", None),
    ({"MAX_EXPECTED_SHORTFALL": "0.015"}, "BUY", "expected_shortfall"),
    ({"MAX_EXPECTED_SHORTFALL": "0.015"}, "SELL", None),
    ({"MAX_MARGINAL_SHORTFALL": "0.0105"}, "BUY", "marginal_shortfall"),
    ({"MAX_CLUSTER_NOTIONAL": "600"}, "BUY", "cluster_notional"),
    ({"MAX_CLUSTER_NOTIONAL": "600"}, "SELL", None),
    ({"MAX_CLUSTER_NOTIONAL": "600", "CLUSTER_CORRELATION": "0.9"}, "BUY", None),
    ({"MAX_HEAT": "0.003"}, "BUY", "heat"),
    ({"MAX_VALUE_AT_RISK": "0.015", "RISK_HORIZON_DAYS": "10"}, "BUY", "value_at_risk"),
]


@pytest.mark.parametrize(("limits", "side", "reason"), SECOND)
def test_the_second_position(
    open_floor: Open, limits: dict[str, str], side: str, reason: str | None
) -> None:
    floor = open_floor(
        {"BTCUSDT": (), "ETHUSDT": ()}, days={"BTCUSDT": BTC, "ETHUSDT": ETH}, settings=limits
    )
    floor.trade("BTCUSDT")
    floor.minutes(1)
    assert floor.held("BTCUSDT") > 0, decisions(floor)[0][1].reasons
    floor.trade("ETHUSDT", side)
    floor.minutes(1)
    (_, opened_), (inputs, judged) = decisions(floor)
    assert opened_.outcome == "approved"
    assert judged.reasons == (() if reason is None else (reason,))
    assert bool(floor.held("ETHUSDT")) == (reason is None)
    # The record holds what it was judged by: of both contracts, and of nothing else.
    assert inputs.history is not None
    assert sorted(inputs.history.returns) == ["BTCUSDT", "ETHUSDT"]
    assert canonical_json(decide(inputs)) == canonical_json(judged)


def test_signals_of_one_instant_do_not_exceed_it_together(open_floor: Open) -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
    floor = open_floor(
        dict.fromkeys(symbols, ()),
        days=dict.fromkeys(symbols, BTC),
        settings={"MAX_CLUSTER_NOTIONAL": "1000"},
    )
    for symbol in symbols:
        floor.trade(symbol)
    floor.minutes(2)
    held = sum(abs(float(floor.held(s))) * floor.price(s) for s in symbols)
    assert 400 < held <= 1000
    refused = [d.reasons for _, d in decisions(floor) if d.outcome == "declined"]
    assert refused == [("cluster_notional",)] * 2
    assert len(decisions(floor)) == 4


def test_without_any_past_the_loss_is_assumed(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": ()}, settings={"MAX_VALUE_AT_RISK": "0.015"})
    floor.trade("BTCUSDT")
    floor.minutes(1)
    ((inputs, judged),) = decisions(floor)
    assert judged.reasons == ("value_at_risk",)
    (check,) = [c for c in judged.checks if c.name == "value_at_risk"]
    assert "assumed for BTCUSDT" in check.detail
    # A few days of minutes are known, and too few to say anything.
    assert inputs.history is not None
    assert inputs.history.series("BTCUSDT") is None


def test_a_past_that_cannot_be_had_opens_nothing(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": ()}, days={"BTCUSDT": BTC})
    floor.break_next(KLINES, UNAVAILABLE, times=1000, seconds=90)
    floor.trade("BTCUSDT")
    floor.minutes(1)
    assert floor.held() == 0
    assert "snapshot-failed" in floor.alerts()
    floor.minutes(5)
    floor.trade("BTCUSDT")
    floor.minutes(1)
    assert floor.held() > 0


def test_yesterdays_past_does_for_today_and_no_longer(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": ()}, days={"BTCUSDT": BTC}, durable=False, minutes=4320)
    histories = floor.services.histories
    known = histories.of(["BTCUSDT"])
    assert known.end == floor.clock.now_ms() // DAY_MS * DAY_MS
    floor.break_next(KLINES, UNAVAILABLE, times=1000)
    floor.clock.sleep(86_400)
    assert histories.of(["BTCUSDT"]) == known
    floor.clock.sleep(86_400)
    with pytest.raises(ExchangeUnavailable):
        histories.of(["BTCUSDT"])


def test_a_question_that_failed_is_not_asked_again_at_once(open_floor: Open) -> None:
    """Every decision of that minute would wait for the same answer that does not come."""
    floor = open_floor({"BTCUSDT": ()}, days={"BTCUSDT": BTC}, durable=False, minutes=4320)
    histories = floor.services.histories
    known = histories.of(["BTCUSDT"])
    floor.break_next(KLINES, UNAVAILABLE, times=1000, seconds=86_400 + 30)
    floor.clock.sleep(86_400)
    asked_for: list[str] = []
    floor.session.before = lambda method, url: asked_for.append(url)  # type: ignore[assignment]
    assert histories.of(["BTCUSDT"]) == known
    assert any("klines" in url for url in asked_for)
    asked_for.clear()
    assert histories.of(["BTCUSDT"]) == known
    assert asked_for == []
    floor.clock.sleep(61)
    assert histories.of(["BTCUSDT"]).end == known.end + DAY_MS


def test_decisions_of_one_instant_ask_once(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": ()}, days={"BTCUSDT": BTC}, durable=False)
    histories = floor.services.histories
    asked_for: list[str] = []
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait()
        histories.of(["BTCUSDT"])

    floor.session.before = lambda method, url: asked_for.append(url)  # type: ignore[assignment]
    with ThreadPoolExecutor(8) as pool:
        for one in [pool.submit(ask) for _ in range(8)]:
            one.result()
    assert sum("klines" in url for url in asked_for) == 1


def test_who_waited_for_an_answer_that_did_not_come_does_not_wait_again(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": ()}, days={"BTCUSDT": BTC}, durable=False)
    came = threading.Event()

    class Clock:
        """Tells when the second one has come."""

        sleep = staticmethod(floor.clock.sleep)

        def now_ms(self) -> int:
            now = floor.clock.now_ms()
            if threading.current_thread() is not threading.main_thread():
                came.set()
            return now

    histories = Histories(floor.services.exchange, Clock())
    floor.break_next(KLINES, UNAVAILABLE, times=1000)
    asked_for: list[threading.Thread] = []

    def noted(method: str, url: str) -> None:
        if "klines" in url:
            asked_for.append(threading.current_thread())
            if len(asked_for) == 1:
                second.start()
                assert came.wait(60)
                floor.clock.sleep(10)

    refused: list[ExchangeUnavailable] = []

    def wait() -> None:
        try:
            histories.of(["BTCUSDT"])
        except ExchangeUnavailable as error:
            refused.append(error)

    second = threading.Thread(target=wait)
    floor.session.before = noted  # type: ignore[assignment]
    wait()
    second.join()
    assert len(refused) == 2
    assert second not in asked_for
    # Whoever comes later asks.
    before = len(asked_for)
    wait()
    assert len(asked_for) > before


def test_a_new_day_is_added_to_what_is_known(open_floor: Open) -> None:
    floor = open_floor(
        {"BTCUSDT": [(1000, 0.01), (2000, -0.02), (4000, 0.03)]},
        days={"BTCUSDT": BTC},
        durable=False,
        minutes=4320,
    )
    kept = floor.services.histories
    kept.of(["BTCUSDT"])
    asked_for: list[str] = []
    floor.session.before = lambda method, url: asked_for.append(url)  # type: ignore[assignment]
    for days in (1, 2):
        floor.clock.sleep(days * 86_400)
        fresh = Histories(floor.services.exchange, floor.clock).of(["BTCUSDT"])
        assert kept.of(["BTCUSDT"]) == fresh
        assert fresh.end == floor.clock.now_ms() // DAY_MS * DAY_MS
        assert any(r != "0" for r in fresh.returns["BTCUSDT"].split()[-days:])
    # Asked again within the day it asks nobody.
    asked_for.clear()
    kept.of(["BTCUSDT"])
    assert asked_for == []


def test_a_contract_that_the_exchange_does_not_know_has_no_past(open_floor: Open) -> None:
    floor = open_floor({"BTCUSDT": ()}, days={"BTCUSDT": BTC}, durable=False)
    found = floor.services.histories.of(["BTCUSDT", "GONEUSDT"])
    assert found.series("GONEUSDT") is None
    assert found.series("BTCUSDT") is not None


@pytest.mark.parametrize("days", [1, 2])
def test_a_past_that_ended_days_ago_says_nothing_of_today(open_floor: Open, days: int) -> None:
    """Whatever else is held: also where it is the only contract."""
    floor = open_floor({"BTCUSDT": ()}, days={"BTCUSDT": BTC}, durable=False, minutes=4320)
    query = "symbol=BTCUSDT&interval=1d&limit=400"
    status, headers, body = floor.api.handle(*KLINES, query=query)
    assert status == 200
    # Without the day that has not closed: the last one closed this morning.
    ended = json.dumps(json.loads(body)[:-1]).encode()
    floor.break_next(KLINES, ApiResponse(200, dict(headers), ended), times=1000)
    floor.clock.sleep(days * 86_400)
    found = floor.services.histories.of(["BTCUSDT"])
    assert (found.series("BTCUSDT") is None) == (days > 1)


# ---------------------------------------------------------------- Kelly


def closed(number: int, multiple: str, venue: str = "simulated") -> dict[str, Any]:
    return {
        "id": f"closed-{number}-{venue}",
        "account": "main",
        "symbol": "XRPUSDT",
        "closedAt": 1_000_000 + number,
        "rMultiple": multiple,
        "venue": venue,
    }


@pytest.mark.parametrize(
    ("trades", "size"),
    [
        (["1", "-1"] * 10 + ["1"] * 5, None),  # too few
        # 55 % won, even money: full Kelly 10 %, a hundredth of it risks 5 USDT on 5,000.
        (["1"] * 22 + ["-1"] * 18, 5.0),
        (["-1"] * 22 + ["1"] * 18, 0.0),
    ],
)
def test_the_record_of_the_account_decides(
    open_floor: Open, trades: list[str], size: float | None
) -> None:
    floor = open_floor(
        {"BTCUSDT": ()}, settings={"KELLY_FRACTION": "0.01", "KELLY_MIN_TRADES": "40"}
    )
    for number, multiple in enumerate(trades):
        floor.services.store.create("trades", closed(number, multiple))
        # What was made on another venue says nothing.
        floor.services.store.create("trades", closed(number, "-1", "demo"))
    floor.trade("BTCUSDT", strength=1.0)
    floor.minutes(1)
    ((inputs, judged),) = decisions(floor)
    assert inputs.record is not None
    assert inputs.record.trades == len(trades)
    if size is None:
        assert "kelly" not in judged.sizes
        assert floor.held() > 0
    else:
        risk = float(judged.sizes["kelly"]) * (0.02 + 0.0015)
        assert risk == pytest.approx(size, abs=0.01)
        assert (floor.held() > 0) == (size > 0)
