"""Everything happens at least once; nothing may happen twice."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from desk import PRICES, START, Floor

from shared.execution import assess, entry, guardian, journal
from shared.market.candle import Candle
from shared.market.events import encode
from shared.simulation.contracts import DEFAULT_CONTRACTS

D = Decimal
FULL = D("0.004")


def activities(floor: Floor, signal: Any) -> list[Any]:
    symbol = signal.symbol
    return [
        lambda: assess.assess(floor.desk, symbol, signal.id),
        lambda: entry.open_position(floor.desk, symbol, signal.id),
        lambda: guardian.confirm_protection(floor.desk, symbol, signal.id),
        lambda: journal.record_opened(floor.desk, symbol, signal.id),
    ]


def test_every_activity_twice(open_floor):
    floor = open_floor(durable=False)
    signal = floor.signal()
    for activity in activities(floor, signal):
        first = activity()
        before = len(records(floor))
        assert as_told(activity()) == as_told(first)
        # The second run adds nothing to the audit chain but what it observed itself.
        assert len(records(floor)) - before <= 1
    assert floor.held() == FULL
    assert len(floor.entries()) == 1
    assert len(floor.stops()) == len(floor.targets()) == 1
    assert floor.leaked() == ({}, [signal.id])


def records(floor: Floor) -> list[Any]:
    return list(floor.services.audit.records())


def as_told(result: Any) -> Any:
    """What a workflow sees of a result; the reason in words may differ."""
    return result.status if isinstance(result, entry.EntryResult) else result


def test_whole_workflow_again_after_it_has_finished(open_floor):
    """The extension runs a finished instance again when its id is started."""
    floor = open_floor()
    signal = floor.trade()
    floor.run(5)
    floor.start(signal)
    floor.run(5)
    assert floor.outcome(signal)["outcome"] == "protected"
    assert floor.held() == FULL
    assert len(floor.entries()) == 1
    assert len(floor.stops()) == 1
    assert [e["type"] for e in floor.events("executions")].count("opened") == 2  # same id
    assert len({e["id"] for e in floor.events("executions")}) == 1


def test_running_workflow_is_not_started_again(open_floor):
    from desk import ORDER, UNKNOWN_503

    floor = open_floor()
    floor.break_next(ORDER, UNKNOWN_503, executed=True)
    signal = floor.signal()

    async def twice() -> list[int]:
        path = f"/runtime/webhooks/durabletask/orchestrators/trade_workflow/{signal.id}"
        payload = {"symbol": signal.symbol, "signal": signal.id}
        return [(await floor.send("POST", path, payload)).status for _ in range(2)]

    assert floor.wait(twice()) == [202, 409]
    floor.run(30)
    assert floor.held() == FULL
    assert len(floor.entries()) == 1


def test_old_workflow_started_again_does_not_touch_the_next_position(open_floor):
    """The first trade is over; its id is started once more while a second one is open."""
    floor = open_floor({"BTCUSDT": [(2, 0), (4, -0.03), (6, -0.03)]})
    first = floor.trade()
    floor.minutes(10)
    assert len(floor.trades()) == 1
    second = floor.trade()
    floor.run(10)
    (stop,) = floor.stops()
    floor.start(first)
    floor.run(20)
    assert floor.held() == FULL or floor.held() > 0
    assert floor.stops() == [stop]
    (record,) = floor.documents("positions")
    assert record["decisionId"] == second.id
    assert record["state"] == "open"
    assert len(floor.trades()) == 1
    assert floor.outcome(first)["outcome"] == "flat"


def test_late_refusal_cannot_abandon_what_another_run_has_opened(open_floor):
    """Two runs of one activity: the second finds its own position in the way of the limits."""
    floor = open_floor(durable=False)
    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    nested: list[entry.EntryResult] = []

    def race(method: str, url: str) -> None:
        # The first run is about to look at the positions; the second overtakes it completely.
        if not nested and method == "GET" and "positionRisk" in url:
            floor.session.before = lambda method, url: None
            nested.append(entry.open_position(floor.desk, "BTCUSDT", signal.id))

    floor.session.before = race
    result = entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert nested[0].status == "protected"
    assert result.status == "protected"
    assert len(floor.entries()) == 1
    assert floor.documents("positions")[0]["state"] == "open"
    assert floor.leaked() == ({}, [signal.id])


def candle(close: int, symbol: str = "BTCUSDT") -> bytes:
    """The event of a flat five-minute candle."""
    price = PRICES[symbol]
    return encode(
        Candle(
            symbol=symbol,
            timeframe="5m",
            open_time=close - 300_000,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=5e6,
        )
    )


def test_candles_doubled_and_out_of_order(open_floor):
    """The same events again, shuffled: one signal per bar, and nobody trips."""
    floor = open_floor()
    closes = [START, START + 300_000, START + 600_000]
    floor.minutes(11)
    one, two, three = (candle(c) for c in closes)
    floor.emit("market", one, two, two, one, three, two, three)
    floor.run(10)
    stored = [d["id"] for d in floor.documents("signals", "BTCUSDT") if d["kind"] == "signal"]
    assert sorted(stored) == [f"BTCUSDT-5m-{c}-v1" for c in closes]
    assert not floor.documents("deadletter", "market")


def test_candle_event_doubled_trades_once(open_floor):
    """From the event on: the bar's signal is stored already, and that one counts."""
    floor = open_floor()
    signal = floor.signal()
    floor.emit("market", candle(START), candle(START))
    floor.run(5)
    floor.emit("market", candle(START))
    floor.run(5)
    assert floor.outcome(signal)["outcome"] == "protected"
    assert floor.held() == FULL
    assert len(floor.entries()) == 1


