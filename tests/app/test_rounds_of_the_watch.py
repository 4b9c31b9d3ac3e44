"""The watch itself: when it begins, looks again and ends, in which host, and what it costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from desk import PRICES
from outage import down_from_fill, floor_with
from test_approvals import answer, request_of
from test_failing_stops import conditional, opened
from watched import ALWAYS, QUIET, D, Ledger, end, looks

from local.contracts import Request, Response
from local.durable import Delivery, FaultPolicy
from local.simulate.listing import PRICES as MANY
from local.simulate.listing import contracts_of
from shared.errors import ConfigurationError, ExchangeHalted, ExchangeThrottled, ExchangeUnavailable
from shared.execution import survey
from shared.execution.elapsed import Elapsed
from shared.portfolio import positions
from shared.settings import load


def test_it_looks_from_the_fill_on_and_ends_when_nothing_is_open(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": [(1, 0), (6, 0), (7, -0.03), (60, -0.03)]}, settings=ALWAYS)
    at = looks(floor)
    filled = floor.clock.now_ms()
    floor.trade()
    floor.minutes(5)
    assert floor.held()
    assert at[0] - filled < 2_000
    assert max(b - a for a, b in pairwise(at)) <= 2_200
    assert floor.workflow("account-watch-main")["runtimeStatus"] in ("Running", "Pending")
    floor.minutes(4)
    assert floor.held() == 0
    assert floor.workflow("account-watch-main")["runtimeStatus"] == "Completed"
    seen = len(at)
    floor.minutes(6.5)  # to the next bar
    assert len(at) == seen
    # And again for the next position, under the same id.
    floor.trade()
    floor.run(20)
    assert len(at) > seen
    assert floor.workflow("account-watch-main")["runtimeStatus"] in ("Running", "Pending")


def test_a_position_is_looked_at_though_its_workflow_is_over(open_floor: Any) -> None:
    """A run of the activity that comes late: the workflow has gone by what another one answered."""
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    at = looks(floor)
    signal = floor.signal()

    def gone(method: str, url: str) -> None:
        if method == "POST" and url.endswith("/order"):
            floor.session.before = lambda method, url: None
            floor.platform.hub.operations.terminate(signal.id, "another run was answered")

    floor.session.before = gone
    began = floor.clock.now_ms()
    floor.start(signal)
    floor.run(4)
    assert floor.workflow(signal.id)["runtimeStatus"] == "Terminated"
    assert floor.held()
    assert at, "nobody looks"
    assert at[0] - began < 2_000


def test_a_hub_that_does_not_answer_keeps_no_failed_stop_from_being_met(open_floor: Any) -> None:
    """The look itself sees to the position where nobody can be started for it."""
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    rpc = floor.platform.hub.rpc

    async def silent(request: Request) -> Response:
        if "stop_watch" in request.target:
            await asyncio.sleep(60)
        answer: Response = await rpc(request)
        return answer

    floor.platform.hub.rpc = silent
    floor.run(22)  # the guardian has just been there
    floor.trade()
    floor.run(10)
    end(floor, "EXPIRED")
    floor.run(10)
    ledger.check("BTCUSDT")


class Late(FaultPolicy):
    """A task hub that keeps what the first look saw for some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def delivery(self, name: str) -> Delivery:
        if name != "survey_positions":
            return Delivery()
        seconds, self.seconds = self.seconds, 0.0
        return Delivery(1, round(seconds * 1000))


@pytest.mark.parametrize("seconds", [2, 12])
def test_a_look_that_saw_nothing_and_comes_late_does_not_end_it(
    open_floor: Any, seconds: float
) -> None:
    """Whoever has opened a position meanwhile was told that the watch is running."""
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.platform.hub._activities._faults = Late(seconds)
    floor.run(22)  # the guardian has just been there
    floor.durable("POST", "orchestrators/account_watch/account-watch-main", {})
    floor.run(0.2)
    floor.trade()
    floor.run(20)
    end(floor, "EXPIRED")
    floor.run(10)
    ledger.check("BTCUSDT")


