"""What is kept of a job here, so that a later command finds it and makes the same rows again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shared.errors import InvalidInput
from shared.research.data.store import write_whole
from training.automl.job import Search

FILE = "job.json"


class Rows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How rows were made of candles: the options of the command that has sent them."""

    symbols: tuple[str, ...]
    timeframe: str
    start_ms: int | None
    end_ms: int | None
    horizon_bars: int
    take_atr: float
    stop_atr: float
    folds: int
    embargo_bars: int
    holdout_ms: int


class Submitted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job that was sent.

    Parameters
    ----------
    workspace : str
        Resource id.
    management : str
        Address of the Resource Manager that was asked.
    table : str
        Digest of the rows, by which a later command knows them again.
    search : Search
        What was asked for.
    """

    name: str
    workspace: str
    management: str
    submitted_at: str
    table: str
    rows: Rows
    search: Search


def write(one: Submitted, folder: Path) -> None:
    """Into the folder of the job."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, msgspec.json.format(msgspec.json.encode(one), indent=1) + b"\n")


def read(folder: Path) -> Submitted:
    """From the folder of the job.

    Raises
    ------
    InvalidInput
        When it is none.
    """
    file = folder / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Submitted)
    except FileNotFoundError:
        raise InvalidInput(f"{folder}: no job; ./run automl submit makes one") from None
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"{file}: cannot be read: {error}") from error
