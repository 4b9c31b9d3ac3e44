"""A chart as a picture, and what a model that can see says of it."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from shared.intelligence.chart_image import chart_png, png
from shared.market.candle import Columns


def decoded(data: bytes) -> np.ndarray:
    """Pixels of a PNG by the standard's own words; every checksum is looked at."""
    assert data[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
    at, chunks = 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert checksum == zlib.crc32(kind + body)
        chunks.append((kind, body))
        at += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, colour, rest) == (8, 2, [0, 0, 0])
    raw = np.frombuffer(zlib.decompress(chunks[1][1]), np.uint8).reshape(height, 1 + 3 * width)
    assert not raw[:, 0].any()
    return raw[:, 1:].reshape(height, width, 3)


def test_a_png_is_what_was_painted() -> None:
    random = np.random.default_rng(1)
    canvas = random.integers(0, 256, (13, 29, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(png(canvas)), canvas)


def bars(opened: list[float], close: list[float]) -> Columns:
    o, c = np.array(opened), np.array(close)
    times = 3_600_000 * np.arange(len(o), dtype=np.int64)
    return Columns(
        "X", "1h", times, o, np.maximum(o, c) + 1.0, np.minimum(o, c) - 1.0, c, np.ones(len(o))
    )


@pytest.mark.parametrize("count", [1, 4, 144, 900])
def test_rising_candles_are_green_and_falling_ones_red_in_their_places(count: int) -> None:
    up = [i % 2 == 0 for i in range(count)]
    chart = decoded(
        chart_png(bars([10.0 if u else 20.0 for u in up], [20.0 if u else 10.0 for u in up]))
    )
    height, width, _ = chart.shape
    prices = chart[: int(height * 0.8)].astype(int)
    green = (prices[..., 1] > prices[..., 0] + 60).any(axis=0)
    red = (prices[..., 0] > prices[..., 1] + 60).any(axis=0)
    for i in range(0, count, max(1, count // 9)):
        part = slice(i * width // count, max(i * width // count + 1, (i + 1) * width // count))
        assert green[part].any() == up[i]
        assert red[part].any() == (not up[i])


def test_higher_prices_are_further_up() -> None:
    chart = decoded(chart_png(bars([10.0, 100.0], [12.0, 110.0]))).astype(int)
    coloured = (np.abs(chart[..., 1] - chart[..., 0]) > 60).any(axis=1)
    rows = [
        np.flatnonzero((np.abs(chart[:, half, 1] - chart[:, half, 0]) > 60).any(axis=1))
        for half in (slice(0, 480), slice(480, 960))
    ]
    assert rows[1].max() < rows[0].min()
    assert coloured.any()


def test_a_market_that_stands_still_can_be_drawn() -> None:
    still = np.full(5, 3.0)
    times = np.arange(5, dtype=np.int64)
    flat = Columns("X", "1h", times, still, still, still, still, np.zeros(5))
    assert decoded(chart_png(flat)).shape == (560, 960, 3)
