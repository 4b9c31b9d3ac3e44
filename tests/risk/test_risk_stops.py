"""The layers of the stop: where each puts it, and what no layer may ever do."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigurationError
from shared.risk import stops
from shared.risk.stops import StopRules, next_stop

D = Decimal
TICK = D("0.1")


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A long of 100 with a stop 2 % below: everything the layers look at and nothing else."""

    side: str = "BUY"
    entry_price: Decimal = D(100)
    stop_price: Decimal = D(98)
    take_profit_price: Decimal = D(104)
    best_price: Decimal = D(100)
    stop_fraction: Decimal = D("0.02")
    trail_fraction: Decimal = D("0.02")
    trail_activation_price: Decimal = D(102)
    time_exit: int = 1_000


LONG = Position()
SHORT = Position(
    side="SELL",
    stop_price=D(102),
    take_profit_price=D(96),
    trail_activation_price=D(98),
)
EVEN = StopRules(break_even_at=D("0.5"))
ATR = StopRules(trail_atr=D(2))

# position, rules, mark, ATR -> stop, layer, worth moving. Figures worked out by hand.
CASES = {
    "nothing gained": (LONG, StopRules(), "101", None, "98", "hard", False),
    "a loss": (LONG, EVEN, "99", None, "98", "hard", False),
    "trail begins": (LONG, StopRules(), "102", None, "99.9", "trailing", True),
    "trail of a short": (SHORT, StopRules(), "98", None, "100.0", "trailing", True),
    # 103 x 0.98 = 100.94, down to the grid.
    "trail rounds away": (LONG, StopRules(), "103", None, "100.9", "trailing", True),
    # 97 x 1.02 = 98.94, up to the grid.
    "of a short as well": (SHORT, StopRules(), "97", None, "99.0", "trailing", True),
    # Half of the 2 USDT at risk is gained: entry and 0.15 %, up to the grid.
    "break-even": (LONG, EVEN, "101", None, "100.2", "break-even", True),
    "break-even of a short": (SHORT, EVEN, "99", None, "99.8", "break-even", True),
    "just not yet": (LONG, EVEN, "100.9", None, "98", "hard", False),
    # From 102 on the trail is at 99.9; break-even at 100.2 is tighter.
    "the tighter counts": (LONG, EVEN, "102", None, "100.2", "break-even", True),
    "the trail overtakes": (LONG, EVEN, "103", None, "100.9", "trailing", True),
    # 2 x 0.5 / 100 = 1 % of 103 is 1.03.
    "quiet market": (LONG, ATR, "103", "0.5", "101.9", "volatility", True),
    # 2 x 4 / 100 = 8 %, bounded by 5 %: 97.85 would loosen, so the stop stays.
    "wild market": (LONG, ATR, "103", "4", "98", "hard", False),
    # 2 x 0.01 / 100 is below Binance's 0.1 %.
    "dead market": (LONG, ATR, "103", "0.01", "102.8", "volatility", True),
    "no ATR": (LONG, ATR, "103", None, "100.9", "trailing", True),
    "a useless ATR": (LONG, ATR, "103", "NaN", "100.9", "trailing", True),
    "before activation": (LONG, ATR, "101", "0.5", "98", "hard", False),
}


@pytest.mark.parametrize(
    ("position", "rules", "mark", "atr", "stop", "layer", "move"), CASES.values(), ids=CASES
)
def test_layers(position, rules, mark, atr, stop, layer, move):
    step = next_stop(position, D(mark), TICK, rules, None if atr is None else D(atr))
    assert (step.stop_price, step.layer, step.move) == (D(stop), layer, move)


def test_the_best_price_is_remembered_and_a_pullback_changes_nothing():
    seen = msgspec.structs.replace(LONG, best_price=D(103), stop_price=D("100.9"))
    step = next_stop(seen, D("101.5"), TICK, StopRules())
    assert (step.best_price, step.stop_price, step.move) == (D(103), D("100.9"), False)


def test_break_even_that_came_too_late_is_not_asked_for():
    """The profit was there between two looks and is gone: the venue would refuse (-2021)."""
    seen = msgspec.structs.replace(LONG, best_price=D(101))
    step = next_stop(seen, D("100.1"), TICK, EVEN)
    assert (step.stop_price, step.layer, step.move) == (D(98), "hard", False)


