"""Parameter sweeps on the embedded platform, with everything that can get in their way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import desk
import msgspec
import numpy as np
import pytest
from desk import MIDNIGHT, Crash, Floor

from local.clock import VirtualClock
from local.configuration import DEMONSTRATION, configuration
from local.exchange.api import BinanceApi
from local.exchange.session import InProcessSession
from local.platform import SIMULATED_KEY, SIMULATED_SECRET, app_settings
from shared.bootstrap import Services
from shared.errors import InvalidInput
from shared.market.timeframe import DAY_MS
from shared.research import sweep as use_case
from shared.research.backtest import run
from shared.research.config import BacktestConfig, from_environment
from shared.research.market import source_of
from shared.research.runner import BacktestRunner
from shared.research.sweep_plan import SweepRequest, planned
from shared.research.switch import CLEAR_AFTER_HOURS
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

Open = Callable[..., Floor]

#: Two days before the floor's START are on the exchange as minutes; a sweep sees one of them.
DAY = "2025-05-04"
REQUEST: dict[str, Any] = {
    "symbols": ["BTCUSDT"],
    "timeframes": ["5m"],
    "start": DAY,
    "end": "2025-05-05",
    "grid": {"threshold": [0.1, 0.2, 0.3], "trend.weight": [1.0, 2.0], "RISK_PER_TRADE": [0.002]},
    "settings": configuration(DEMONSTRATION).rest,
    "engine": "exact",
    "minimum_trades": 1,
    "chunk_size": 1,
}


def restless(knots: Any, minutes: int, base: float) -> list[float]:
    """Prices with swings and noise in the past as well, where the floor's own are flat."""
    n = np.arange(minutes + desk.HISTORY + 1)
    noise = np.cumsum(np.random.default_rng(5).normal(0, 0.0004, len(n)))
    return [float(x) for x in base * (1 + 0.02 * np.sin(n / 200) + noise)]


@pytest.fixture
def floor(open_floor: Open, monkeypatch: pytest.MonkeyPatch) -> Floor:
    monkeypatch.setattr(desk, "path_of", restless)
    return open_floor({"BTCUSDT": ()})


def ask(floor: Floor, body: Any = None, path: str = "") -> tuple[int, dict[str, Any]]:
    answer = floor.http("POST", f"/api/research/sweeps{path}", REQUEST if body is None else body)
    return answer.status, json.loads(answer.body)


def look(floor: Floor, identity: str) -> dict[str, Any]:
    answer = floor.http("GET", f"/api/research/sweeps/{identity}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def results(floor: Floor, identity: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    query = ""
    while True:
        answer = floor.http("GET", f"/api/research/sweeps/{identity}/results{query}")
        page = json.loads(answer.body)
        rows += page["results"]
        if page["continuation"] is None:
            return rows
        query = f"?continuation={page['continuation']}"


def expected(floor: Floor) -> list[dict[str, Any]]:
    """The same sets, run one after the other without any of the machinery."""
    from shared.research.evaluation import Job, outcomes

    config = from_environment(
        REQUEST["settings"],
        symbols=("BTCUSDT",),
        timeframes=("5m",),
        start_ms=MIDNIGHT - DAY_MS,
        end_ms=MIDNIGHT,
        engine="exact",
    )
    market = floor.services.markets.of(config)
    sets = [
        {"RISK_PER_TRADE": 0.002, "threshold": t, "trend.weight": w}
        for t in (0.1, 0.2, 0.3)
        for w in (1.0, 2.0)
    ]
    jobs = [Job(params=s, start=config.start_ms, end=config.end_ms) for s in sets]
    found = outcomes(BacktestRunner(config, REQUEST["settings"]), market, jobs)
    return [
        {"index": i, "params": dict(o.params), "figures": o.figures} for i, o in enumerate(found)
    ]


def compared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: r[k] for k in ("index", "params", "figures")} for r in rows]