CONTRACTS = {
    f"COIN{i}USDT": msgspec.structs.replace(
        DEFAULT_CONTRACTS["ETHUSDT"],
        instrument=msgspec.structs.replace(
            DEFAULT_CONTRACTS["ETHUSDT"].instrument, symbol=f"COIN{i}USDT"
        ),
    )
    for i in range(12)
}


@pytest.mark.parametrize(
    ("settings", "most"),
    [({}, 2000), ({"MAX_TOTAL_NOTIONAL": "1200"}, 1200), ({"MAX_POSITION_NOTIONAL": "90"}, 450)],
    ids=["default", "tight total", "small positions"],
)
def test_many_signals_at_once_stay_within_every_limit(open_floor, settings, most):
    """Twelve workflows in the same instant: the room is shared, never exceeded."""
    floor = open_floor(
        dict.fromkeys(CONTRACTS, ()),
        contracts=CONTRACTS,
        prices=dict.fromkeys(CONTRACTS, PRICES["ETHUSDT"]),
        settings=settings,
    )
    signals = [floor.signal(s, "BUY" if i % 2 else "SELL") for i, s in enumerate(CONTRACTS)]

    async def all_at_once() -> None:
        import asyncio

        base = "/runtime/webhooks/durabletask/orchestrators/trade_workflow"
        await asyncio.gather(
            *(
                floor.send("POST", f"{base}/{s.id}", {"symbol": s.symbol, "signal": s.id})
                for s in signals
            )
        )

    floor.wait(all_at_once())
    floor.run(20)
    outcomes = [floor.outcome(s)["outcome"] for s in signals]
    held = {s: floor.held(s) for s in CONTRACTS}
    notional = sum(abs(q) * D("2500.1") for q in held.values())
    assert outcomes.count("protected") == sum(q != 0 for q in held.values()) <= 5
    assert outcomes.count("protected") >= 2
    assert notional <= most
    assert set(outcomes) == {"protected", "declined"}
    assert len(floor.leaked()[1]) == outcomes.count("protected")


def test_decisions_in_parallel_threads_never_reserve_more_than_the_limit(open_floor):
    """Real threads on one store: the ledger's compare-and-swap is what holds the limit."""
    floor = open_floor(
        dict.fromkeys(CONTRACTS, ()),
        contracts=CONTRACTS,
        prices=dict.fromkeys(CONTRACTS, PRICES["ETHUSDT"]),
        settings={"MAX_TOTAL_NOTIONAL": "1100"},
        durable=False,
    )
    signals = [floor.signal(s) for s in CONTRACTS]
    floor.services.exchange.instruments()
    exchange = threading.Lock()
    request = floor.session.request

    def serial(*args: Any, **kwargs: Any) -> Any:
        # The simulated exchange serves one request at a time; the application does not.
        with exchange:
            return request(*args, **kwargs)

    floor.session.request = serial
    ready = threading.Barrier(len(signals))
    outcomes: list[str] = []

    def decide(signal: Any) -> None:
        from shared.errors import Conflict

        ready.wait()
        while True:
            try:
                outcomes.append(assess.assess(floor.desk, signal.symbol, signal.id).outcome)
                return
            except Conflict:
                continue

    threads = [threading.Thread(target=decide, args=(s,)) for s in signals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reserved = floor.services.ledger.read().entries
    assert len(outcomes) == len(signals)
    assert outcomes.count("approved") == len(reserved) >= 2
    assert sum(r.notional for r in reserved.values()) <= 1100
    for decision in reserved:
        floor.services.ledger.release(decision)
