"""Reads settings out of an environment, one by one, and gathers what is wrong with them.

The application (:mod:`shared.settings`), the streamer and the training job each have a table of
settings and read it with this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")


class Setting(msgspec.Struct, frozen=True):
    """One setting: its name, its default (``None`` when required) and what it means."""

    name: str
    default: str | None
    meaning: str


class Reader:
    """Reads settings one by one and gathers what is wrong with them in ``problems``.

    Parameters
    ----------
    environment : mapping
    defaults : mapping
        Default of every setting that may be asked for, ``None`` for a required one.
    """

    def __init__(self, environment: Mapping[str, str], defaults: Mapping[str, str | None]) -> None:
        self._environment = environment
        self._defaults = defaults
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        value = self._environment.get(name, "").strip() or self._defaults[name]
        if value is None:
            self.problems.append(f"{name} is required")
            return ""
        return value

    def parse(self, name: str, convert: Callable[[str], T], fallback: T, must: str) -> T:
        value = self.text(name)
        try:
            return convert(value)
        except (ValueError, InvalidOperation):
            self.problems.append(f"{name} is {value!r}; it must be {must}")
            return fallback

    def number(self, name: str, low: str, high: str) -> Decimal:
        def convert(value: str) -> Decimal:
            number = Decimal(value)
            if not number.is_finite() or not Decimal(low) < number <= Decimal(high):
                raise ValueError(value)
            return number

        return self.parse(name, convert, Decimal(high), f"a number above {low} and up to {high}")

    def between(self, name: str, low: str, high: str, *, at_low: str = "") -> Decimal:
        """A number within bounds, both included; ``at_low`` says what the lower one means."""

        def convert(value: str) -> Decimal:
            number = Decimal(value)
            if not number.is_finite() or not Decimal(low) <= number <= Decimal(high):
                raise ValueError(value)
            return number

        return self.parse(name, convert, Decimal(low), f"a number from {low}{at_low} to {high}")

    def optional(self, name: str, high: str) -> Decimal:
        """A number, or 0 for off."""
        return self.between(name, "0", high, at_low=" (off)")

    def watch(self, name: str) -> Decimal | Literal["always"]:
        """``always``, a number up to 1, or 0 for off."""

        def convert(value: str) -> Decimal | Literal["always"]:
            if value == "always":
                return "always"
            number = Decimal(value)
            if not number.is_finite() or not 0 <= number <= 1:
                raise ValueError(value)
            return number

        must = "always, or a number from 0 (off) to 1"
        return self.parse(name, convert, Decimal(0), must)

    def integer(self, name: str, low: int, high: int) -> int:
        def convert(value: str) -> int:
            number = int(value)
            if not low <= number <= high:
                raise ValueError(value)
            return number

        return self.parse(name, convert, low, f"a whole number from {low} to {high}")

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        def convert(value: str) -> str:
            if value not in choices:
                raise ValueError(value)
            return value

        return self.parse(name, convert, choices[0], "one of " + ", ".join(choices))

    def names(self, name: str, valid: Callable[[str], bool], must: str) -> tuple[str, ...]:
        def convert(value: str) -> tuple[str, ...]:
            items = tuple(dict.fromkeys(x.strip() for x in value.split(",") if x.strip()))
            if not items or not all(valid(x) for x in items):
                raise ValueError(value)
            return items

        return self.parse(name, convert, (), must)

    def some(self, name: str, choices: tuple[str, ...]) -> tuple[str, ...]:
        """Names out of a few, or none."""
        if not self.text(name):
            return ()
        return self.names(name, choices.__contains__, "empty, or out of " + ", ".join(choices))

    def account(self, name: str) -> str:
        def convert(value: str) -> str:
            if len(value) > 40 or not value.replace("-", "").isalnum():
                raise ValueError(value)
            return value

        return self.parse(name, convert, "", "letters, digits and dashes, at most 40 of them")

    def url(self, name: str) -> str:
        value = self.text(name)
        if value and not value.startswith(("https://", "http://")):
            # Not shown: signatures and whole connection strings end up here, and anybody may ask
            # for the health.
            self.problems.append(f"{name} must be an http(s) address, or empty")
            return ""
        return value