@pytest.mark.parametrize("stage", ["paper", "limited"])
def test_a_position_is_looked_at_though_the_activity_that_opened_it_has_failed(
    open_floor: Any, stage: str
) -> None:
    """The store was away for some seconds, from the fill on, and the workflow has failed with it.

    In the second stage a person is asked, and another activity opens it.
    """
    floor, outage = floor_with(
        open_floor,
        moves={"BTCUSDT": QUIET},
        prices={**PRICES, "BTCUSDT": 60_000.0},
        settings={**ALWAYS, "TRADING_STAGE": stage},
    )
    ledger = Ledger(floor)
    floor.run(22)  # the guardian has just been there
    down_from_fill(floor, outage, 8)
    signal = floor.trade()
    if stage == "limited":
        floor.run(1)
        assert answer(floor, signal.id, nonce=request_of(floor)["nonce"]) == 200
    floor.run(15)
    assert floor.workflow(signal.id)["runtimeStatus"] == "Failed"
    end(floor, "EXPIRED")
    floor.run(10)
    ledger.check("BTCUSDT")


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "does not answer"])
def test_a_hub_that_starts_no_watch_keeps_no_position_from_its_stop(
    open_floor: Any, silent: bool
) -> None:
    """The workflow asks once more; what was opened is confirmed all the same."""
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    at, asked = looks(floor), []
    rpc = floor.platform.hub.rpc

    async def first_one_fails(request: Request) -> Response:
        if "account_watch" in request.target and not asked:
            asked.append(request)
            await asyncio.sleep(30 if silent else 0)
            return Response(500, [], b'{"Message": "storage is not reachable"}')
        answer: Response = await rpc(request)
        return answer

    floor.platform.hub.rpc = first_one_fails
    confirmed: list[int] = []
    floor.platform.host.on_invocation.append(
        lambda i: confirmed.append(i.started_ms) if i.function == "protect_position" else None
    )
    began = floor.clock.now_ms()
    signal = floor.trade()
    floor.run(5)
    assert asked
    assert floor.outcome(signal)["outcome"] == "protected"
    assert confirmed[0] - began < 4_000
    assert at[0] - began < 4_000


def test_one_that_was_lost_is_started_again_by_the_guardian(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    at = looks(floor)
    floor.trade()
    floor.run(30)
    floor.durable("POST", "instances/account-watch-main/terminate?reason=lost")
    floor.run(10)
    seen = len(at)
    floor.run(5)
    assert len(at) == seen, "it was not lost, so nothing is shown"
    floor.minutes(1)
    assert len(at) > seen
    end(floor, "EXPIRED")
    floor.run(10)
    ledger.check("BTCUSDT")


def test_it_goes_on_in_the_next_host(open_floor: Any, tmp_path: Path) -> None:
    """A deployment in the middle of a minute: the workflow is in the task hub, not in a process."""
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS, state=tmp_path)
    ledger = Ledger(floor)
    floor.trade()
    floor.run(30)
    floor.restart()
    end(floor, "EXPIRED")
    floor.run(10)
    ledger.check("BTCUSDT")


