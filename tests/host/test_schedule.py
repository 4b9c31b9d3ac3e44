"""NCRONTAB and time-span schedules against an independent reading of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.host.config import resolve, timespan
from local.host.schedule import interval_ms, parse


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("*/5 * * * * *", "2026-11-23T09:58:47", "2026-11-23T09:58:50"),
        ("0 * * * * *", "2026-11-23T09:59:00", "2026-11-23T10:00:00"),
        ("0 0 3 * * *", "2026-11-23T09:58:47", "2026-11-24T03:00:00"),
        ("0 30 9 * * Mon-Fri", "2026-11-20T09:30:00", "2026-11-23T09:30:00"),
        ("0 0 0 1 Jan *", "2026-11-23T00:00:00", "2027-01-01T00:00:00"),
        ("0 0 0 29 2 *", "2026-11-23T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 12 * * 0", "2026-11-23T00:00:00", "2026-11-29T12:00:00"),
        # a day of month and a weekday: both must hold, unlike classic cron
        ("0 0 0 13 * Fri", "2026-11-23T00:00:00", "2027-08-13T00:00:00"),
        ("5,10-12 0 0 * * *", "2026-11-23T00:00:05", "2026-11-23T00:00:10"),
        ("0 0-0 8/6 * * *", "2026-11-23T09:00:00", "2026-11-23T14:00:00"),
        # five fields: no seconds
        ("*/15 * * * *", "2026-11-23T00:01:00", "2026-11-23T00:15:00"),
        ("00:00:20", "2026-11-23T00:00:07", "2026-11-23T00:00:27"),
        ("1.00:00:00", "2026-11-23T00:00:07", "2026-11-24T00:00:07"),
    ],
)
def test_next_occurrence(expression: str, after: str, expected: str) -> None:
    assert parse(expression).next(ms(after)) == ms(expected)


@pytest.mark.parametrize(
    "expression",
    [
        *("nonsense", "", "* * * *", "61 * * * * *", "0 0 0 30 2 *", "0 0 0 L * *"),
        *("0 0 0 * * 5#2", "0 0 0 * * 7", "0 9-5 * * * *", "0 */0 * * * *", "0 1- * * * *"),
        *("00:00:00", "25:00:00", "0 0 0 * * * *", "@hourly", "0 0 0 0 * *", "0 -1 * * * *"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(expression)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.integers(2, 20).map(lambda step: f"*/{step}"),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.lists(number, min_size=1, max_size=3).map(lambda items: ",".join(map(str, items))),
    )


def allowed(text: str, low: int, high: int) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        body, _, step = part.partition("/")
        first, _, last = body.partition("-")
        bounds = (low, high) if body == "*" else (int(first), int(last or first))
        values |= set(range(bounds[0], bounds[1] + 1, int(step or 1)))
    return values


@settings(max_examples=100, deadline=None)
@given(
    fields=st.tuples(field(0, 59), field(0, 59), field(0, 23), field(1, 31), field(0, 6)),
    after=st.integers(ms("2024-02-20T00:00:00"), ms("2026-01-01T00:00:00")),
)
def test_the_next_occurrence_is_the_first_instant_that_matches(
    fields: tuple[str, str, str, str, str], after: int
) -> None:
    seconds, minutes, hours, days, weekdays = (
        allowed(text, low, high)
        for text, (low, high) in zip(
            fields, ((0, 59), (0, 59), (0, 23), (1, 31), (0, 6)), strict=True
        )
    )
    expression = f"{fields[0]} {fields[1]} {fields[2]} {fields[3]} * {fields[4]}"
    found = parse(expression).next(after)
    when = datetime.fromtimestamp(found / 1000, UTC)
    assert found > after
    assert found % 1000 == 0

    def fits(day: datetime) -> bool:
        return day.day in days and day.isoweekday() % 7 in weekdays

    assert fits(when)
    assert when.second in seconds
    assert when.minute in minutes
    assert when.hour in hours
    start = datetime.fromtimestamp(after / 1000, UTC)
    between = (start.date() + timedelta(days=n) for n in range((when.date() - start.date()).days))
    for day in between:  # on a day before, nothing later than `after` may be left
        if fits(datetime(day.year, day.month, day.day, tzinfo=UTC)):
            last = datetime(
                day.year, day.month, day.day, max(hours), max(minutes), max(seconds), tzinfo=UTC
            )
            assert last.timestamp() * 1000 <= after
    since = start if start.date() == when.date() else when.replace(hour=0, minute=0, second=0)
    floor = (since.hour * 60 + since.minute) * 60 + since.second + (since is start)
    times = (
        (h * 60 + m) * 60 + s
        for h in sorted(hours)
        if h >= floor // 3600
        for m in sorted(minutes)
        for s in sorted(seconds)
    )
    first = next(t for t in times if t >= floor)
    assert (when.hour * 60 + when.minute) * 60 + when.second == first


def test_intervals_decide_what_is_monitored() -> None:
    now = ms("2026-11-23T00:00:00")
    assert interval_ms(parse("*/30 * * * * *"), now) == 30_000
    assert interval_ms(parse("0 */5 * * * *"), now) == 300_000


def test_settings_resolve_and_missing_ones_are_named() -> None:
    assert resolve("a-%X%-%Y%", {"X": "1", "Y": "2"}) == "a-1-2"
    assert resolve("100%", {}) == "100%"
    with pytest.raises(ValueError, match="NOPE"):
        resolve("%NOPE%", {})


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:00:05", 5), ("01:02:03.5", 3723.5), ("2.00:00:00", 172800)]
)
def test_time_spans(text: str, seconds: float) -> None:
    assert timespan(text) == seconds
