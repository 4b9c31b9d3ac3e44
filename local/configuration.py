"""What the command line runs: the shipped configuration, the demonstration's, or a file's.

A configuration file holds application settings by name, ``TRADING_PLAN`` among them as the JSON it
is; or nothing but a signal configuration, which then stands on the shipped settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import ConfigurationError, InvalidInput
from shared.settings import SETTINGS

#: What runs when nothing is set: the defaults of the settings.
SHIPPED = "shipped"
#: What ``./run`` and ``./run replay`` show unless told otherwise.
DEMONSTRATION = "demonstration"

ABOUT = {
    SHIPPED: "the shipped default: docs/default-config.md says what it is worth",
    DEMONSTRATION: (
        "made to show something every few minutes, it is no recommendation; what the application "
        "ships is another one (./run replay --config shipped, docs/default-config.md)"
    ),
}

#: Settings that say where something is, not what is traded and how.
PLACES = (
    "BINANCE_ENVIRONMENT",
    "BINANCE_BASE_URL",
    "SQLITE_PATH",
    "COSMOS_DATABASE",
    "CosmosDbConnection__accountEndpoint",
    "KEY_VAULT_URI",
    "BORSA_TELEMETRY",
)

_FILES = Path(__file__).resolve().parent.parent / "configs"
_DEFAULTS = {s.name: s.default or "" for s in SETTINGS}


@dataclass(frozen=True)
class Configuration:
    """Settings by name that differ from the shipped ones, and what they are called."""

    name: str
    settings: dict[str, str]

    @property
    def symbols(self) -> tuple[str, ...]:
        return self._listed("SYMBOLS")

    @property
    def timeframes(self) -> tuple[str, ...]:
        return self._listed("TIMEFRAMES")

    @property
    def rest(self) -> dict[str, str]:
        """The settings without contracts and time frames, which commands have options for."""
        return {k: v for k, v in self.settings.items() if k not in ("SYMBOLS", "TIMEFRAMES")}

    @property
    def about(self) -> str:
        """One line for whoever reads the result."""
        return ": ".join(t for t in (f"configuration {self.name}", ABOUT.get(self.name, "")) if t)

    def _listed(self, name: str) -> tuple[str, ...]:
        text = self.settings.get(name) or _DEFAULTS[name]
        return tuple(part.strip() for part in text.split(",") if part.strip())


def configuration(choice: str) -> Configuration:
    """The configuration of that name, or of a file.

    Raises
    ------
    InvalidInput
        When the file cannot be read or holds no JSON object.
    ConfigurationError
        Naming every setting in it that there is not, or that does not belong there.
    """
    if choice == SHIPPED:
        return Configuration(SHIPPED, {})
    path = _FILES / "demonstration.json" if choice == DEMONSTRATION else Path(choice)
    try:
        body = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise InvalidInput(
            f"--config {choice}: {error.strerror}; name a file, {SHIPPED} or {DEMONSTRATION}"
        ) from error
    except msgspec.DecodeError as error:
        raise InvalidInput(f"--config {choice}: {error}") from error
    name = DEMONSTRATION if choice == DEMONSTRATION else path.name
    if body and not any(key.isupper() for key in body):
        return Configuration(name, {"TRADING_PLAN": _text(body)})
    wrong = [f"--config {choice}: {key} {why}" for key in body if (why := _refusal(key))]
    if wrong:
        raise ConfigurationError(wrong)
    return Configuration(name, {key: _text(value) for key, value in body.items()})


def _refusal(name: str) -> str:
    if name not in _DEFAULTS:
        return "is no setting"
    return "says where something is, and does not belong in a configuration" * (name in PLACES)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