def test_a_look_that_fails_for_whatever_reason_is_followed_by_another(
    open_floor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.trade()
    floor.run(30)
    whole = survey.survey

    def broken(desk: Any) -> Any:
        monkeypatch.setattr(survey, "survey", whole)
        raise RuntimeError("out of memory, say")

    monkeypatch.setattr(survey, "survey", broken)
    floor.run(5)
    assert survey.survey is whole
    end(floor, "EXPIRED")
    floor.run(10)
    ledger.check("BTCUSDT")


def test_with_a_part_of_the_distance_only_what_is_near_is_watched(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings={"STOP_WATCH": "0.1"})
    at = looks(floor)
    floor.trade()
    floor.minutes(3)
    assert floor.held()
    assert not at
    assert floor.durable("GET", "instances/account-watch-main").status == 404


def test_a_changed_setting_ends_it(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    floor.trade()
    floor.run(30)
    floor.services.__dict__.pop("_new_desk", None)
    settings = msgspec.structs.replace(floor.services.settings, stop_watch=D("0.1"))
    floor.services.__dict__["settings"] = settings
    floor.run(5)
    assert floor.workflow("account-watch-main")["runtimeStatus"] == "Completed"


@pytest.mark.parametrize(
    ("state", "age", "held"),
    [
        ("opening", 5_000, True),
        ("open", 5_000, True),
        ("open", 61_000, False),
        ("opening", 61_000, True),
    ],
)
def test_an_entry_on_its_way_keeps_it_going(
    open_floor: Any, state: str, age: int, held: bool
) -> None:
    """It was started for a position that its look at the exchange was too early for."""
    floor = open_floor(durable=False, settings=ALWAYS)
    floor.expected = {1, 7, 8}  # what people do by hand
    opened(floor)
    record, _ = positions.load(floor.store, "main", "BTCUSDT") or pytest.fail("no record")
    floor.trade_by_hand("BTCUSDT", "SELL", str(record.quantity))
    positions.change(
        floor.store, record, state=state, opened_at=floor.clock.now_ms() - age, updated_at=1
    )
    assert survey.survey(floor.desk) == survey.Survey(held=held)


def test_other_people_s_positions_alone_need_no_watch(open_floor: Any) -> None:
    floor = open_floor(durable=False, settings=ALWAYS)
    floor.expected = {1, 3, 4, 7, 8}
    floor.trade_by_hand("ETHUSDT", "BUY", "0.1")
    assert survey.survey(floor.desk) == survey.Survey(held=False)
    conditional(floor, "somebody", "NEW", reduce_only=True)
    assert survey.survey(floor.desk) == survey.Survey(held=False)


def test_twenty_positions_cost_less_than_a_third_of_the_weight(open_floor: Any) -> None:
    """One request of weight 5 for all of them and one of weight 1 for each, every two seconds."""
    symbols = list(MANY)
    extra = {f"{s.removesuffix('USDT')}2USDT": MANY[s] for s in symbols[: 20 - len(symbols)]}
    assert len(symbols) + len(extra) == 20
    contracts = contracts_of(symbols)
    for symbol, origin in zip(extra, symbols, strict=False):
        model = contracts[origin]
        contracts[symbol] = msgspec.structs.replace(
            model,
            instrument=msgspec.structs.replace(model.instrument, symbol=symbol),
            base_asset=symbol.removesuffix("USDT"),
        )
    prices = MANY | extra
    floor = open_floor(
        dict.fromkeys(prices, QUIET),
        prices=prices,
        contracts=contracts,
        settings={**ALWAYS, "SYMBOLS": "BTCUSDT"},
    )
    floor.expected = {1, 3, 4, 7, 8}
    floor.trade()
    floor.run(10)
    for symbol, price in prices.items():
        if symbol != "BTCUSDT":
            step = contracts[symbol].instrument.step_size
            floor.trade_by_hand(symbol, "BUY", str((D(20) / D(price)) // step * step + step))
    assert len(floor.account.positions) == 20
    spent: Counter[int] = Counter()
    spend = floor.api.limits.spend

    def counted(ip: str, weight: int, now: int) -> int:
        spent[now // 60_000] += weight
        return spend(ip, weight, now)

    floor.api.limits.spend = counted
    floor.minutes(3)
    # A round of the guardian and one of reconciliation (lists of everything: 40 each) in it.
    assert 600 < sorted(spent.values())[-2] <= 800 + 130, spent
    for symbol in prices:
        if symbol != "BTCUSDT":
            floor.trade_by_hand(symbol, "SELL", str(floor.held(symbol)))


@pytest.mark.parametrize(
    ("took", "trouble", "seconds"),
    [
        (0, None, 2.0),
        (700, None, 1.3),
        (9_000, None, 0.5),
        (700, ExchangeUnavailable("down"), 1.0),
        (0, ExchangeThrottled("429", retry_after=7.0), 7.0),
        (0, ExchangeThrottled("429", retry_after=60.0), 15.0),
        (0, ExchangeHalted("invalid key"), 15.0),
    ],
)
def test_when_it_looks_again(open_floor: Any, took: int, trouble: Any, seconds: float) -> None:
    floor = open_floor(durable=False)
    looked = Elapsed(floor.clock)
    floor.clock.sleep(took / 1000)
    assert survey.pause(looked, trouble) == pytest.approx(seconds)


SOUND: Mapping[str, str] = {"BINANCE_ENVIRONMENT": "demo", "TRADING_STAGE": "testnet"}


def test_every_position_is_watched_unless_said_otherwise() -> None:
    assert load(SOUND).stop_watch == "always"
    assert load({**SOUND, "STOP_WATCH": "always"}).stop_watch == "always"


@pytest.mark.parametrize("value", ["0", "0.1", "1"])
def test_a_part_of_the_stop_distance(value: str) -> None:
    assert load({**SOUND, "STOP_WATCH": value}).stop_watch == D(value)


@pytest.mark.parametrize("value", ["-0.1", "1.01", "nan", "Infinity", "never", "Always"])
def test_what_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"STOP_WATCH .* always, or a number from 0"):
        load({**SOUND, "STOP_WATCH": value})
