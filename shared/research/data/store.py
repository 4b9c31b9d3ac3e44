"""The folder of parquet files and its manifest; every write is whole or not at all.

``manifest.json`` says of every downloaded file which times it covers, from what it was made and its
SHA-256. Files that are not in it (brought by hand, imported) are left alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

from shared.errors import InvalidInput, MarketDataError
from shared.research.data.intervals import Interval
from shared.research.data.series import Rows, Series

MANIFEST = "manifest.json"
#: Pieces of files that are not complete yet.
WORK = ".download"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """An archive file that rows came from."""

    path: str
    sha256: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one file.

    ``covered`` are the times that were asked for and answered (UTC ms, end exclusive); ``missing``
    those in it that no source has a candle for.
    """

    sha256: str
    rows: int
    covered: list[Interval] = []
    missing: list[Interval] = []
    sources: list[Source] = []


class DataFolder:
    """A folder that downloads are kept in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> DataFolder:
        """The folder with what its manifest says.

        Raises
        ------
        InvalidInput
            When it is not there, or its manifest cannot be read.
        """
        folder = cls(path)
        if create:
            (path / WORK).mkdir(parents=True, exist_ok=True)
        elif not path.is_dir():
            raise InvalidInput(f"{path}: no such folder")
        file = path / MANIFEST
        if file.exists():
            try:
                folder.entries = msgspec.json.decode(file.read_bytes(), type=dict[str, Entry])
            except msgspec.MsgspecError as error:
                raise InvalidInput(
                    f"{file}: cannot be read ({error}); remove it, and everything is fetched anew"
                ) from error
        return folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else downloads into the folder meanwhile.

        Raises
        ------
        InvalidInput
            When somebody does.
        """
        with (self.path / WORK / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InvalidInput(f"{self.path}: another download is writing here") from error
            yield

    def piece(self, name: str) -> Path:
        """Where a piece is kept until its file is written."""
        return self.path / WORK / name

    def clear_pieces(self) -> None:
        """Remove pieces that no file needs any more, of downloads that were cut short."""
        for piece in (self.path / WORK).iterdir():
            if piece.name != "lock":
                piece.unlink()

    def sound(self, name: str) -> bool:
        """Whether a file is there as the manifest says."""
        entry = self.entries.get(name)
        file = self.path / name
        if entry is None or not entry.rows:
            return entry is not None
        return file.exists() and sha256(file) == entry.sha256

    def keep(
        self,
        name: str,
        series: Series,
        rows: Rows,
        covered: list[Interval],
        missing: list[Interval],
        sources: list[Source],
    ) -> None:
        """Note a file and write it. Without rows only the note is written.

        The note comes first: after a crash between the two it does not fit the file, which is then
        made anew, while a file without a note is somebody else's.
        """
        file = self.path / name
        if name not in self.entries and file.exists():
            raise InvalidInput(f"{file}: exists and is not from a download; use another --out")
        content = encoded(series, rows) if len(rows) else b""
        self.entries[name] = Entry(
            sha256=hashlib.sha256(content).hexdigest(),
            rows=len(rows),
            covered=covered,
            missing=missing,
            sources=sources,
        )
        text = msgspec.json.format(msgspec.json.encode(self.entries, order="sorted"), indent=1)
        write_whole(self.path / MANIFEST, text + b"\n")
        if content:
            write_whole(file, content)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step that survives a crash."""
    partial = path.with_name(f"{path.name}.tmp")
    with partial.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, path)


def encoded(series: Series, rows: Rows) -> bytes:
    """Rows as a parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {series.time_column: pa.array(rows.time)}
    for place, name in enumerate(series.columns):
        columns[name] = pa.array(np.ascontiguousarray(rows.values[:, place]))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read_rows(path: Path, series: Series) -> Rows:
    """Rows of a file that :func:`encoded` made.

    Raises
    ------
    MarketDataError
        When it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        time = _array(table[series.time_column], np.int64)
        values = np.column_stack([_array(table[name], np.float64) for name in series.columns])
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise MarketDataError(f"{path.name}: cannot be read: {error}") from error
    return Rows(time.astype(np.int64), values.astype(np.float64))


def _array(column: object, dtype: type) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    # By way of Python's buffer protocol; pyarrow's own conversion imports pandas.
    import pyarrow as pa

    chunks = column.chunks  # type: ignore[attr-defined]
    whole = pa.concat_arrays(chunks) if chunks else pa.array([], pa.from_numpy_dtype(dtype))
    if not len(whole):
        return np.zeros(0, dtype=dtype)
    return np.frombuffer(whole.buffers()[1], dtype)[whole.offset : whole.offset + len(whole)]


def sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
