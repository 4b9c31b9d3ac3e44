"""Request parameters: query and form, and how each kind is refused when it is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from urllib.parse import unquote_plus

from shared.simulation.refusal import VenueRefusal

_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")


def parse_pairs(text: str) -> dict[str, str]:
    """``a=1&b=2`` as a mapping; the first of doubled names counts."""
    out: dict[str, str] = {}
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            if "%" in value or "+" in value:
                value = unquote_plus(value)
            out.setdefault(name, value)
    return out


def missing(name: str) -> VenueRefusal:
    return VenueRefusal(
        -1102, f"Mandatory parameter '{name.lower()}' was not sent, was empty/null, or malformed."
    )


def unwanted(name: str) -> VenueRefusal:
    return VenueRefusal(-1106, f"Parameter '{name.lower()}' sent when not required.")


def refuse_unwanted(p: Parameters, *names: str) -> None:
    """Refuse what another kind of order would need."""
    for name in names:
        if p.optional(name):
            raise unwanted(name)


class Parameters:
    """The parameters of one request."""

    __slots__ = ("values",)

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not value:
            raise missing(name)
        return value

    def optional(self, name: str) -> str | None:
        return self.values.get(name) or None

    def decimal(self, name: str) -> Decimal:
        return self._decimal(name, self.text(name))

    def optional_decimal(self, name: str) -> Decimal | None:
        value = self.values.get(name)
        return self._decimal(name, value) if value else None

    def integer(self, name: str) -> int:
        found = self.optional_integer(name)
        if found is None:
            raise missing(name)
        return found

    def optional_integer(self, name: str) -> int | None:
        value = self.values.get(name)
        if not value:
            return None
        if not (value.lstrip("-").isdigit() and value.isascii() and len(value) <= 20):
            raise self._illegal(name, "^[0-9]{1,20}$")
        return int(value)

    def limit(self, default: int, most: int) -> int:
        found = self.optional_integer("limit")
        if found is None:
            return default
        if not 1 <= found <= most:
            raise VenueRefusal(-1130, "Data sent for parameter 'limit' is not valid.")
        return found

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.values.get(name)
        if not value:
            return default
        lowered = value.lower()
        if lowered not in ("true", "false"):
            raise VenueRefusal(-1130, f"Data sent for parameter '{name}' is not valid.")
        return lowered == "true"

    def choice(
        self,
        name: str,
        allowed: Iterable[str],
        *,
        default: str | None = None,
        refusal: tuple[int, str],
    ) -> str:
        value = self.values.get(name)
        if not value:
            if default is None:
                raise missing(name)
            return default
        if value not in allowed:
            raise VenueRefusal(*refusal)
        return value

    def client_id(self, name: str) -> str:
        """A client order id, empty where none was sent."""
        value = self.values.get(name, "")
        if value and not _CLIENT_ID.fullmatch(value):
            if len(value) > 36:
                raise VenueRefusal(-4015)
            raise self._illegal(name, "^[\\\\.A-Z\\\\:/a-z0-9_-]{1,36}$")
        return value

    def _decimal(self, name: str, value: str) -> Decimal:
        if not _DECIMAL.fullmatch(value):
            raise self._illegal(name, "^([0-9]{1,20})(\\\\.[0-9]{1,20})?$")
        return Decimal(value)

    @staticmethod
    def _illegal(name: str, legal: str) -> VenueRefusal:
        return VenueRefusal(
            -1100,
            f"Illegal characters found in parameter '{name.lower()}'; legal range is '{legal}'.",
        )
