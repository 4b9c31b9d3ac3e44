"""Predictions for people: what each model says about the last closed bar of a symbol.

Nothing here is on the way of an order. Candles are the exchange's own, read once per bar and
kept; the models are those that strategies vote with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from shared.clock import iso
from shared.errors import ConfigurationError, InvalidInput, MarketDataError
from shared.intelligence.card import Figures, Fold, ModelCard
from shared.intelligence.library import SLOTS, Library, library
from shared.market.timeframe import duration_ms, last_closed
from shared.strategies.window import CandleWindow

if TYPE_CHECKING:
    from shared.clock import Clock
    from shared.execution.exchange import Exchange
    from shared.intelligence.champions import Champions
    from shared.market.candle import Columns


class Said(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Probabilities of one model.

    ``up``: a long from the next open reaches its take (``take_atr``) before its stop
    (``stop_atr``) within ``horizon_bars``; ``down``: a short does; ``flat``: neither.
    """

    model: str
    version: str
    down: float
    flat: float
    up: float
    horizon_bars: int
    take_atr: float
    stop_atr: float
    trained_on_symbol: bool


class Refused(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A model that lies in the folder and cannot be used, and why."""

    model: str
    message: str


class Prediction(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the models say about one bar.

    Parameters
    ----------
    bar_open_time, bar_close_time : int
        Of the last closed bar, UTC milliseconds.
    close, atr : float
        At that bar, in price units; the barriers are counted in this ATR(14).
    models : list of Said
    mean : dict
        Mean probabilities of ``models`` by class.
    refused : list of Refused
    features : dict
        What the models read of that bar, by name.
    """

    symbol: str
    timeframe: str
    bar_open_time: int
    bar_close_time: int
    close: float
    atr: float
    models: list[Said]
    mean: dict[str, float]
    refused: list[Refused]
    feature_set: str
    features: dict[str, float]


class Listed(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A model in the list of all: ``served``, ``missing`` or ``refused`` (``message`` says why)."""

    name: str
    state: str
    message: str = ""
    card: Short | None = None


class Short(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A card without its folds, calibration and histograms."""

    version: str
    kind: str
    timeframe: str
    symbols: tuple[str, ...]
    lookback: int
    horizon_bars: int
    take_atr: float
    stop_atr: float
    trained_from: str
    trained_to: str
    rows: int
    folds: int
    figures: Figures
    holdout: Fold | None
    created_at: str


def listed(models: Library, version: Callable[[str], str] = lambda name: "") -> list[Listed]:
    """Every model that the project knows, with its card in short.

    Parameters
    ----------
    models : Library
    version : callable
        Which version votes; empty: the one of the folder.
    """
    there = models.names()
    found = []
    for name in SLOTS:
        try:
            chosen = version(name)
            if not chosen and name not in there:
                found.append(Listed(name=name, state="missing"))
                continue
            card = short(models.model(name, chosen).card)
            found.append(Listed(name=name, state="served", card=card))
        except ConfigurationError as error:
            found.append(Listed(name=name, state="refused", message=str(error)))
    return found


def short(card: ModelCard) -> Short:
    """A card without what is long."""
    own = {
        name: getattr(card, name)
        for name in Short.__struct_fields__
        if name in ModelCard.__struct_fields__
    }
    return Short(folds=len(card.splits), **own)


class Predictor:
    """Asks models about symbols.

    Parameters
    ----------
    exchange : Exchange
        Where candles are read.
    clock : Clock
    symbols : sequence of str
        Symbols that may be asked about.
    champions : Champions, optional
        Which versions answer; by default those of the folder.
    """

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        symbols: Sequence[str],
        champions: Champions | None = None,
    ) -> None:
        self._champions = champions
        self._exchange = exchange
        self._clock = clock
        self._symbols = tuple(symbols)
        self._kept: dict[tuple[str, str], Columns] = {}
        self._lock = threading.Lock()

    def predict(self, symbol: str, timeframe: str, model: str | None = None) -> Prediction:
        """Probabilities at the last closed bar.

        Parameters
        ----------
        symbol, timeframe : str
        model : str, optional
            Only this one; by default all that were trained on bars of that time frame.

        Raises
        ------
        InvalidInput
            For a symbol that is not configured, a time frame no model was trained on, an unknown
            model, or a contract with too little history.
        ConfigurationError
            When the model that is asked for, or every one, cannot be served.
        ExchangeError, MarketDataError
            When the candles cannot be had.
        """
        from shared.intelligence.features import FEATURE_SET, NAMES, feature_history, window

        if symbol not in self._symbols:
            raise InvalidInput(f"unknown symbol {symbol!r}; use one of {', '.join(self._symbols)}")
        duration_ms(timeframe)
        cards, refused = self._asked(timeframe, model)
        longest = max(card.lookback for card in cards)
        columns = self._candles(symbol, timeframe, feature_history() + longest - 1)
        rows = window(columns, longest)
        said = []
        for card in cards:
            own = window(columns, card.lookback)
            asked = own[None] if card.kind == "sequence" else own
            try:
                (row,) = library().model(card.name, card.version).probabilities(asked)
            except ConfigurationError as error:
                if model is not None:
                    raise
                refused.append(Refused(model=card.name, message=str(error)))
                continue
            said.append(_said(card, symbol, row.tolist()))
        if not said:
            raise ConfigurationError([one.message for one in refused])
        opened = int(columns.open_time[-1])
        return Prediction(
            symbol=symbol,
            timeframe=timeframe,
            bar_open_time=opened,
            bar_close_time=opened + duration_ms(timeframe),
            close=float(columns.close[-1]),
            atr=_atr(columns),
            models=said,
            mean={
                name: sum(getattr(one, name) for one in said) / len(said)
                for name in ("down", "flat", "up")
            },
            refused=refused,
            feature_set=FEATURE_SET,
            features=dict(zip(NAMES, rows[-1].tolist(), strict=True)),
        )

    def _asked(self, timeframe: str, model: str | None) -> tuple[list[ModelCard], list[Refused]]:
        """Cards of the models that answer, and those that cannot."""
        if model is not None:
            if model not in SLOTS:
                raise InvalidInput(f"unknown model {model!r}; use one of {', '.join(SLOTS)}")
            cards, refused = [library().model(model, self._version(model)).card], []
        else:
            served = listed(library(), self._version)
            if all(one.state == "missing" for one in served):
                raise ConfigurationError(["there is no model in models/; train one first"])
            refused = [
                Refused(model=one.name, message=one.message)
                for one in served
                if one.state == "refused"
            ]
            cards = [
                library().model(one.name, one.card.version).card
                for one in served
                if one.card is not None
            ]
            if not cards:
                raise ConfigurationError([one.message for one in refused])
        fitting = [card for card in cards if card.timeframe == timeframe]
        if not fitting:
            there = ", ".join(sorted({card.timeframe for card in cards}))
            raise InvalidInput(
                f"{model or 'no model'} was {'not ' if model else ''}trained on bars of "
                f"{timeframe}; ask about {there}"
            )
        return fitting, refused

    def _version(self, name: str) -> str:
        """The version that votes now; empty: the one of the folder."""
        if self._champions is None:
            return ""
        return self._champions.version(name, self._clock.now_ms())

    def _candles(self, symbol: str, timeframe: str, bars: int) -> Columns:
        """The last closed candles, read from the exchange once per bar."""
        newest = last_closed(self._clock.now_ms(), timeframe)
        with self._lock:
            kept = self._kept.get((symbol, timeframe))
            if kept is not None and len(kept) >= bars and int(kept.open_time[-1]) >= newest:
                return kept
            candles = self._exchange.candles(symbol, timeframe, limit=bars)
            if not candles:
                raise MarketDataError(f"{symbol} {timeframe}: the exchange has no candles")
            read = CandleWindow(symbol, timeframe, bars)
            for candle in candles:
                read.append(candle)
            last = read.last_open_time or 0
            if last < newest - duration_ms(timeframe):
                raise MarketDataError(
                    f"{symbol} {timeframe}: the newest candle of the exchange is of "
                    f"{iso(last)}, that of {iso(newest)} has closed"
                )
            found = self._kept[symbol, timeframe] = read.columns()
            return found


def _said(card: ModelCard, symbol: str, row: list[float]) -> Said:
    down, flat, up = row
    return Said(
        model=card.name,
        version=card.version,
        down=down,
        flat=flat,
        up=up,
        horizon_bars=card.horizon_bars,
        take_atr=card.take_atr,
        stop_atr=card.stop_atr,
        trained_on_symbol=symbol in card.symbols,
    )


def _atr(columns: Columns) -> float:
    from shared.strategies.frame import Frame

    (atr,) = Frame(columns, 1).indicator("ATR", timeperiod=14)
    return float(atr)
