"""Every open position is watched: a stop that fails is answered within five seconds.

All times are the simulated exchange's own: from the moment at which a stop triggers, is refused or
is gone to the fill that leaves the symbol flat, or to the stop that covers all of it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from desk import ALGO, NOT_FOUND, OPEN_ALGOS, POSITIONS, UNAVAILABLE, Floor
from test_failing_stops import conditional, later, opened, refused_at_trigger, stuck

from local.exchange.faults import error_answer
from local.simulate.listing import PRICES as MANY
from local.simulate.listing import contracts_of
from shared.errors import ConfigurationError, ExchangeHalted, ExchangeThrottled, ExchangeUnavailable
from shared.execution import stop_watch, survey
from shared.execution.elapsed import Elapsed
from shared.execution.exchange import VenueAlgoOrder, VenuePosition
from shared.execution.guardian import confirm_protection, guard
from shared.execution.ids import client_id, leg_of
from shared.portfolio import positions
from shared.settings import load
from shared.simulation.conditional import set_status
from shared.simulation.core import VenueEvent

D = Decimal
ALWAYS = {"STOP_WATCH": "always"}
GET_ALGO = ("GET", "/fapi/v1/algoOrder")
#: The clause of the issue, milliseconds of exchange time.
PROMISED = 5_000
#: In profit, and within one minute through the stop 2 % on the other side; then it stays there.
JUMP = [(1, 0), (2, 0.015), (3, -0.03), (60, -0.031)]
QUIET = [(1, 0), (60, 0)]

Knots = Sequence[tuple[float, float]]


def mirrored(knots: Knots) -> Knots:
    return [(at, -move) for at, move in knots]


class Ledger:
    """By symbol: when its stop failed, and when it was flat or fully covered again."""

    def __init__(self, floor: Floor) -> None:
        self.failed: dict[str, int] = {}
        self.met: dict[str, int] = {}
        self._floor = floor
        self._rounds: list[tuple[int, int]] = []
        floor.venue.on_event(self._see)
        if floor.platform is None:
            return
        floor.platform.host.on_invocation.append(
            lambda i: (
                self._rounds.append((i.started_ms, i.ended_ms))
                if i.function == "guardian"
                else None
            )
        )

    def _see(self, event: VenueEvent) -> None:
        if event.kind not in ("ALGO", "ORDER"):
            return
        symbol = event.record.symbol
        if event.kind == "ALGO" and leg_of(event.record.client_algo_id) == "s":
            held = any(p.symbol == symbol for p in self._floor.account.positions.values())
            if event.record.status not in ("NEW", "FINISHED") and held and not self._safe(symbol):
                self.failed.setdefault(symbol, event.time)
        if symbol in self.failed and symbol not in self.met and self._safe(symbol):
            self.met[symbol] = event.time

    def _safe(self, symbol: str) -> bool:
        quantity = sum(
            p.quantity for p in self._floor.account.positions.values() if p.symbol == symbol
        )
        live = sum((a.quantity for a in self._floor.stops(symbol) if a.status == "NEW"), D(0))
        return live >= abs(quantity)

    def took(self) -> dict[str, int]:
        """Milliseconds by symbol; a stop that nobody answered is missing."""
        return {s: self.met[s] - at for s, at in self.failed.items() if s in self.met}

    def check(self, *symbols: str) -> None:
        took = self.took()
        assert sorted(self.failed) == sorted(symbols)
        assert sorted(took) == sorted(symbols)
        assert max(took.values()) <= PROMISED, took
        for symbol, at in self.failed.items():
            # Were it the guardian who happened to look, this would show nothing.
            assert not any(
                began <= self.met[symbol] and ended >= at for began, ended in self._rounds
            ), symbol


def lost_from_sight(floor: Floor) -> None:
    """The venue's engine triggers nothing: the stop rests where it was, with the price through."""

    def reject(algo: Any) -> bool:
        algo.status = "NEW"
        floor.account.open_algos.setdefault(algo.symbol, {})[algo.algo_id] = algo
        return False

    floor.venue.core.forward_trigger = reject


