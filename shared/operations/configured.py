"""The configuration in force, without a secret, and what runs it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import msgspec

from shared.clock import iso
from shared.operations.withheld import Withholding
from shared.research.code import code_digest
from shared.risk.limits import Limits
from shared.risk.plan import StageRules
from shared.settings import SETTINGS

if TYPE_CHECKING:
    from shared.bootstrap import Services

#: Packages whose version may matter when something is looked into.
_PACKAGES = (
    "azure-cosmos",
    "azure-functions",
    "azure-functions-durable",
    "azure-identity",
    "msgspec",
    "numpy",
    "python-binance",
    "TA-Lib",
)


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """One setting: ``value`` without secrets, ``changed`` where it is not the default."""

    name: str
    value: str
    default: str
    changed: bool
    meaning: str


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """``code`` is a digest of the code that decisions come from."""

    code: str
    python: str
    packages: dict[str, str]


class Configured(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the application runs with; ``wrong`` are settings that cannot be used."""

    time: str
    settings: list[InForce]
    wrong: list[str]
    limits: Limits
    stage: StageRules
    stage_problems: list[str]
    versions: Versions


def configured(services: Services) -> Configured:
    """The configuration in force.

    Raises
    ------
    ConfigurationError
        When a setting that says which account this is cannot be used.
    """
    sound = services.for_exits()
    return Configured(
        time=iso(services.clock.now_ms()),
        settings=settings_in_force(services),
        wrong=list(sound.wrong_settings),
        limits=sound.limits,
        stage=sound.stage,
        stage_problems=list(sound.stage_problems),
        versions=versions(),
    )


def settings_in_force(services: Services) -> list[InForce]:
    """Every setting of the application as the environment has it."""
    sound = services.for_exits()
    key = sound.settings.services.llm_key_name
    withholding = Withholding(services.environment, sound.secrets, (key,))
    found = []
    for setting in SETTINGS:
        default = setting.default or ""
        value = services.environment.get(setting.name, "").strip() or default
        found.append(
            InForce(
                name=setting.name,
                value=withholding.setting(setting.name, value),
                default=default,
                changed=value != default,
                meaning=setting.meaning,
            )
        )
    return found


def versions() -> Versions:
    """What runs here."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return Versions(code=code_digest(), python=platform.python_version(), packages=packages)
