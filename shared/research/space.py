"""The parameters of a search: which, and what values they may take.

Written as on the command line::

    trend.fast=5:50:5          5, 10, ..., 50 (whole numbers where all three are)
    threshold=0.3:0.6:0.1      0.3, 0.4, 0.5, 0.6
    trend.slow=24,36,48        these values
    trend.adx_low=10:30        anything between (only for a search that is not a grid)

or in a JSON or TOML file: name -> that text, a list of values, or a table with ``from``, ``to``
and ``step``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import InvalidInput

#: Value of a parameter.
Value = int | float | str | bool

#: Values of all parameters by name.
Params = Mapping[str, Value]

#: A grid beyond this is refused: nobody waits for it, and its best point is luck.
MAX_GRID = 20_000


@dataclass(frozen=True)
class Parameter:
    """One parameter: a list of values, or with ``low`` and ``high`` anything between."""

    name: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0

    @property
    def continuous(self) -> bool:
        """Whether it is a range without steps."""
        return not self.values


class Space:
    """Some parameters.

    Raises
    ------
    InvalidInput
        When there is none, or one is named twice.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        names = [p.name for p in parameters]
        if not names:
            raise InvalidInput("a search needs at least one parameter: --param trend.fast=5:50:5")
        doubled = sorted({n for n in names if names.count(n) > 1})
        if doubled:
            raise InvalidInput(f"parameter {', '.join(doubled)} is given twice")
        self.parameters = tuple(sorted(parameters, key=lambda p: p.name))

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    @property
    def size(self) -> int | None:
        """Number of points of the grid; ``None`` when a parameter has no steps."""
        if any(p.continuous for p in self.parameters):
            return None
        return math.prod(len(p.values) for p in self.parameters)

    def grid(self, limit: int = MAX_GRID) -> Iterator[dict[str, Value]]:
        """Every point.

        Raises
        ------
        InvalidInput
            When there are too many, or a parameter has no steps, saying what to do.
        """
        size = self.size
        if size is None:
            endless = ", ".join(p.name for p in self.parameters if p.continuous)
            raise InvalidInput(
                f"a grid needs steps: give {endless} one (from:to:step), or search with "
                "--method bayes"
            )
        if size > limit:
            widest = max(self.parameters, key=lambda p: len(p.values))
            raise InvalidInput(
                f"the grid has {size:,} points, more than {limit:,}. Its best point would be "
                "found by luck, not by merit. Take larger steps (the longest list is "
                f"{widest.name} with {len(widest.values)}), fewer parameters, or "
                "--method bayes --trials 300"
            )
        return self._points()

    def _points(self) -> Iterator[dict[str, Value]]:
        for values in itertools.product(*(p.values for p in self.parameters)):
            yield dict(zip(self.names, values, strict=True))

    def near(
        self, chosen: Params, count: int, *, width: float = 0.1, seed: int = 7
    ) -> list[dict[str, Value]]:
        """Points around a chosen one, every number moved by up to ``width`` of itself.

        Whole numbers move by at least one. They need not lie on the grid: the question is whether
        the result stands on a plateau or on a needle.
        """
        rng = np.random.default_rng(seed)
        found: list[dict[str, Value]] = []
        for _ in range(count):
            point: dict[str, Value] = {}
            for name, value in chosen.items():
                if isinstance(value, bool | str):
                    point[name] = value
                elif isinstance(value, int):
                    reach = max(1, round(abs(value) * width))
                    point[name] = value + int(rng.integers(-reach, reach + 1))
                else:
                    point[name] = value * (1.0 + float(rng.uniform(-width, width)))
            found.append(point)
        return found


def params_text(params: Params) -> str:
    """``trend.fast=10 threshold=0.4``."""
    return " ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in params.items()
    )


def parse(text: str) -> Parameter:
    """A parameter as written on the command line.

    Raises
    ------
    InvalidInput
        Saying what is wrong with it.
    """
    name, equals, rest = text.partition("=")
    name = name.strip()
    if not equals or not name or not rest.strip():
        raise InvalidInput(f"{text!r}: write NAME=FROM:TO:STEP or NAME=A,B,C")
    return _parameter(name, rest.strip())