def test_a_profit_of_exactly_so_many_r_counts():
    """20 / 2000.01 is rounded, and 0.3 of it times 2000.01 is a trace above 6."""
    fraction = D(20) / D("2000.01")
    assert D("0.3") * fraction * D("2000.01") > 6
    held = msgspec.structs.replace(
        LONG,
        entry_price=D("2000.01"),
        best_price=D("2000.01"),
        stop_price=D("1980.01"),
        stop_fraction=fraction,
        trail_activation_price=D(2040),
    )
    rules = StopRules(break_even_at=D("0.3"))
    assert next_stop(held, D("2006.01"), D("0.01"), rules).stop_price == D("2003.02")
    assert next_stop(held, D("2006.00"), D("0.01"), rules).stop_price == D("1980.01")


def test_a_shrinking_atr_does_not_put_the_stop_beyond_the_price():
    seen = msgspec.structs.replace(LONG, best_price=D(104), stop_price=D("101.9"))
    step = next_stop(seen, D(103), TICK, ATR, D("0.1"))  # 0.2 % below 104 is above 103
    assert (step.stop_price, step.move) == (D("101.9"), False)


def test_small_gains_are_not_worth_two_orders():
    """A tenth of the trail is 0.2 here."""
    seen = msgspec.structs.replace(LONG, best_price=D(102), stop_price=D("99.9"))
    assert not next_stop(seen, D("102.1"), TICK, StopRules()).move
    assert next_stop(seen, D("102.3"), TICK, StopRules()).move


def test_target_breach_and_time():
    assert stops.reached(LONG, D(104))
    assert not stops.reached(LONG, D("103.9"))
    assert stops.reached(SHORT, D(96))
    assert not stops.reached(SHORT, D("96.1"))
    assert stops.breached(LONG, D(98))
    assert not stops.breached(LONG, D("98.1"))
    assert stops.breached(SHORT, D(102))
    assert not stops.breached(SHORT, D("101.9"))
    assert stops.time_is_up(LONG, 1_000)
    assert not stops.time_is_up(LONG, 999)


def test_average_true_range():
    """Wilder's definition by hand: ranges 2, then 3 from a gap up, then 4 from a gap down."""
    highs, lows, closes = [D(9), D(12), D(14), D(12)], [D(9), D(10), D(13), D(9)], []
    closes = [D(11), D(11), D(13), D(10)]
    assert stops.average_true_range(highs, lows, closes) == D(3)
    assert stops.average_true_range(highs[:1], lows[:1], closes[:1]) is None
    assert stops.average_true_range(highs, lows[1:], closes) is None


@pytest.mark.parametrize(
    "wrong",
    [{"break_even_at": D(-1)}, {"break_even_at": D(11)}, {"trail_atr": D("NaN")}],
    ids=str,
)
def test_rules_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        StopRules(**wrong)


prices = st.decimals("80", "125", places=1)
maybe = st.none() | st.decimals("0.01", "10", places=2)
rules = st.builds(
    StopRules,
    break_even_at=st.decimals("0", "3", places=2),
    trail_atr=st.decimals("0", "5", places=1),
)


@given(st.sampled_from([LONG, SHORT]), rules, st.lists(st.tuples(prices, maybe), max_size=40))
def test_whatever_the_market_does(position, rules, path):
    """A stop only tightens, lies on the grid, and is never asked for beyond the price."""
    long = position.side == "BUY"
    for mark, atr in path:
        step = next_stop(position, mark, TICK, rules, atr)
        assert stops.tighter(position.side, step.stop_price, position.stop_price) == step.stop_price
        assert step.stop_price % TICK == 0
        assert (step.best_price >= mark) if long else (step.best_price <= mark)
        if step.move:
            assert step.stop_price < mark if long else step.stop_price > mark
            assert step.layer != "hard"
            position = msgspec.structs.replace(position, stop_price=step.stop_price)
        position = msgspec.structs.replace(position, best_price=step.best_price)


@given(rules, st.lists(st.tuples(prices, maybe), min_size=1, max_size=20))
def test_a_short_is_the_mirror_of_a_long(rules, path):
    """Mirrored around the entry the two take the same steps, but for percentages of the best."""
    even_only = msgspec.structs.replace(rules, trail_atr=D(0))
    long = msgspec.structs.replace(LONG, trail_fraction=D(0))
    short = msgspec.structs.replace(SHORT, trail_fraction=D(0))
    for mark, _ in path:
        a = next_stop(long, mark, TICK, even_only)
        b = next_stop(short, 200 - mark, TICK, even_only)
        assert (a.stop_price, a.best_price, a.layer) == (
            200 - b.stop_price,
            200 - b.best_price,
            b.layer,
        )
        long = msgspec.structs.replace(long, best_price=a.best_price, stop_price=a.stop_price)
        short = msgspec.structs.replace(short, best_price=b.best_price, stop_price=b.stop_price)