def test_a_grid_is_run_and_ranked(floor: Floor) -> None:
    status, started = ask(floor)
    assert status == 202, started
    assert (started["sets"], started["chunks"], started["state"]) == (6, 6, "running")
    floor.run(30)
    done = look(floor, started["id"])
    assert (done["state"], done["chunksDone"], done["problem"]) == ("done", 6, "")
    rows = results(floor, started["id"])
    assert compared(rows) == expected(floor)
    assert any(r["figures"]["trades"] for r in rows)
    scores = [r["score"] for r in done["best"]]
    assert scores == sorted((r["score"] for r in rows if r["score"] is not None), reverse=True)
    status = floor.workflow(done["workflow"])
    assert status["customStatus"]["done"] == status["customStatus"]["chunks"] == 6


def test_the_compiled_engine_comes_to_the_same(floor: Floor) -> None:
    body = {**REQUEST, "engine": "compiled", "chunk_size": 3}
    _, started = ask(floor, body)
    assert started["chunks"] == 2
    floor.run(30)
    rows = results(floor, started["id"])
    exact = expected(floor)
    for name in ("trades", "win_rate"):
        assert [r["figures"][name] for r in rows] == [r["figures"][name] for r in exact]
    for ours, theirs in zip(rows, exact, strict=True):
        assert ours["figures"]["return"] == pytest.approx(theirs["figures"]["return"], abs=1e-9)


def test_the_same_request_is_the_same_sweep(floor: Floor) -> None:
    _, first = ask(floor)
    floor.run(30)
    status, second = ask(floor)
    assert status == 200
    assert second["id"] == first["id"]
    assert second["state"] == "done"
    assert ask(floor, {**REQUEST, "costs": "2"})[1]["id"] != first["id"]


def test_the_venue_is_asked_for_the_history_of_the_shipped_plan() -> None:
    """A day of hours, and the eight months before it."""
    start = MIDNIGHT - DAY_MS
    clock = VirtualClock(MIDNIGHT + 5000)
    venue = Venue(SyntheticMarket(1, ("BTCUSDT",)), start_ms=clock.now_ms())
    api = BinanceApi(venue, clock, {SIMULATED_KEY: SIMULATED_SECRET})
    services = Services(
        app_settings("http://exchange.invalid", BORSA_TELEMETRY="false"),
        clock=clock,
        exchange_session=InProcessSession(api),
    )
    config = from_environment(
        {}, symbols=("BTCUSDT",), timeframes=("1h",), start_ms=start, end_ms=MIDNIGHT
    )
    market = services.markets.of(config)
    assert market["BTCUSDT"].warmup >= 5928
    # It says so when there is too little history for one signal.
    result = run(source_of(market), config)
    assert not any("begin late" in note for note in result.notes)


def test_a_list_of_sets(floor: Floor) -> None:
    body = {k: v for k, v in REQUEST.items() if k != "grid"}
    sets = [{"threshold": 0.25}, {"threshold": 0.35, "breakout.weight": 0}]
    _, started = ask(floor, {**body, "sets": sets})
    floor.run(30)
    assert [r["params"] for r in results(floor, started["id"])] == sets


def test_an_activity_that_dies_after_its_effect_is_run_again(floor: Floor) -> None:
    """The third chunk is stored and its activity dies before anybody hears of it, twice."""
    _, started = ask(floor)
    left = [2]

    def die(name: str, args: tuple[Any, ...]) -> None:
        if args[0] == "research" and name == "create" and args[1]["id"] == "chunk-00002":
            raise Crash

    def die_again(name: str, args: tuple[Any, ...]) -> None:
        if args[:1] == ("research",) and name == "create" and left[0]:
            left[0] -= 1
            raise Crash

    floor.store.after, floor.store.before = die, die_again
    floor.run(120)
    done = look(floor, started["id"])
    assert done["state"] == "done"
    assert left == [0]
    assert compared(results(floor, started["id"])) == expected(floor)


