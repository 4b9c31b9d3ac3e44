"""Route templates as ASP.NET Core reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

_INT = re.compile(r"[+-]?\d+")
_CALL = re.compile(r"(?P<name>\w+)(?:\((?P<args>.*)\))?")


def _int(value: str) -> int | None:
    return int(value) if _INT.fullmatch(value) else None


def _whole(value: str, bits: int) -> bool:
    number = _int(value)
    return number is not None and -(1 << (bits - 1)) <= number < 1 << (bits - 1)


def _bounded(low: int | None, high: int | None) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        number = _int(value)
        return (
            number is not None
            and (low is None or number >= low)
            and (high is None or number <= high)
        )

    return check


def _sized(low: int, high: int | None) -> Callable[[str], bool]:
    return lambda value: len(value) >= low and (high is None or len(value) <= high)


def _decimal(value: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value) is not None


def constraint(text: str) -> Callable[[str], bool]:
    """The check of an inline constraint such as ``int`` or ``min(5)``.

    Raises
    ------
    ValueError
        If ASP.NET Core has no such constraint or its arguments are wrong.
    """
    match = _CALL.fullmatch(text)
    if match is None:
        raise ValueError(f"The route constraint '{text}' cannot be read.")
    name, args = match["name"].lower(), match["args"]
    plain: dict[str, Callable[[str], bool]] = {
        "alpha": lambda value: re.fullmatch(r"[A-Za-z]*", value) is not None,
        "int": lambda value: _whole(value, 32),
        "long": lambda value: _whole(value, 64),
        "bool": lambda value: value.lower() in ("true", "false"),
        "guid": lambda value: (
            re.fullmatch(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}", value) is not None
        ),
        "decimal": _decimal,
        "double": _decimal,
        "float": _decimal,
        "required": bool,
    }
    if args is None and name in plain:
        return plain[name]
    if args is not None:
        if name == "regex":
            pattern = re.compile(args, re.IGNORECASE)
            return lambda value: pattern.search(value) is not None
        numbers = [int(part) for part in args.split(",")]
        match name, numbers:
            case "min", [low]:
                return _bounded(low, None)
            case "max", [high]:
                return _bounded(None, high)
            case "range", [low, high]:
                return _bounded(low, high)
            case "minlength", [low]:
                return _sized(low, None)
            case "maxlength", [high]:
                return _sized(0, high)
            case "length", [exact]:
                return _sized(exact, exact)
            case "length", [low, high]:
                return _sized(low, high)
    raise ValueError(f"The route constraint '{text}' is not known.")


@dataclass(frozen=True)
class _Segment:
    literal: str | None
    parameter: str = ""
    checks: tuple[Callable[[str], bool], ...] = ()
    optional: bool = False
    catch_all: bool = False
    default: str | None = None

    @property
    def precedence(self) -> int:
        if self.literal is not None:
            return 1
        return (4 if self.catch_all else 2) + (0 if self.checks else 1)


class Route:
    """One template; :meth:`match` gives the decoded parameters.

    Raises
    ------
    ValueError
        If the template cannot be used.
    """

    def __init__(self, template: str) -> None:
        self.template = template.strip("/")
        self._segments = [_parse(part) for part in _split(self.template)]
        if any(segment.catch_all for segment in self._segments[:-1]):
            raise ValueError("A catch-all parameter can only appear as the last segment.")
        self.precedence = tuple(segment.precedence for segment in self._segments)

    def match(self, path: str) -> dict[str, str] | None:
        """Parameters of a raw (still encoded) path below the route prefix, or ``None``."""
        trimmed = path.strip("/")
        parts = trimmed.split("/") if trimmed else []
        values: dict[str, str] = {}
        for index, segment in enumerate(self._segments):
            if segment.catch_all:
                rest = "/".join(parts[index:])
                value = _decode(rest, keep_slash=True)
                if rest and not all(check(value) for check in segment.checks):
                    return None
                if rest or segment.default is not None:
                    values[segment.parameter] = value if rest else str(segment.default)
                return values
            if index >= len(parts) or parts[index] == "":
                if segment.default is not None:
                    values[segment.parameter] = segment.default
                elif not segment.optional:
                    return None
                continue
            if segment.literal is not None:
                if _decode(parts[index]).lower() != segment.literal.lower():
                    return None
                continue
            value = _decode(parts[index], keep_slash=True)
            if not all(check(value) for check in segment.checks):
                return None
            values[segment.parameter] = value
        return values if len(parts) <= len(self._segments) else None


def _split(template: str) -> list[str]:
    """Segments of a template; a slash inside braces (a regex) does not separate."""
    parts, depth, current = [], 0, ""
    for char in template:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "/" and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += char
    if depth:
        raise ValueError(f"The route template '{template}' has unbalanced braces.")
    return [*parts, current] if template else []


def _parse(part: str) -> _Segment:
    if not part:
        raise ValueError("A route template cannot have an empty segment.")
    if not (part.startswith("{") and part.endswith("}")):
        if "{" in part:
            raise ValueError(f"The route segment '{part}' mixes text and parameters.")
        return _Segment(part)
    inner = part[1:-1]
    catch_all = inner.startswith("*")
    inner = inner.lstrip("*")
    inner, equals, default = inner.partition("=")
    optional = inner.endswith("?")
    name, *constraints = re.split(r":(?![^(]*\))", inner.removesuffix("?"))
    if not re.fullmatch(r"[^/{}?*]+", name):
        raise ValueError(f"The route parameter name '{name}' is invalid.")
    return _Segment(
        None,
        name,
        tuple(constraint(text) for text in constraints),
        optional,
        catch_all,
        default if equals else None,
    )


def _decode(text: str, keep_slash: bool = False) -> str:
    if keep_slash:
        # ASP.NET Core leaves an encoded slash alone, it would change the segments.
        text = re.sub(r"%(2[fF])", r"%25\1", text)
    return unquote(text)
