"""Downloads against an archive server and the simulated exchange's REST interface."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from publisher import FUNDING_HEADER, Publisher, candles, kline_csv, ms, publishing

from shared.errors import ExchangeHalted, ExchangeUnavailable, InvalidInput, MarketDataError
from shared.market.files import load_market
from shared.research.data.download import Outcome, download, verify
from shared.research.data.series import Series

SYMBOL = "BTCUSDT"
LISTED, NOW = ms("2025-02-10T00:00"), ms("2025-05-20T10:30")
HOURS = Series(SYMBOL, "candles", "1h")
#: What is on the exchange, and should be in the folder.
TRUTH = candles(SYMBOL, "1h", LISTED, ms("2025-06-01"))


@pytest.fixture
def world() -> Iterator[Publisher]:
    """Months until March, days of April but the 17th, days of May until the 19th."""
    with publishing(TRUTH, NOW) as publisher:
        archive = publisher.archive
        archive.klines(TRUTH, "2025-02", header=False)
        archive.klines(TRUTH, "2025-03")
        for day in range(1, 31):
            if day != 17:
                archive.klines(TRUTH, f"2025-04-{day:02d}", microseconds=day == 3)
        for day in range(1, 20):
            archive.klines(TRUTH, f"2025-05-{day:02d}")
        yield publisher


def fetch(
    world: Publisher, folder: Path, start: str, end: str, series: Series = HOURS, **which: bool
) -> Outcome:
    return download(folder, [series], ms(start), ms(end), world.sources(**which), world.clock)


def same_as_truth(folder: Path, start: str, end: str) -> None:
    market = load_market(folder, [SYMBOL], ms(start), ms(end))[SYMBOL].candles
    a, b = np.searchsorted(TRUTH.open_time, (ms(start), ms(end)))
    expected = TRUTH.window(int(a), int(b))
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(market, name), getattr(expected, name), name)


def test_archive_months_then_days_then_rest(world: Publisher, tmp_path: Path) -> None:
    outcome = fetch(world, tmp_path, "2025-02-10", "2025-05-21")
    same_as_truth(tmp_path, "2025-02-10", "2025-05-20T10:00")
    assert (outcome.fetched, outcome.kept, outcome.missing) == (4, 0, {})
    # Hours from 10 February to 20 May 10:00; the candle of 10:00 is still open.
    assert outcome.rows == (19 + 31 + 30 + 19) * 24 + 10
    assert sorted(f.name for f in tmp_path.glob("*.parquet")) == [
        f"BTCUSDT-1h-2025-{month}.parquet" for month in ("02", "03", "04", "05")
    ]
    assert len(world.archive.zips()) == 2 + 29 + 19
    assert [p.name for p in (tmp_path / ".download").iterdir()] == ["lock"]


def test_what_is_there_is_not_fetched_again(world: Publisher, tmp_path: Path) -> None:
    fetch(world, tmp_path, "2025-02-10", "2025-05-21")
    before = {f.name: f.read_bytes() for f in tmp_path.glob("*.parquet")}
    world.archive.asked.clear()
    outcome = fetch(world, tmp_path, "2025-02-10", "2025-05-21")
    assert (outcome.fetched, outcome.kept, outcome.rows) == (0, 4, 0)
    assert world.archive.asked == []
    world.clock.advance_to(ms("2025-05-20T15:10"))
    outcome = fetch(world, tmp_path, "2025-02-10", "2025-05-21")
    assert (outcome.fetched, outcome.kept, outcome.rows) == (1, 3, 5)
    same_as_truth(tmp_path, "2025-02-10", "2025-05-20T15:00")
    assert {n: b for n, b in before.items() if "-05" not in n} == {
        f.name: f.read_bytes() for f in tmp_path.glob("*.parquet") if "-05" not in f.name
    }


def test_a_month_that_grew_out_of_days_is_taken_from_its_own_file(
    world: Publisher, tmp_path: Path
) -> None:
    fetch(world, tmp_path, "2025-04-05", "2025-04-20")
    april = world.archive.klines(TRUTH, "2025-04")
    fetch(world, tmp_path, "2025-04-01", "2025-05-01")
    same_as_truth(tmp_path, "2025-04-01", "2025-05-01")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (source,) = manifest["BTCUSDT-1h-2025-04.parquet"]["sources"]
    assert source["path"] == april


def test_nothing_is_asked_for_before_the_listing(world: Publisher, tmp_path: Path) -> None:
    outcome = fetch(world, tmp_path, "2024-12-15", "2025-03-01")
    assert "nothing at all" not in " ".join(outcome.notes)
    assert len([n for n in outcome.notes if "nothing before" in n]) == 2
    # Two months that nobody has, each asked for once; no days of them.
    assert len(world.archive.asked) == 2 + 2
    assert outcome.missing["BTCUSDT-1h-2024-12.parquet"] == [(ms("2024-12-15"), ms("2025-01-01"))]
    same_as_truth(tmp_path, "2025-02-10", "2025-03-01")


def test_holes_of_an_archive_file_are_filled_from_rest(world: Publisher, tmp_path: Path) -> None:
    path = "/data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-03.zip"
    a, b = np.searchsorted(TRUTH.open_time, (ms("2025-03-01"), ms("2025-04-01")))
    march = TRUTH.window(int(a), int(b))
    lines = kline_csv(march, header=True).splitlines(keepends=True)
    world.archive.publish(path, "".join(lines[:100] + lines[130:]))
    outcome = fetch(world, tmp_path, "2025-03-01", "2025-04-01")
    assert outcome.missing == {}
    same_as_truth(tmp_path, "2025-03-01", "2025-04-01")


def test_what_no_source_has_is_told(world: Publisher, tmp_path: Path) -> None:
    outcome = fetch(world, tmp_path, "2025-04-15", "2025-04-20", rest=False)
    name = "BTCUSDT-1h-2025-04.parquet"
    assert outcome.missing == {name: [(ms("2025-04-17"), ms("2025-04-18"))]}
    # With REST at hand the same command fills it.
    assert fetch(world, tmp_path, "2025-04-15", "2025-04-20").missing == {}
    same_as_truth(tmp_path, "2025-04-15", "2025-04-20")


def test_rest_alone(world: Publisher, tmp_path: Path) -> None:
    outcome = fetch(world, tmp_path, "2025-02-10", "2025-05-21", archive=False)
    assert outcome.missing == {}
    assert world.archive.asked == []
    same_as_truth(tmp_path, "2025-02-10", "2025-05-20T10:00")


def test_mark_prices_and_funding(world: Publisher, tmp_path: Path) -> None:
    folder = "/data/futures/um/monthly/markPriceKlines/BTCUSDT/1h"
    a, b = np.searchsorted(TRUTH.open_time, (ms("2025-03-01"), ms("2025-04-01")))
    march = TRUTH.window(int(a), int(b))
    world.archive.publish(f"{folder}/BTCUSDT-1h-2025-03.zip", kline_csv(march, header=True))
    times = range(ms("2025-03-01"), ms("2025-04-01"), 8 * 3_600_000)
    rates = "".join(f"{t},8,{0.0001 if t % 3 else -0.00025}\n" for t in times)
    world.archive.publish(
        "/data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2025-03.zip",
        FUNDING_HEADER + rates,
    )
    for series in (HOURS, Series(SYMBOL, "mark", "1h"), Series(SYMBOL, "funding")):
        assert fetch(world, tmp_path, "2025-03-01", "2025-05-01", series).missing == {}
    market = load_market(tmp_path, [SYMBOL], ms("2025-03-01"), ms("2025-05-01"))[SYMBOL]
    assert market.mark is not None
    assert market.funding is not None
    np.testing.assert_array_equal(market.mark.close, market.candles.close)
    # March from the archive, April from REST (0.01 % there): 93 and 90 settlements.
    assert len(market.funding.time) == 93 + 90
    assert market.funding.rate[:93].tolist() == [0.0001 if t % 3 else -0.00025 for t in times]
    assert set(market.funding.rate[93:].tolist()) == {0.0001}


# ---------------------------------------------------------------- trouble

MARCH = "/data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2025-03.zip"


@pytest.mark.parametrize(
    "answers",
    [["cut"], ["cut", "cut", "cut"], [500, 503], [429], ["wrong"], [429, "cut", 502, "cut"]],
    ids=str,
)
def test_trouble_that_passes(world: Publisher, tmp_path: Path, answers: list[object]) -> None:
    world.archive.trouble[MARCH] = list(answers)
    fetch(world, tmp_path, "2025-03-01", "2025-04-01", rest=False)
    same_as_truth(tmp_path, "2025-03-01", "2025-04-01")
    if answers == ["cut"]:
        path, wanted = world.archive.asked[-1]
        assert path == MARCH
        held = int(wanted.removeprefix("bytes=").removesuffix("-"))
        # What is lost of the half that arrived is less than one chunk.
        assert 0 <= len(world.archive.files[MARCH]) // 2 - held < 4096
    if 429 in answers:
        assert world.clock.now_ms() >= NOW + 7000


def test_a_server_that_stays_down_is_told_and_resumed(world: Publisher, tmp_path: Path) -> None:
    world.archive.trouble[MARCH] = ["cut", *[500] * 5]
    with pytest.raises(ExchangeUnavailable, match="goes on where it stopped"):
        fetch(world, tmp_path, "2025-03-01", "2025-04-01", rest=False)
    assert list(tmp_path.glob("*.parquet")) == []
    world.archive.asked.clear()
    fetch(world, tmp_path, "2025-03-01", "2025-04-01", rest=False)
    assert world.archive.asked[-1][1].startswith("bytes=")
    same_as_truth(tmp_path, "2025-03-01", "2025-04-01")


def test_a_ban_ends_it_at_once(world: Publisher, tmp_path: Path) -> None:
    world.archive.trouble[MARCH] = [418]
    with pytest.raises(ExchangeHalted, match="banned by the venue until 2025-05-20T10:30:07"):
        fetch(world, tmp_path, "2025-03-01", "2025-04-01", rest=False)
    assert len(world.archive.zips()) == 1


def test_a_wrong_checksum_is_refused(world: Publisher, tmp_path: Path) -> None:
    world.archive.check(MARCH, "ab" * 32)
    with pytest.raises(MarketDataError, match="does not match its checksum"):
        fetch(world, tmp_path, "2025-03-01", "2025-04-01", rest=False)
    assert list(tmp_path.glob("*.parquet")) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04 but no zip", "broken zip file"),
        (b"", "broken zip file"),
        (None, "cannot be read"),
    ],
)
def test_an_archive_file_that_is_broken(
    world: Publisher, tmp_path: Path, content: bytes | None, said: str
) -> None:
    import hashlib

    if content is None:
        world.archive.publish(MARCH, "1740787200000,1,2,much,1,1\n")
    else:
        world.archive.files[MARCH] = content
        world.archive.check(MARCH, hashlib.sha256(content).hexdigest())
    with pytest.raises(MarketDataError, match=said):
        fetch(world, tmp_path, "2025-03-01", "2025-04-01", rest=False)
    assert list(tmp_path.glob("*.parquet")) == []


def test_the_venues_limit_is_kept(tmp_path: Path) -> None:
    """Eight days of minutes are eight pages of weight 10; the venue allows 40 a minute."""
    minutes = candles(SYMBOL, "1m", ms("2025-05-10"), ms("2025-05-21"))
    with publishing(minutes, NOW, weight=40) as world:
        sources = world.sources(archive=False, weight=40)
        one = Series(SYMBOL, "candles", "1m")
        download(tmp_path, [one], ms("2025-05-12"), ms("2025-05-20"), sources, world.clock)
        # Three pages and the time fit into 85 % of 40: the rest waits for two further minutes.
        assert world.clock.now_ms() >= NOW + 120_000
    market = load_market(tmp_path, [SYMBOL], ms("2025-05-12"), ms("2025-05-20"))[SYMBOL]
    assert len(market.candles) == 8 * 1440


def test_a_venue_that_refuses_more_than_we_think_is_waited_for(tmp_path: Path) -> None:
    minutes = candles(SYMBOL, "1m", ms("2025-05-10"), ms("2025-05-21"))
    with publishing(minutes, NOW, weight=15) as world:
        one = Series(SYMBOL, "candles", "1m")
        download(
            tmp_path,
            [one],
            ms("2025-05-12"),
            ms("2025-05-15"),
            world.sources(archive=False),
            world.clock,
        )
        assert world.clock.now_ms() >= NOW + 60_000


def test_an_unknown_symbol_is_refused_in_the_venues_words(world: Publisher, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="Invalid symbol"):
        fetch(world, tmp_path, "2025-03-01", "2025-04-01", Series("NOSUCHUSDT", "candles", "1h"))


def test_ranges_that_cannot_be(world: Publisher, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="before it begins"):
        fetch(world, tmp_path, "2025-04-01", "2025-03-01")
    with pytest.raises(InvalidInput, match="in the future"):
        fetch(world, tmp_path, "2025-07-01", "2025-08-01")


def test_files_of_somebody_else_are_left_alone(world: Publisher, tmp_path: Path) -> None:
    mine = tmp_path / "BTCUSDT-1h-2025-03.parquet"
    mine.write_bytes(b"mine")
    with pytest.raises(InvalidInput, match="is not from a download"):
        fetch(world, tmp_path, "2025-03-01", "2025-04-01")
    assert mine.read_bytes() == b"mine"


def test_a_damaged_file_is_fetched_again(world: Publisher, tmp_path: Path) -> None:
    fetch(world, tmp_path, "2025-03-01", "2025-04-01")
    file = tmp_path / "BTCUSDT-1h-2025-03.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    assert verify(tmp_path, None).problems == [f"{file.name}: was changed; download it again"]
    fetch(world, tmp_path, "2025-03-01", "2025-04-01")
    assert verify(tmp_path, None).problems == []
    same_as_truth(tmp_path, "2025-03-01", "2025-04-01")


def test_a_file_that_the_archive_replaced_is_named(world: Publisher, tmp_path: Path) -> None:
    fetch(world, tmp_path, "2025-03-01", "2025-05-01")
    found = verify(tmp_path, world.sources())
    assert (found.files, found.compared, found.problems) == (2, 1 + 29, [])
    world.archive.check(MARCH, "cd" * 32)
    assert verify(tmp_path, world.sources()).problems == [
        f"BTCUSDT-1h-2025-03.parquet: the archive has replaced {MARCH}; remove the file, "
        "download it again"
    ]


# ---------------------------------------------------------------- the command, killed

ROOT = Path(__file__).resolve().parents[2]


def command(world: Publisher, folder: Path, *more: str) -> list[str]:
    options = ["--symbols", SYMBOL, "--timeframe", "1h", "--what", "candles", "--out", str(folder)]
    addresses = ["--archive", world.archive.url, "--rest", world.rest_url, "--quiet"]
    span = ["--from", "2025-02-10", "--to", "2025-05-19"]
    return [sys.executable, "-m", "local.cli", "download", *options, *addresses, *span, *more]


def test_killed_and_started_again(world: Publisher, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    # The tenth day of April does not answer for a while: that is where it is killed.
    place = "/data/futures/um/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2025-04-10.zip"
    world.archive.trouble[place] = [500, 500, 500]
    process = subprocess.Popen(command(world, tmp_path), env=environment)
    while not any(path == place for path, _ in list(world.archive.asked)):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "BTCUSDT-1h-2025-03.parquet").exists()
    assert not (tmp_path / "BTCUSDT-1h-2025-04.parquet").exists()
    world.archive.trouble.clear()
    world.archive.asked.clear()
    done = subprocess.run(
        command(world, tmp_path), env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert "2 months fetched, 2 were there" in done.stdout
    # Pieces that had arrived before the kill are not fetched again.
    assert not any("2025-04-0" in path for path in world.archive.zips())
    same_as_truth(tmp_path, "2025-02-10", "2025-05-20")
    told = subprocess.run(
        [*command(world, tmp_path), "--verify"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert told.returncode == 0
    assert "4 files" in told.stdout
    assert "0 problem(s)" in told.stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--what", "candels"], "use candles, mark, funding"),
        (["--symbols", "btc/usdt"], "write it like BTCUSDT"),
        (["--timeframe", "7m"], "unknown time frame"),
        (["--source", "torrent"], "use archive, rest or both"),
        (["--archive", "nowhere"], "is no http(s) address"),
    ],
)
def test_options_that_cannot_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, more: list[str], said: str
) -> None:
    from local.cli.main import main

    base = ["download", "--symbols", SYMBOL, "--from", "2025-02-10", "--to", "2025-02-11"]
    assert main([*base, "--out", str(tmp_path), *more]) == 2
    assert said in capsys.readouterr().err
