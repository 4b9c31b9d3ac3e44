"""Candles as a PNG image, for models that can see. No text on it: prices and times are told apart.

PNG (ISO/IEC 15948) without a library: one filterless scan line after the other, compressed. Most
models take no SVG, and a drawing library would be deployed for one picture.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from shared.market.candle import Columns

WIDTH, HEIGHT = 960, 560
#: Part of the height that prices take; the rest is volume.
PRICES = 0.8
_MARGIN = 8
_WHITE, _GRID = (255, 255, 255), (225, 228, 232)
_UP, _DOWN, _VOLUME = (8, 130, 84), (205, 40, 50), (150, 160, 175)

Canvas = NDArray[np.uint8]


def chart_png(columns: Columns, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """An image of the candles, the earliest at the left edge and the last at the right.

    Rising candles are green, falling ones red; grey bars at the bottom are volume.
    """
    canvas: Canvas = np.full((height, width, 3), _WHITE, np.uint8)
    floor = int(height * PRICES)
    low, high = float(np.min(columns.low)), float(np.max(columns.high))
    reach = (high - low) or high * 0.01

    def y(price: float) -> int:
        return round(_MARGIN + (high - price) / reach * (floor - 2 * _MARGIN))

    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas[y(low + part * (high - low))] = _GRID
    most = float(np.max(columns.volume)) or 1.0
    count = len(columns)
    for i in range(count):
        left, right = i * width // count, (i + 1) * width // count
        gap = (right - left) // 5
        left, right = left + gap, max(left + gap + 1, right - gap)
        middle = (left + right) // 2
        opened, close = float(columns.open[i]), float(columns.close[i])
        tone = _UP if close >= opened else _DOWN
        canvas[y(float(columns.high[i])) : y(float(columns.low[i])) + 1, middle] = tone
        canvas[y(max(opened, close)) : y(min(opened, close)) + 1, left:right] = tone
        tall = int(float(columns.volume[i]) / most * (height - floor - _MARGIN))
        canvas[height - tall : height, left:right] = _VOLUME
    return png(canvas)


def png(canvas: Canvas) -> bytes:
    """Pixels of shape (height, width, 3) as a PNG file."""
    height, width, _ = canvas.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)
    lines[:, 1:] = canvas.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, body)
        for kind, body in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(lines.tobytes(), 9)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)
