"""Training again: the models that are served, as their cards say, on candles up to now.

What comes of it is offered to the registry and nothing more. It serves only if somebody promotes
it; where it beat the base rates on its holdout it is scored beside the champion from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from shared.clock import Clock, iso
from shared.errors import Conflict, InvalidInput
from shared.intelligence.card import ModelCard, milliseconds
from shared.intelligence.features import feature_history
from shared.intelligence.labels import Barriers
from shared.intelligence.registry import Registry
from shared.intelligence.slots import State
from shared.market.candle import Columns
from shared.market.timeframe import duration_ms
from shared.research.data.download import Outcome as Downloaded
from shared.research.data.download import Progress, Sources, download
from shared.research.data.series import Series
from training.catalogue import LONGEST, chosen
from training.dataset import dataset
from training.families.family import Family
from training.pipeline import Plan, Tell, Trained, train

#: Standard errors by which the holdout must beat the base rates.
ERRORS = 2.0


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """What is trained again, the same for all models of a run.

    Parameters
    ----------
    models : tuple of str
    start_ms : int
        First bar to learn from, UTC milliseconds.
    """

    models: tuple[str, ...]
    symbols: tuple[str, ...]
    timeframe: str
    take_atr: float
    stop_atr: float
    horizon_bars: int
    start_ms: int

    @property
    def candles_from(self) -> int:
        """First candle that is needed: features of the first row look back from there."""
        return self.start_ms - (feature_history() + LONGEST) * duration_ms(self.timeframe)


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one trained model.

    ``state`` is that of the registry; ``offered`` where the application has yet to take it in;
    ``refused``: it is in no registry then. ``why`` is for people.
    """

    model: str
    version: str
    state: State | Literal["offered", "refused"]
    why: str


def as_before(cards: Sequence[ModelCard], start_ms: int | None = None) -> Again:
    """What has to be trained for models that are like those.

    Parameters
    ----------
    cards : sequence of ModelCard
        Of the models that serve now.
    start_ms : int, optional
        First bar to learn from; by default where the first of the cards began.

    Raises
    ------
    InvalidInput
        When there are none, or they differ in contracts, time frame or labels: then one run cannot
        train them together.
    """
    kinds = {(c.symbols, c.timeframe, c.take_atr, c.stop_atr, c.horizon_bars) for c in cards}
    if not kinds:
        raise InvalidInput("no model to train again")
    if len(kinds) > 1:
        told = ", ".join(f"{c.name} ({'+'.join(c.symbols)} {c.timeframe})" for c in cards)
        raise InvalidInput(
            f"{told} learn from other contracts, bars or labels: train them in runs of their own"
        )
    ((symbols, timeframe, take, stop, horizon),) = kinds
    return Again(
        models=tuple(c.name for c in cards),
        symbols=symbols,
        timeframe=timeframe,
        take_atr=take,
        stop_atr=stop,
        horizon_bars=horizon,
        start_ms=min(milliseconds(c.trained_from) for c in cards) if start_ms is None else start_ms,
    )


def fetch(
    again: Again,
    folder: Path,
    sources: Sources,
    clock: Clock,
    progress: Progress = lambda done, text: None,
) -> Downloaded:
    """Bring the candles of a folder up to now; what is there is not fetched again."""
    series = [Series(symbol, "candles", again.timeframe) for symbol in again.symbols]
    now = clock.now_ms()
    return download(folder, series, again.candles_from, now, sources, clock, progress)


def retrain(
    again: Again,
    runs: Mapping[str, Sequence[Columns]],
    plan: Plan,
    *,
    now_ms: int,
    families: Callable[[Sequence[str]], list[Family]] = chosen,
    tell: Tell = lambda done, total, text: None,
    finished: Callable[[Trained], None] = lambda one: None,
) -> list[Trained]:
    """Train models again.

    Parameters
    ----------
    runs : mapping of str to sequence of Columns
        Candles per contract, without holes.
    plan : Plan
        With a holdout: what has none cannot be judged, and is not trained.
    finished : callable
        Told of every model as soon as it is whole.

    Raises
    ------
    InvalidInput
        Without a holdout, or with too few rows.
    """
    if plan.holdout_ms <= 0:
        raise InvalidInput("a model that is trained again needs a holdout to be judged on")
    barriers = Barriers(again.take_atr, again.stop_atr, again.horizon_bars)
    data = dataset(runs, barriers, lookback=LONGEST, start_ms=again.start_ms)
    return train(data, families(again.models), plan, now_ms=now_ms, tell=tell, finished=finished)


def shortcoming(card: ModelCard) -> str:
    """Why a model is not offered; empty where it beat the base rates on its holdout."""
    if card.holdout is None:
        return "it has no holdout"
    found = card.holdout.figures
    gain = found.base_log_loss - found.log_loss
    if found.gain_error is None:
        return "its holdout is too short to say how sure its figures are"
    if gain <= ERRORS * found.gain_error:
        return (
            f"on its holdout the log loss beats the base rates by {gain:+.4f} ± "
            f"{found.gain_error:.4f}, not by two standard errors"
        )
    return ""


def offer(one: Trained, registry: Registry, source: str, *, waits: bool = False) -> Offered:
    """Register a model as a challenger if it is better than nothing; never as more.

    Parameters
    ----------
    waits : bool
        Leave it for the application to take in, without the right to write states.

    Raises
    ------
    ConfigurationError, StoreError
        When the registry does not take it.
    """
    card = one.card
    why = shortcoming(card)
    if why:
        return Offered(model=card.name, version=card.version, state="refused", why=why)
    told = f"trained on bars to {card.trained_to[:10]}"
    if waits:
        state = registry.offer(card, one.source, source, challenge=True)
        return Offered(model=card.name, version=card.version, state=state or "offered", why=told)
    try:
        registered = registry.register(card, one.source, source, challenge=True)
    except Conflict as error:
        # There are challengers enough; it waits in the registry.
        registered = registry.slot(card.name).known(card.version)
        told = f"{told}; {error}"
    return Offered(model=card.name, version=card.version, state=registered.state, why=told)


def source_of(by: str, now_ms: int) -> str:
    """What the registry says about where a version comes from."""
    return f"{by}, {iso(now_ms)[:16]}Z"
