"""Instances behind one address: together within the limits, exits first, one ban known to all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import ExchangeError, ExchangeHalted, ExchangeThrottled, StoreUnavailable
from shared.execution.binance.budget import SHARE, LocalRateBudget
from shared.execution.binance.endpoints import Priority
from shared.execution.binance.shared_budget import BLOCK_SHARE, SharedRateBudget
from shared.storage.sqlite import SqliteStore
from tests.binance.scripted import START_MS, Bench, Reply
from tests.binance.test_binance_budget import ENTRY, EXIT, ORDER, ORDER_POST, POSITIONS

EXIT_, DATA, ENTRY_, VIEW = Priority.EXIT, Priority.DATA, Priority.ENTRY, Priority.VIEW


class Counting:
    """A store that counts what is done to it, and fails while told to."""

    def __init__(self, inner: SqliteStore) -> None:
        self._inner = inner
        self.writes = self.reads = 0
        self.down = False

    def _do(self, what: str, *args: Any, **kwargs: Any) -> Any:
        if self.down:
            raise StoreUnavailable("down")
        return getattr(self._inner, what)(*args, **kwargs)

    def close(self) -> None:
        self._inner.close()

    def get(self, *args: Any) -> Any:
        self.reads += 1
        return self._do("get", *args)

    def create(self, *args: Any, **kwargs: Any) -> Any:
        self.writes += 1
        return self._do("create", *args, **kwargs)

    def replace(self, *args: Any, **kwargs: Any) -> Any:
        self.writes += 1
        return self._do("replace", *args, **kwargs)


class World:
    """Several instances, one store, one clock."""

    def __init__(self, count: int, **limits: int) -> None:
        self.clock = VirtualClock(START_MS)
        self.store = Counting(SqliteStore(":memory:", clock=self.clock))
        self.instances = [self.join("nat") for _ in range(count)]
        for instance in self.instances:
            if limits:
                instance.limits(**limits)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def join(self, egress: str) -> SharedRateBudget:
        now = self.clock.now_ms
        store: Any = self.store
        return SharedRateBudget(LocalRateBudget(now), store, now, scope="main", egress=egress)


@pytest.fixture
def make() -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def new(*args: int, **limits: int) -> World:
        worlds.append(World(*args, **limits))
        return worlds[-1]

    yield new
    for world in worlds:
        world.store.close()


def granted(budget: SharedRateBudget, priority: Priority, weight: int, orders: int = 0) -> bool:
    try:
        budget.reserve(weight=weight, orders=orders, priority=priority)
    except ExchangeThrottled:
        return False
    return True


asked = st.tuples(
    st.integers(0, 3),
    st.integers(0, 40),
    st.integers(0, 1),
    st.sampled_from([DATA, ENTRY_]),
    st.integers(0, 3000),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(asked, max_size=200))
def test_together_they_never_exceed_what_one_may(requests: list[Any]) -> None:
    """Recounted independently; exits are the exception and have a test of their own."""
    with World(4, weight_1m=400, orders_10s=8, orders_1m=20) as world:
        recount(world, requests)


def recount(world: World, requests: list[Any]) -> None:
    weight: dict[int, int] = {}
    orders: dict[tuple[int, int], int] = {}
    for who, cost, order, priority, pause in requests:
        world.clock.sleep(pause / 1000)
        now = world.clock.now_ms()
        if not granted(world.instances[who], priority, cost, order):
            continue
        minute = now // 60_000
        weight[minute] = weight.get(minute, 0) + cost
        if cost:
            # What an instance has leased for one priority another may use up: a block at most.
            blocks = len(world.instances) * 400 * BLOCK_SHARE
            assert weight[minute] <= 400 * SHARE[priority] + blocks
            assert weight[minute] <= 400 * SHARE[DATA]
        for span, limit in ((10_000, 8), (60_000, 20)):
            window = (span, now // span)
            orders[window] = orders.get(window, 0) + order
            assert orders[window] <= limit


def test_alone_each_would_have_taken_it_all(make: Any) -> None:
    world = make(3)
    taken = [0, 0, 0]
    for _ in range(600):
        for i, instance in enumerate(world.instances):
            taken[i] += 10 * granted(instance, DATA, 10)
    # 85 % of 2400 less what each may have leased and not used.
    assert 2040 - 3 * 48 <= sum(taken) <= 2040
    assert max(taken) - min(taken) <= 100, "nobody starves"


def test_exits_use_what_is_left_and_more(make: Any) -> None:
    """Entries and data have used theirs up; an exit still goes, and others then know of it."""
    one, two = (world := make(2)).instances
    while granted(one, ENTRY_, 10):
        pass
    while granted(two, DATA, 10):
        pass
    assert not granted(one, DATA, 10)
    assert all(granted(one, EXIT_, 10) for _ in range(20))
    world.clock.sleep(60)
    assert granted(two, DATA, 10)


def test_few_writes(make: Any) -> None:
    world = make(1)
    for _ in range(200):
        assert granted(world.instances[0], DATA, 5)
    assert world.store.writes == world.store.reads <= 1000 // 45


def test_views_that_are_refused_leave_the_store_and_the_others_alone(make: Any) -> None:
    one, two = (world := make(2)).instances
    while granted(one, VIEW, 10):
        pass
    # 50 % of 2400, less the rest of a block.
    assert 1200 - 48 <= one.used()["weight_1m"] <= 1200
    assert not granted(two, VIEW, 40)
    reads = world.store.reads
    with pytest.raises(ExchangeThrottled, match="view is used up by all") as told:
        two.reserve(weight=40, orders=0, priority=VIEW)
    assert 0 < told.value.retry_after <= 60
    assert not any(granted(two, VIEW, 40) for _ in range(100))
    assert world.store.reads == reads
    assert granted(two, ENTRY_, 10, 1)
    assert granted(two, DATA, 10)
    assert granted(two, EXIT_, 10)
    world.clock.sleep(60)
    assert granted(two, VIEW, 40)


def test_without_the_store_exits_go_and_entries_do_not(make: Any) -> None:
    world = make(1)
    world.store.down = True
    (budget,) = world.instances
    assert not granted(budget, ENTRY_, 10, 1)
    assert all(granted(budget, EXIT_, 10, 1) for _ in range(50))
    # Its own count still holds: the venue would refuse, or ban.
    assert sum(granted(budget, EXIT_, 10) for _ in range(400)) == 190
    world.store.down = False
    other = world.join("nat")
    assert granted(budget, EXIT_, 0, 1)
    world.clock.sleep(1)
    # What went ahead of the shared count was booked with the next lease.
    taken = 0
    while granted(other, EXIT_, 0, 1):
        taken += 1
    assert taken <= 300


def test_debts_of_exits_are_booked_with_the_next_lease(make: Any) -> None:
    world = make(2, weight_1m=1000, orders_10s=100, orders_1m=100)
    one, two = world.instances
    world.store.down = True
    assert all(granted(one, EXIT_, 10) for _ in range(80))
    world.store.down = False
    assert granted(one, EXIT_, 10)
    assert not granted(two, ENTRY_, 10)
    assert granted(two, EXIT_, 10)


BLOCKS = [
    ({"banned": True}, ExchangeHalted, True),
    ({}, ExchangeThrottled, True),
    ({"orders_only": True}, ExchangeThrottled, False),
]


@pytest.mark.parametrize(("kind", "raised", "reads_too"), BLOCKS, ids=["418", "429", "-1015"])
def test_what_one_was_told_the_others_honour(
    make: Any, kind: dict[str, bool], raised: type[ExchangeError], reads_too: bool
) -> None:
    world = make(2)
    one, two = world.instances
    elsewhere = world.join("another address")
    one.block(START_MS + 90_000, **kind)
    for priority in (EXIT_, DATA, ENTRY_):
        with pytest.raises(raised) as told:
            two.reserve(weight=1, orders=1, priority=priority)
        assert told.value.retry_after == 90.0
        if reads_too:
            with pytest.raises(raised):
                two.reserve(weight=1, orders=0, priority=priority)
    if not reads_too:
        two.reserve(weight=1, orders=0, priority=DATA)
    # One address's ban never holds back the exits of another.
    elsewhere.reserve(weight=1, orders=1, priority=EXIT_)
    world.clock.sleep(90)
    two.reserve(weight=1, orders=1, priority=ENTRY_)


def test_a_firewall_s_refusal_is_nobody_else_s(make: Any) -> None:
    world = make(2)
    one, two = world.instances
    one.block(START_MS + 300_000, walled=True)
    two.reserve(weight=1, orders=1, priority=ENTRY_)
    with pytest.raises(ExchangeHalted):
        one.reserve(weight=1, orders=1, priority=ENTRY_)


# ---------------------------------------------------------------------- through the adapter


def test_exits_try_a_firewall_s_refusal_now_and_then_and_pass_once_it_is_gone() -> None:
    """The length of a 403 is a guess: five minutes of it must not keep a position open."""
    bench = Bench()
    wall = Reply("<html>", 403)
    bench.script.on("POST", ORDER, wall, wall, Reply(ORDER_POST))
    bench.script.on("GET", POSITIONS, Reply([]))
    tried: list[int] = []
    for second in range(40):
        try:
            bench.exchange.place_order(EXIT)
            break
        except ExchangeHalted:
            tried.append(second)
        with pytest.raises(ExchangeHalted):
            bench.exchange.place_order(ENTRY)
        bench.clock.sleep(1)
    assert len(bench.script.calls("POST", ORDER)) == 3
    assert tried == list(range(30)), "one try at once, then every fifteen seconds"
    assert bench.exchange.place_order(ENTRY), "the wall is gone for everybody"


def test_during_a_ban_not_even_exits_are_sent() -> None:
    """Each request during a 418 extends it, up to three days; stops rest on the exchange."""
    bench = Bench()
    bench.script.on("GET", POSITIONS, Reply("", 418, {"Retry-After": "120"}), Reply([]))
    bench.script.on("POST", ORDER, Reply(ORDER_POST))
    with pytest.raises(ExchangeHalted):
        bench.exchange.positions()
    count = len(bench.script.sent)
    for _ in range(11):
        bench.clock.sleep(10)
        with pytest.raises(ExchangeHalted):
            bench.exchange.place_order(EXIT)
    assert len(bench.script.sent) == count
    bench.clock.sleep(10)
    assert bench.exchange.place_order(EXIT)


def test_the_application_shares_when_told_to() -> None:
    from shared.bootstrap import Services

    made: dict[str, Callable[..., Any]] = {}
    for how in ("own", "shared"):
        clock = VirtualClock(START_MS)
        services = Services(
            {
                "BINANCE_BASE_URL": "http://exchange.test",
                "RATE_BUDGET": how,
                "BINANCE_API_KEY": "k",
                "BINANCE_API_SECRET": "s",
            },
            clock=clock,
            store=SqliteStore(":memory:", clock=clock),
        )
        made[how] = type(services.exchange.budget)  # type: ignore[attr-defined]
        services.store.close()
    assert made == {"own": LocalRateBudget, "shared": SharedRateBudget}