def looks(floor: Floor) -> list[int]:
    """When the watch over the account looked, filled as it does."""
    found: list[int] = []
    assert floor.platform is not None
    floor.platform.host.on_invocation.append(
        lambda i: found.append(i.started_ms) if i.function == "survey_positions" else None
    )
    return found


def end(floor: Floor, status: str, symbol: str = "BTCUSDT") -> None:
    """The venue ends a stop that it had accepted, without a word."""
    floor.api.advance()
    for stop in floor.stops(symbol):
        set_status(floor.venue.core, floor.account, stop, status)


# ---------------------------------------------------------------- stops that fail when reached


@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize(
    "fail",
    [stuck, refused_at_trigger],
    ids=["triggers and produces no order", "is refused when it triggers"],
)
def test_a_jump_from_the_profit_side_through_a_stop_that_fails(
    open_floor: Any, fail: Callable[[Floor], None], side: str
) -> None:
    """No round of the guardian ever saw that price near its stop."""
    floor = open_floor({"BTCUSDT": JUMP if side == "BUY" else mirrored(JUMP)}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.trade(side=side)
    floor.run(30)
    assert floor.held()
    fail(floor)
    floor.minutes(4)
    ledger.check("BTCUSDT")
    assert floor.held() == 0
    floor.minutes(2)
    assert [t["exitReason"] for t in floor.trades()] == ["stop failed"]
    assert "stop-failed" in floor.alerts()


def test_a_stop_that_never_triggers_though_the_price_is_through(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": JUMP}, settings=ALWAYS)
    floor.trade()
    floor.run(30)
    (stop,) = floor.stops()
    reached: list[int] = []

    def forwards(algo: Any) -> bool:
        reached.append(floor.venue.now)
        return False

    floor.venue.core.forward_trigger = forwards
    floor.run(90)
    while not reached:
        floor.run(1)
    stop.status = "NEW"
    floor.account.open_algos["BTCUSDT"] = {stop.algo_id: stop}
    floor.run(PROMISED / 1000)
    assert floor.held() == 0
    assert "stop-failed" in floor.alerts()


def test_a_healthy_stop_is_left_to_the_exchange(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": JUMP}, settings=ALWAYS)
    floor.trade()
    floor.minutes(6)
    assert [t["exitReason"] for t in floor.trades()] == ["stop"]
    assert "stop-failed" not in floor.alerts()


def test_several_at_once(open_floor: Any) -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
    floor = open_floor(dict.fromkeys(symbols, JUMP), settings=ALWAYS)
    ledger = Ledger(floor)
    for symbol in symbols:
        floor.trade(symbol)
    floor.run(60)
    assert all(floor.held(s) for s in symbols)
    stuck(floor)
    floor.minutes(4)
    ledger.check(*symbols)


@pytest.mark.parametrize(
    "what",
    [OPEN_ALGOS, GET_ALGO],
    ids=["orders cannot be listed", "single ones cannot be looked up"],
)
def test_views_that_fail_do_not_keep_a_reached_stop_from_being_seen(
    open_floor: Any, what: tuple[str, str]
) -> None:
    floor = open_floor({"BTCUSDT": JUMP}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.trade()
    floor.run(60)
    stuck(floor)
    fault = floor.break_next(what, UNAVAILABLE, times=10**6)
    floor.minutes(3)
    ledger.check("BTCUSDT")
    fault.times = 0
    floor.minutes(2)


def test_without_the_durable_client_the_watch_sees_to_it_itself(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": JUMP}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.trade()
    floor.run(60)
    stuck(floor)
    floor.durable_refuses = lambda request: "stop_watch" in request.target
    floor.minutes(4)
    ledger.check("BTCUSDT")


# ---------------------------------------------------------------- stops that are gone


@pytest.mark.parametrize("status", ["EXPIRED", "CANCELED", "REJECTED"])
def test_a_stop_that_vanishes_is_back_within_seconds(open_floor: Any, status: str) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.trade()
    floor.run(65)  # the guardian comes in fifteen seconds
    before = floor.stops()[0].trigger_price
    end(floor, status)
    floor.run(10)
    ledger.check("BTCUSDT")
    assert [s.trigger_price for s in floor.stops()] == [before]
    assert floor.held()


@pytest.mark.parametrize(
    "answer",
    [error_answer(400, -4045, "Reach max stop order limit."), UNAVAILABLE],
    ids=["refused", "conditional orders are out of order"],
)
def test_a_stop_that_vanishes_and_cannot_be_placed_again(open_floor: Any, answer: Any) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    at = looks(floor)
    floor.trade()
    floor.run(65)
    seen = len(at)
    while len(at) == seen:
        floor.run(0.1)  # at the worst moment: somebody has just looked
    floor.break_next(ALGO, answer, times=10**6)
    end(floor, "EXPIRED")
    floor.run(10)
    ledger.check("BTCUSDT")
    assert floor.held() == 0
    assert "protection-failed" in floor.alerts()
    floor.minutes(2)


@pytest.mark.parametrize("who", ["the guardian", "the look after an entry"])
def test_whoever_finds_it_gone_has_what_is_left_of_the_five_seconds(
    open_floor: Any, who: str
) -> None:
    """It may have gone just after the last look; the next position waits for the one before it."""
    floor = open_floor({"BTCUSDT": QUIET, "ETHUSDT": QUIET}, durable=False)
    signals = {symbol: opened(floor, symbol) for symbol in ("BTCUSDT", "ETHUSDT")}
    floor.clock.sleep(70)
    ledger = Ledger(floor)
    floor.break_next(ALGO, UNAVAILABLE, times=10**6)
    gone = ("BTCUSDT", "ETHUSDT") if who == "the guardian" else ("BTCUSDT",)
    for symbol in gone:
        end(floor, "REJECTED", symbol)
    floor.clock.sleep(survey.SURVEY_EVERY - 0.5)
    if who == "the guardian":
        guard(floor.desk)
    else:
        assert not confirm_protection(floor.desk, "BTCUSDT", signals["BTCUSDT"])
    took = ledger.took()
    assert sorted(took) == sorted(gone)
    assert max(took.values()) <= PROMISED, took
    for _ in range(2):
        later(floor)
        guard(floor.desk)
    assert len(floor.trades()) == len(gone)


def test_looking_for_a_stop_reads_one_symbol_s_list(open_floor: Any) -> None:
    """That of all symbols weighs forty times as much, and look-ups that lag ask again and again."""
    floor = open_floor(durable=False)
    signal = opened(floor)
    end(floor, "EXPIRED")
    asked: list[str] = []
    whole = floor.faults.before

    def before(request: Any) -> Any:
        asked.append(f"{request.path}?{request.query}")
        return whole(request)

    floor.faults.before = before
    floor.break_next(GET_ALGO, NOT_FOUND, times=3)
    assert stop_watch.look(floor.desk, "BTCUSDT", signal)
    lists = [url for url in asked if "openAlgoOrders" in url]
    assert len(lists) > 1
    assert all("symbol=BTCUSDT" in url for url in lists)


def test_one_of_several_vanishes_while_another_fails(open_floor: Any) -> None:
    """Whoever sees one through keeps nobody from looking at the others."""
    floor = open_floor({"BTCUSDT": JUMP, "ETHUSDT": QUIET, "XRPUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    for symbol in ("BTCUSDT", "ETHUSDT", "XRPUSDT"):
        floor.trade(symbol)
    floor.run(60)
    stuck(floor)
    while "BTCUSDT" not in ledger.failed:
        floor.run(0.5)
    end(floor, "EXPIRED", "XRPUSDT")
    floor.minutes(1)
    ledger.check("BTCUSDT", "XRPUSDT")
    assert floor.held("ETHUSDT")


# ---------------------------------------------------------------- the watch itself


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


# ---------------------------------------------------------------- what it costs


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


# ---------------------------------------------------------------- what counts as a stop that works

ACCOUNT = "main"


def position(quantity: str, mark: str) -> VenuePosition:
    return VenuePosition(
        symbol="BTCUSDT",
        quantity=D(quantity),
        entry_price=D(100),
        mark_price=D(mark),
        unrealized_pnl=D(0),
        liquidation_price=D(0),
        isolated_wallet=D(0),
        update_time=0,
    )


def stop(side: str, quantity: str, trigger: str, status: str = "NEW", name: str = "") -> Any:
    return VenueAlgoOrder(
        symbol="BTCUSDT",
        algo_id=1,
        client_algo_id=name or client_id(ACCOUNT, trigger, "s"),
        side=side,  # type: ignore[arg-type]
        type="STOP_MARKET",
        status=status,  # type: ignore[arg-type]
        quantity=D(quantity),
        trigger_price=D(trigger),
        working_type="MARK_PRICE",
        reduce_only=True,
        close_position=False,
        order_id=None,
        update_time=0,
    )


@pytest.mark.parametrize(
    ("held", "mark", "orders", "sound"),
    [
        pytest.param("1", "100", [stop("SELL", "1", "98")], True, id="long"),
        pytest.param("-1", "100", [stop("BUY", "1", "102")], True, id="short"),
        pytest.param("1", "98", [stop("SELL", "1", "98")], False, id="long, at it"),
        pytest.param("-1", "102.1", [stop("BUY", "1", "102")], False, id="short, beyond it"),
        pytest.param("1", "100", [], False, id="none"),
        pytest.param("1", "100", [stop("SELL", "0.9", "98")], False, id="too small"),
        pytest.param("1", "100", [stop("BUY", "1", "98")], False, id="on the wrong side"),
        pytest.param("1", "100", [stop("SELL", "1", "98", "TRIGGERING")], False, id="triggered"),
        pytest.param("1", "100", [stop("SELL", "1", "98", name="web_1")], False, id="a stranger's"),
        pytest.param(
            "1",
            "98.5",
            [stop("SELL", "1", "98"), stop("SELL", "1", "99")],
            False,
            id="the one it was moved to should have triggered",
        ),
        pytest.param(
            "1",
            "98.5",
            [stop("SELL", "1", "98"), stop("SELL", "1", "99", name="web_2")],
            True,
            id="only a stranger's should have",
        ),
    ],
)
def test_what_counts_as_a_stop_that_works(
    held: str, mark: str, orders: list[VenueAlgoOrder], sound: bool
) -> None:
    assert survey.sound(position(held, mark), orders) is sound


def test_positions_that_cannot_be_read_are_no_empty_account(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    floor.trade()
    floor.run(30)
    fault = floor.break_next(POSITIONS, UNAVAILABLE, times=10**6)
    floor.run(20)
    assert floor.workflow("account-watch-main")["runtimeStatus"] in ("Running", "Pending")
    fault.times = 0
    floor.run(3)


@pytest.mark.parametrize(
    ("fail", "gone", "at_most"),
    [
        pytest.param(refused_at_trigger, None, 700, id="refused: nothing to wait for"),
        pytest.param(stuck, None, 900, id="at work for a minute: not waited for again"),
        pytest.param(stuck, OPEN_ALGOS, 900, id="nor for the list of what it is not in"),
    ],
)
def test_how_long_a_reached_stop_is_still_waited_for(
    open_floor: Any, fail: Callable[[Floor], None], gone: tuple[str, str] | None, at_most: int
) -> None:
    floor = open_floor({"BTCUSDT": JUMP}, durable=False)
    floor.expected = {4, 8}  # nobody looked for minutes, and nobody books it
    signal = opened(floor)
    fail(floor)
    floor.clock.sleep(240)
    floor.api.advance()
    if gone is not None:
        floor.break_next(gone, UNAVAILABLE, times=10**6)
    began = floor.clock.now_ms()
    assert stop_watch.look(floor.desk, "BTCUSDT", signal) == 0
    assert floor.held() == 0
    assert floor.clock.now_ms() - began <= at_most


# ---------------------------------------------------------------- the setting

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