def test_cancelled_and_resumed(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.research.WAVE", 2)
    _, started = ask(floor)
    identity = started["id"]
    real = floor.store.after

    def stop_after_two(name: str, args: tuple[Any, ...]) -> None:
        if args[0] == "research" and name == "create" and args[1]["id"] == "chunk-00001":
            use_case.cancel(floor.services.store, floor.clock, identity)

    floor.store.after = stop_after_two
    floor.run(30)
    floor.store.after = real
    found = look(floor, identity)
    assert found["state"] == "cancelled"
    done = found["chunksDone"]
    assert 2 <= done < 6
    kept = results(floor, identity)
    run_again: list[str] = []
    floor.store.before = lambda name, args: (
        run_again.append(args[1]["id"]) if (args[0], name) == ("research", "create") else None
    )
    status, again = ask(floor, {}, f"/{identity}/resume")
    assert (status, again["state"]) == (202, "running")
    floor.run(30)
    found = look(floor, identity)
    assert (found["state"], found["chunksDone"], found["generation"]) == ("done", 6, 2)
    assert sorted(run_again) == [f"chunk-{n:05d}" for n in range(done, 6)]
    rows = results(floor, identity)
    assert rows[: len(kept)] == kept
    assert compared(rows) == expected(floor)
    assert ask(floor, {}, f"/{identity}/resume")[0] == 409
    # Cancelling what is done changes nothing.
    assert ask(floor, {}, f"/{identity}/cancel")[1]["state"] == "done"


def test_a_chunk_that_runs_twice_has_one_result(floor: Floor) -> None:
    _, started = ask(floor)
    floor.run(30)
    store = floor.services.store
    before = use_case.chunks(store, started["id"])

    def no_market(config: BacktestConfig) -> Any:
        raise AssertionError("a finished chunk needs no market")

    for number in range(6):
        use_case.run_chunk(store, started["id"], number, no_market)
    assert use_case.chunks(store, started["id"]) == before


def test_a_venue_that_is_away_makes_it_fail_and_resume(floor: Floor) -> None:
    """The history cannot be asked for a while."""
    from desk import UNAVAILABLE

    floor.break_next(("GET", "/fapi/v1/klines"), UNAVAILABLE, times=10_000, seconds=3600)
    _, started = ask(floor)
    floor.run(1800)
    found = look(floor, started["id"])
    assert found["state"] == "failed"
    assert "goes on where it stopped" in found["problem"] or found["problem"]
    floor.run(3600)
    assert ask(floor, {}, f"/{started['id']}/resume")[0] == 202
    floor.run(60)
    assert look(floor, started["id"])["state"] == "done"


def test_candles_of_a_folder(
    open_floor: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.research.data.series import Rows, Series
    from shared.research.data.store import encoded

    monkeypatch.setattr(desk, "path_of", restless)
    floor = open_floor({"BTCUSDT": ()}, settings={"RESEARCH_DATA": str(tmp_path)})
    source = floor.venue.core.source
    c = source.columns("BTCUSDT", source.first_time("BTCUSDT"), MIDNIGHT)
    rows = Rows(c.open_time, np.column_stack((c.open, c.high, c.low, c.close, c.volume)))
    series = Series("BTCUSDT", "candles", "1m")
    (tmp_path / "BTCUSDT-1m.parquet").write_bytes(encoded(series, rows))
    _, started = ask(floor)
    floor.run(60)
    assert look(floor, started["id"])["state"] == "done"
    (tmp_path / "BTCUSDT-1m.parquet").unlink()
    _, broken = ask(floor, {**REQUEST, "start": "2025-05-03", "end": "2025-05-04"})
    floor.run(60)
    found = look(floor, broken["id"])
    assert found["state"] == "failed"
    assert "no candle file" in found["problem"]


# ---------------------------------------------------------------- refused


def test_values_need_only_fit_somewhere_in_the_grid() -> None:
    """50 is above the usual slow average, not above those of this grid; 200 is above all."""
    body = {k: v for k, v in REQUEST.items() if k != "grid"}
    fits, never = (
        SweepRequest(**body, grid={"trend.fast": [10, fast], "trend.slow": [60, 120]})
        for fast in (50, 200)
    )
    assert planned(fits, MIDNIGHT + 9 * DAY_MS).sets == 4
    with pytest.raises(InvalidInput, match=r"fast \(200\) must be below slow"):
        planned(never, MIDNIGHT + 9 * DAY_MS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grid": {"threshold": "0.1:0.9:0.00001"}}, "more than 10,000"),
        ({"grid": {"a.b": [1]}}, "there is no parameter a.b"),
        ({"grid": {"threshold": [7]}}, "<= 1"),
        ({"grid": {"threshold": "0.1:0.9"}}, "needs steps"),
        ({"grid": None}, "either grid or sets"),
        ({"sets": [{"threshold": 0.3}]}, "either grid or sets"),
        ({"grid": None, "sets": []}, "sets is empty"),
        ({"start": "yesterday"}, "is no date"),
        ({"start": "2025-05-06"}, "is not before end"),
        ({"end": "2030-01-01"}, "in the future"),
        ({"symbols": ["NOPEUSDT"]}, "no contract for NOPEUSDT"),
        ({"timeframes": ["7m"]}, "TIMEFRAMES is '7m'"),
        ({"objective": "luck"}, "unknown objective"),
        ({"settings": {"MAX_LEVERAGE": "99"}}, "MAX_LEVERAGE"),
        ({"surprise": 1}, "surprise"),
        ({"chunk_size": 1000}, "use 0 to 200"),
        (
            {"start": "2020-01-01", "grid": {"threshold": "0.1001:0.9:0.0001"}},
            "bars to test; at most",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    floor: Floor, changes: dict[str, Any], said: str
) -> None:
    status, body = ask(floor, {**REQUEST, **changes})
    assert status == 400, body
    assert said in body["error"]["message"]
    assert floor.services.store.query("research", "x").documents == []


def test_too_many_candles_for_the_venue_is_told(floor: Floor) -> None:
    body = {**REQUEST, "timeframes": ["1m"], "start": "2025-03-01", "engine": "compiled"}
    _, started = ask(floor, body)
    floor.run(60)
    found = look(floor, started["id"])
    assert found["state"] == "failed"
    assert "set RESEARCH_DATA" in found["problem"]


def test_unknown_sweeps_are_not_found(floor: Floor) -> None:
    for method, path in (
        ("GET", ""),
        ("GET", "/results"),
        ("POST", "/cancel"),
        ("POST", "/resume"),
    ):
        answer = floor.http(method, f"/api/research/sweeps/sweep-0{path}", {})
        assert answer.status == 404, path


def test_with_real_money_the_app_only_trades(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    import msgspec

    live = msgspec.structs.replace(floor.services.settings, trading_stage="limited")
    monkeypatch.setitem(floor.services.__dict__, "settings", live)
    status, body = ask(floor)
    assert status == 409
    assert "deploy a second app" in body["error"]["message"]


def test_other_code_neither_resumes_nor_completes_a_sweep(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = ask(floor)
    floor.run(30)
    assert look(floor, first["id"])["state"] == "done"
    for module in ("sweep", "sweep_plan"):
        monkeypatch.setattr(f"shared.research.{module}.code_digest", lambda: "another")
    # The same request is another sweep, made by the code that is there now.
    status, second = ask(floor)
    assert status == 202
    assert second["id"] != first["id"]
    assert second["code"] == "another"
    use_case.cancel(floor.services.store, floor.services.clock, second["id"])
    floor.run(30)
    assert look(floor, second["id"])["state"] == "cancelled"
    monkeypatch.setattr("shared.research.sweep.code_digest", lambda: "a third")
    status, problem = ask(floor, {}, f"/{second['id']}/resume")
    assert status == 409
    assert "another version of the application" in json.dumps(problem)


def test_a_chunk_of_other_code_is_not_run(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.research.sweep.code_digest", lambda: "another")
    _, started = ask(floor)
    floor.run(30)
    done = look(floor, started["id"])
    assert (done["state"], done["chunksDone"]) == ("failed", 0)
    assert "another version of the application" in done["problem"]


def test_a_sweep_clears_the_kill_switch_as_the_command_line_does() -> None:
    request = SweepRequest(
        **{**REQUEST, "grid": {"threshold": [0.3]}},
    )
    now = MIDNIGHT + 10 * DAY_MS

    def after(request: SweepRequest) -> int:
        plan = planned(request, now)
        return use_case.configuration(plan.request, plan.start_ms, plan.end_ms).clear_after_ms

    assert after(request) == CLEAR_AFTER_HOURS * 3_600_000 == 24 * 3_600_000
    assert after(msgspec.structs.replace(request, clear_after=0.0)) == 0
    assert after(msgspec.structs.replace(request, clear_after=1.5)) == 5_400_000
