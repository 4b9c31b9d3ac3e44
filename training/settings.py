"""Settings of the training job: names of the application where they mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from shared.errors import ConfigurationError, InvalidInput
from shared.intelligence.library import MODELS
from shared.research.windows import span
from shared.setting_reader import Reader, Setting
from shared.settings import SETTINGS as APPLICATION


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the job trains; the store is opened by the application's own settings.

    ``start_ms`` is ``None`` where every model learns from the bars its card begins with.
    """

    models: tuple[str, ...]
    start_ms: int | None
    holdout_ms: int
    seed: int


#: Of the application, with the same meaning.
_SHARED = (
    "CosmosDbConnection__accountEndpoint",
    "COSMOS_DATABASE",
    "SQLITE_PATH",
    "AZURE_CLIENT_ID",
)

#: Every setting of the job; docs and Bicep are checked against this table.
SETTINGS: tuple[Setting, ...] = (
    *(s for s in APPLICATION if s.name in _SHARED),
    Setting("TRAINING_MODELS", "", "models to train again, separated by commas; empty: all"),
    Setting("TRAINING_FROM", "", "first bar to learn from, 2020-01-31; empty: as the card"),
    Setting("TRAINING_HOLDOUT", "13w", "end of the data that a model is judged on, 4w to 104w"),
    Setting("TRAINING_SEED", "7", "of all randomness"),
)

_DEFAULTS = {s.name: s.default for s in SETTINGS}
_WEEK_MS = 7 * 86_400_000


def load(environment: Mapping[str, str]) -> Settings:
    """Read and check all settings.

    Raises
    ------
    ConfigurationError
        Naming every problem at once, with what to set.
    """
    read = Reader(environment, _DEFAULTS)
    settings = Settings(
        models=read.some("TRAINING_MODELS", MODELS),
        start_ms=read.parse("TRAINING_FROM", _day, None, "empty, or a day such as 2020-01-31"),
        holdout_ms=read.parse("TRAINING_HOLDOUT", _holdout, 0, "a span from 4w to 104w"),
        seed=read.integer("TRAINING_SEED", 0, 2**31 - 1),
    )
    if read.problems:
        raise ConfigurationError(read.problems)
    return settings


def _day(text: str) -> int | None:
    if not text:
        return None
    return round(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)


def _holdout(text: str) -> int:
    try:
        found = span(text)
    except InvalidInput as error:
        raise ValueError(str(error)) from None
    if not 4 * _WEEK_MS <= found <= 104 * _WEEK_MS:
        raise ValueError(text)
    return found
