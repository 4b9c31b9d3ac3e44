"""What a strategy is: a pure function from candles to votes, and how much history it reads.

Votes are continuous in the figures wherever those come from rounded arithmetic, so that a
difference in the last digit cannot turn a decision; only comparisons of prices themselves, which
are exact, may jump.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar

import msgspec

from shared.errors import ConfigurationError, InvalidInput
from shared.indicators.history import history as bars_for
from shared.strategies.arithmetic import Figure
from shared.strategies.frame import Frame

P = TypeVar("P", bound=msgspec.Struct)

#: A window length in bars.
Period = Annotated[int, msgspec.Meta(ge=2, le=400)]


@dataclass(frozen=True, eq=False)
class Votes:
    """A vote in [-1, 1] (short to long; NaN is no vote) and the figures behind it.

    Arrays or floats, as the frame answered. ``model`` is the version of the model that voted, and
    empty where none did.
    """

    vote: Figure
    figures: Mapping[str, Figure]
    model: str = ""


class Voter(Protocol):
    """Anything with an opinion per bar: a strategy with its parameters set, or a model."""

    @property
    def name(self) -> str: ...

    @property
    def history(self) -> int:
        """Bars, the voted one included, that give the same vote as all bars within 1e-9."""
        ...

    def votes(self, frame: Frame) -> Votes:
        """The vote at the frame's bar, or at every bar; no state, no clock, no I/O."""
        ...


@dataclass(frozen=True)
class Strategy(Generic[P]):
    """A strategy before its parameters are chosen.

    ``refusal`` says, for a strategy that depends on more than code, why it cannot be used with
    these parameters, or not on that time frame where one is given. ``seen_until`` says, for one
    that was fitted to data, until when (UTC milliseconds).
    """

    name: str
    params: type[P]
    history: Callable[[P], int]
    evaluate: Callable[[Frame, P], Votes]
    refusal: Callable[[P, str | None], Sequence[str]] | None = None
    seen_until: Callable[[P], int] | None = None

    def with_params(self, params: Mapping[str, Any]) -> Bound[P]:
        """The strategy with its parameters set, the documented defaults where not given.

        Raises
        ------
        ConfigurationError
            For an unknown parameter, a value outside its range, or a strategy that cannot be used.
        """
        fields = self.params.__struct_fields__
        unknown = [name for name in params if name not in fields]
        if unknown:
            raise ConfigurationError(
                [
                    f"strategy {self.name} has no parameter {name}; it has {', '.join(fields)}"
                    for name in unknown
                ]
            )
        try:
            bound = Bound(self, msgspec.convert(dict(params), self.params))
        except msgspec.ValidationError as error:
            raise ConfigurationError([f"strategy {self.name}: {error}"]) from error
        if refused := bound.refusal():
            raise ConfigurationError(refused)
        return bound


@dataclass(frozen=True)
class Bound(Generic[P]):
    """A strategy with its parameters: a :class:`Voter`."""

    strategy: Strategy[P]
    params: P

    @property
    def name(self) -> str:
        return self.strategy.name

    @property
    def history(self) -> int:
        return self.strategy.history(self.params)

    def refusal(self, timeframe: str | None = None) -> Sequence[str]:
        """Why it cannot be used, or not on that time frame; empty where it can."""
        ask = self.strategy.refusal
        return () if ask is None else ask(self.params, timeframe)

    @property
    def seen_until(self) -> int:
        """End of the data it was fitted to, UTC milliseconds; 0 where it was to none."""
        ask = self.strategy.seen_until
        return 0 if ask is None else ask(self.params)

    def votes(self, frame: Frame) -> Votes:
        return self.strategy.evaluate(frame, self.params)


def needed(name: str, **params: float) -> int:
    """History of an indicator that a strategy may use: one that does not need all bars."""
    bars = bars_for(name, **params)
    if bars is None:
        raise InvalidInput(f"{name} needs every bar since the first; no live strategy can use it")
    return bars