def from_file(path: Path) -> Space:
    """The parameters of a JSON or TOML file.

    Raises
    ------
    InvalidInput
        When it cannot be read or a parameter cannot be used.
    """
    import json
    import tomllib

    try:
        raw = path.read_text("utf-8")
        body = tomllib.loads(raw) if path.suffix == ".toml" else json.loads(raw)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: {error}") from error
    if not isinstance(body, dict):
        raise InvalidInput(f"{path}: expected names with their values")
    return from_mapping(body)


def from_mapping(body: Mapping[str, Any]) -> Space:
    """The parameters of decoded JSON or TOML.

    Raises
    ------
    InvalidInput
        When a parameter cannot be used.
    """
    return Space([_parameter(name, spec) for name, spec in _flat(body)])


def _flat(body: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """TOML reads ``trend.fast = ...`` as a table in a table."""
    for key, spec in body.items():
        if isinstance(spec, dict) and not {"from", "to"} <= set(spec):
            yield from _flat(spec, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", spec


def _parameter(name: str, spec: Any) -> Parameter:
    if isinstance(spec, str):
        if ":" in spec:
            return _range(name, [_number(name, part) for part in spec.split(":")])
        return _listed(name, [_value(part.strip()) for part in spec.split(",")])
    if isinstance(spec, list):
        return _listed(name, spec)
    if isinstance(spec, dict):
        unknown = set(spec) - {"from", "to", "step"}
        if unknown:
            raise InvalidInput(
                f"{name}: {', '.join(sorted(unknown))} is not known; use from, to, step"
            )
        return _range(name, [spec[k] for k in ("from", "to", "step") if k in spec])
    if isinstance(spec, int | float):
        return _listed(name, [spec])
    raise InvalidInput(f"{name}: {spec!r} is neither a range nor a list of values")


def _listed(name: str, values: list[Any]) -> Parameter:
    if not values or any(v == "" or not isinstance(v, int | float | str | bool) for v in values):
        raise InvalidInput(f"{name}: give values separated by commas")
    if any(isinstance(v, float) and not math.isfinite(v) for v in values):
        raise InvalidInput(f"{name}: a value is not finite")
    if len(set(values)) != len(values):
        raise InvalidInput(f"{name}: a value is given twice")
    return Parameter(name, tuple(values))


def _range(name: str, parts: list[Any]) -> Parameter:
    if len(parts) not in (2, 3) or not all(isinstance(p, int | float) for p in parts):
        raise InvalidInput(f"{name}: write FROM:TO:STEP, or FROM:TO without steps")
    low, high = parts[0], parts[1]
    if not all(math.isfinite(p) for p in parts) or low > high:
        raise InvalidInput(f"{name}: from {low:g} to {high:g} is no range")
    if len(parts) == 2:
        whole = isinstance(low, int) and isinstance(high, int)
        if whole and high - low < 10_000:
            return Parameter(name, tuple(range(low, high + 1)))
        return Parameter(name, low=float(low), high=float(high))
    step = parts[2]
    if step <= 0:
        raise InvalidInput(f"{name}: the step must be above zero")
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > 1_000_000:
        raise InvalidInput(f"{name}: {count:,} values; take a larger step")
    if all(isinstance(p, int) for p in parts):
        return Parameter(name, tuple(range(low, high + 1, step)))
    # Rounded to the digits of the step, so that 0.1 * 3 is 0.3.
    digits = max(0, 12 - math.floor(math.log10(max(abs(low), abs(high), step))))
    return Parameter(name, tuple(round(low + i * step, digits) for i in range(count)))


def _value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _number(name: str, text: str) -> int | float:
    value = _value(text.strip())
    if isinstance(value, bool | str):
        raise InvalidInput(f"{name}: {text!r} is not a number")
    return value
