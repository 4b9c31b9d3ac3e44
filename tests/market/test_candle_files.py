"""Candle files: what is read, and what is refused with a message one can act upon."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

from shared.errors import BorsaError, InvalidInput, MarketDataError
from shared.market.files import SymbolMarket, load_market
from shared.market.resample import resample
from shared.market.timeframe import duration_ms

REAL = Path(__file__).parents[2].parent / "shared" / "market"
DAY = 86_400_000
HOUR = 3_600_000
T0 = 1_746_316_800_000  # 2025-05-04T00:00:00Z


def candles(timeframe: str, start: int, bars: int) -> dict[str, list[float]]:
    """Candles whose close is a function of their time, so any file agrees with any other."""
    step = duration_ms(timeframe)
    times = [start + i * step for i in range(bars)]
    close = [100.0 + (t // 60_000) % 97 / 10 for t in times]
    return {
        "open_time": times,
        "open": [c - 0.5 for c in close],
        "high": [c + 1.0 for c in close],
        "low": [c - 1.0 for c in close],
        "close": close,
        "volume": [float(1 + (t // 60_000) % 5) for t in times],
    }


@dataclass
class Folder:
    path: Path
    written: list[str] = field(default_factory=list)

    def write(self, name: str, columns: dict[str, list[float]]) -> Folder:
        table = pa.table(columns)
        if name.endswith(".csv"):
            pcsv.write_csv(table, self.path / name)
        else:
            pq.write_table(table, self.path / name)
        self.written.append(name)
        return self

    def days(self, name: str, timeframe: str, first: float, last: float) -> Folder:
        """Whole candles from day ``first`` to day ``last`` after T0."""
        bars = int((last - first) * DAY / duration_ms(timeframe))
        return self.write(name, candles(timeframe, T0 + int(first * DAY), bars))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def load(folder: Folder, first: float, last: float, **options: int) -> SymbolMarket:
    return load_market(
        folder.path, ["BTCUSDT"], T0 + int(first * DAY), T0 + int(last * DAY), **options
    )["BTCUSDT"]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_the_range_with_its_warm_up(folder: Folder, suffix: str) -> None:
    folder.days(f"BTCUSDT-5m.{suffix}", "5m", 0, 4)
    market = load(folder, 1, 3, warmup_bars=10)
    assert (market.candles.symbol, market.candles.timeframe) == ("BTCUSDT", "5m")
    assert market.warmup == 10
    assert len(market.candles) == 10 + 2 * 288
    assert market.candles.open_time[10] == market.start_ms == T0 + DAY
    assert market.candles.open_time[-1] == T0 + 3 * DAY - 300_000
    assert market.end_ms == T0 + 3 * DAY
    expected = candles("5m", T0 + DAY - 10 * 300_000, len(market.candles))
    for name, column in expected.items():
        assert getattr(market.candles, name).tolist() == column
    assert market.mark is None
    assert market.funding is None
    assert market.candles.open_time.dtype == np.int64


def test_warm_up_is_as_long_as_there_is(folder: Folder) -> None:
    folder.days("BTCUSDT-1h.parquet", "1h", 0, 3)
    assert load(folder, 0.5, 2, warmup_bars=1000).warmup == 12
    assert load(folder, 0.5, 2).warmup == 0


def test_the_finest_time_frame_that_covers_the_range(folder: Folder) -> None:
    folder.days("BTCUSDT-1h.parquet", "1h", 0, 30)
    folder.days("BTCUSDT-5m.parquet", "5m", 10, 20)
    folder.days("BTCUSDT-1m-may.parquet", "1m", 14, 16)
    assert load(folder, 14, 16).candles.timeframe == "1m"
    assert load(folder, 12, 18).candles.timeframe == "5m"
    assert load(folder, 5, 18).candles.timeframe == "1h"


def test_longer_candles_reach_back_before_the_finest(folder: Folder) -> None:
    folder.days("BTCUSDT-1h.parquet", "1h", 0, 30)
    first = 14 + (15 * 60 + 33) / 1440
    folder.days("BTCUSDT-1m.parquet", "1m", first, 16)
    market = load(folder, 14, 16, warmup_bars=100)
    assert market.start_ms == T0 + 14 * DAY + 15 * HOUR + 33 * 60_000
    hours = market.longer["1h"]
    assert len(hours) == 100
    made = resample(market.candles, "1h")
    assert hours.open_time[-1] + HOUR == made.open_time[0] == T0 + 14 * DAY + 16 * HOUR


def test_files_of_one_time_frame_are_joined(folder: Folder) -> None:
    folder.days("BTCUSDT-5m-b.csv", "5m", 2, 4)
    folder.days("BTCUSDT-5m-a.parquet", "5m", 0, 2)
    folder.days("BTCUSDT-5m-overlap.parquet", "5m", 3, 5)
    market = load(folder, 0, 5)
    expected = candles("5m", T0, 5 * 288)
    assert market.candles.open_time.tolist() == expected["open_time"]
    assert market.candles.close.tolist() == expected["close"]


def test_mark_and_funding_of_the_same_span(folder: Folder) -> None:
    folder.days("BTCUSDT-5m.parquet", "5m", 0, 4)
    mark = candles("1h", T0, 4 * 24)
    del mark["volume"]
    folder.write("BTCUSDT-1h-mark.parquet", mark)
    times = [T0 + i * 8 * HOUR for i in range(12)]
    folder.write(
        "BTCUSDT-funding.csv", {"funding_time": times, "funding_rate": [i / 1e4 for i in range(12)]}
    )
    market = load(folder, 1, 2)
    assert market.mark is not None
    assert market.mark.open_time.tolist() == [T0 + DAY + i * HOUR for i in range(24)]
    assert market.funding is not None
    assert market.funding.time.tolist() == [T0 + DAY + i * 8 * HOUR for i in range(3)]
    assert market.funding.rate.tolist() == [3 / 1e4, 4 / 1e4, 5 / 1e4]


def test_a_hole_outside_the_range_does_not_matter(folder: Folder) -> None:
    table = candles("1h", T0, 96)
    folder.write("BTCUSDT-1h.parquet", {k: v[:10] + v[14:] for k, v in table.items()})
    assert load(folder, 1, 3, warmup_bars=50).warmup == 10


def test_a_second_file_may_fill_a_hole(folder: Folder) -> None:
    table = candles("1h", T0, 96)
    folder.write("BTCUSDT-1h.parquet", {k: v[:40] + v[44:] for k, v in table.items()})
    folder.write("BTCUSDT-1h-patch.csv", {k: v[38:46] for k, v in table.items()})
    assert len(load(folder, 0, 4).candles) == 96


Change = Callable[[dict[str, list[float]]], object]


def put(name: str, row: int, value: float) -> Change:
    return lambda table: table[name].__setitem__(row, value)


def drop(name: str) -> Change:
    return lambda table: table.pop(name)


def rows(pick: Callable[[list[float]], list[float]]) -> Change:
    return lambda table: table.update({k: pick(v) for k, v in table.items()})


BROKEN: list[tuple[str, Change, str]] = [
    ("column missing", drop("low"), "column low is missing; it has open_time, open, high"),
    ("time missing", drop("open_time"), "column open_time is missing"),
    ("unsorted", rows(lambda v: [*v[:30], v[31], v[30], *v[32:]]), "row 32 .* is not in order"),
    ("doubled", rows(lambda v: [*v[:30], v[29], *v[30:]]), r"row 31 .2025-05-05T05.* is doubled"),
    ("nan", put("close", 40, float("nan")), "close is not a number"),
    ("infinite", put("high", 40, float("inf")), "high is not a number"),
    ("empty cell", lambda t: t["volume"].__setitem__(40, None), "volume is not a number in row 41"),  # type: ignore[call-overload]
    ("text", lambda t: t.update(open=["x"] * 96), "column open is not numeric"),
    ("negative price", put("low", 40, -1.0), "no candle can be open"),
    ("negative volume", put("volume", 40, -1.0), "no candle can be open"),
    ("high below close", put("high", 40, 90.0), "no candle can be open"),
    ("low above open", put("low", 40, 109.9), "no candle can be open"),
    ("off the grid", put("open_time", 95, T0 + 95 * HOUR + 5), "no 1h boundary"),
    ("hole", rows(lambda v: v[:40] + v[43:]), r"3 candle.s. missing from 2025-05-05T16.*T19"),
    ("no rows", rows(lambda v: v[:0]), "has no row"),
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize(("case", "change", "message"), BROKEN, ids=[b[0] for b in BROKEN])
def test_broken_files_are_refused_with_the_place(
    folder: Folder, suffix: str, case: str, change: Change, message: str
) -> None:
    table = candles("1h", T0, 96)
    change(table)
    if case == "no rows":
        table = {k: pa.array([], pa.int64() if k == "open_time" else pa.float64()) for k in table}
        message = message if suffix == "parquet" else "has no row|not numeric|cannot be read"
    folder.write(f"BTCUSDT-1h.{suffix}", table)
    with pytest.raises(MarketDataError, match=f"BTCUSDT-1h.{suffix}: .*{message}"):
        load(folder, 0, 4)


def test_files_that_contradict_each_other(folder: Folder) -> None:
    folder.days("BTCUSDT-1h-a.parquet", "1h", 0, 3)
    table = candles("1h", T0 + 2 * DAY, 48)
    table["close"][5] += 0.25
    folder.write("BTCUSDT-1h-b.parquet", table)
    with pytest.raises(MarketDataError, match="disagree on close at 2025-05-06T05:00"):
        load(folder, 0, 4)


def test_a_file_that_is_no_parquet(folder: Folder) -> None:
    (folder.path / "BTCUSDT-1h.parquet").write_bytes(b"not a parquet file at all")
    with pytest.raises(MarketDataError, match="cannot be read"):
        load(folder, 0, 1)


def ask(folder: Folder, symbols: list[str], first: float, last: float, below: str = "") -> None:
    load_market(folder.path / below, symbols, T0 + int(first * DAY), T0 + int(last * DAY))


@pytest.mark.parametrize(
    ("symbols", "first", "last", "below", "message"),
    [
        (["BTCUSDT"], 0, 1, "nowhere", "no such folder"),
        (["BTCUSDT"], 0, 1, "empty", "no candle file; they are named like"),
        (["DOGEUSDT"], 0, 1, "", "no candles of DOGEUSDT; there are candles of BTCUSDT, ETHUSDT"),
        (["BTCUSDT", "DOGEUSDT"], 0, 1, "", "DOGEUSDT"),
        ([], 0, 1, "", "at least one symbol"),
        (["BTCUSDT"], 1, 1, "", "ends .* before it begins"),
        (["BTCUSDT"], -5, 1, "", "cover 2025-04-29.* to 2025-05-05.*; there are 1h 2025-05-04"),
        (["BTCUSDT"], 2, 9, "", "there are 1h 2025-05-04"),
        (["BTCUSDT"], 20, 21, "", "there are 1h 2025-05-04"),
        (["BTCUSDT"], 1.001, 1.002, "", "no whole 1h candle"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_met_say_what_there_is(
    folder: Folder, symbols: list[str], first: float, last: float, below: str, message: str
) -> None:
    folder.days("BTCUSDT-1h.parquet", "1h", 0, 4)
    folder.days("ETHUSDT-1h.parquet", "1h", 0, 4)
    (folder.path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=message):
        ask(folder, symbols, first, last, below)


def test_every_refusal_is_an_error_of_ours() -> None:
    assert issubclass(InvalidInput, BorsaError)
    assert issubclass(MarketDataError, BorsaError)


@pytest.mark.parametrize("timeframe", ["5m", "15m", "1h"])
def test_resampling_by_hand(folder: Folder, timeframe: str) -> None:
    folder.write("BTCUSDT-1m.csv", candles("1m", T0 + 7 * 60_000, 400))
    minutes = load(folder, 0, 0.3).candles
    step = duration_ms(timeframe)
    groups: dict[int, list[int]] = {}
    for i, t in enumerate(minutes.open_time.tolist()):
        groups.setdefault(t // step * step, []).append(i)
    whole = {t: g for t, g in groups.items() if len(g) == step // 60_000}
    got = resample(minutes, timeframe)
    assert got.open_time.tolist() == list(whole)
    for k, (at, group) in enumerate(whole.items()):
        assert got.open_time[k] == at
        assert got.open[k] == minutes.open[group[0]]
        assert got.close[k] == minutes.close[group[-1]]
        assert got.high[k] == max(minutes.high[group])
        assert got.low[k] == min(minutes.low[group])
        assert got.volume[k] == sum(minutes.volume[group])


def test_resampling_edges(folder: Folder) -> None:
    folder.days("BTCUSDT-1h.parquet", "1h", 0, 1)
    hours = load(folder, 0, 1).candles
    assert resample(hours, "1h") is hours
    assert len(resample(hours.window(1, 4), "4h")) == 0
    assert len(resample(hours.window(0, 0), "4h")) == 0
    with pytest.raises(InvalidInput, match="5m candles cannot be made of 1h"):
        resample(hours, "5m")


def test_reading_needs_no_pandas(folder: Folder) -> None:
    folder.days("BTCUSDT-1h.parquet", "1h", 0, 2)
    code = (
        "import sys\nfrom shared.market.files import load_market\n"
        "assert 'pyarrow' not in sys.modules\n"
        f"load_market({str(folder.path)!r}, ['BTCUSDT'], {T0}, {T0 + DAY})\n"
        "print('pandas' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(not REAL.is_dir(), reason="no real market data beside the checkout")
def test_the_real_folder() -> None:
    may = load_market(REAL, ["BTCUSDT", "ETHUSDT"], T0, T0 + 28 * DAY, warmup_bars=600)
    for market in may.values():
        assert market.candles.timeframe == "1m"
        assert market.end_ms == T0 + 28 * DAY
        assert T0 <= market.start_ms < T0 + DAY
        assert market.mark is not None
        assert market.funding is not None
        assert {b - a for a, b in itertools.pairwise(market.funding.time.tolist())} == {8 * HOUR}
        hours = load_market(REAL, [market.symbol], T0 - 20 * DAY, T0 + 28 * DAY)[market.symbol]
        assert hours.candles.timeframe == "1h"
        made = resample(market.candles, "1h")
        first = int(np.searchsorted(hours.candles.open_time, made.open_time[0]))
        same = hours.candles.window(first, first + len(made))
        for name in ("open_time", "open", "high", "low", "close"):
            np.testing.assert_array_equal(getattr(made, name), getattr(same, name))
        np.testing.assert_allclose(made.volume, same.volume, rtol=1e-3)
        history = market.longer["1h"]
        assert history.open_time[-1] + HOUR == made.open_time[0]
        assert len(history) == 600
