"""What a backtest depends on besides its market: one record, JSON-able, repeatable."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from shared.clock import iso
from shared.errors import ConfigurationError, InvalidInput
from shared.market.timeframe import duration_ms
from shared.risk.limits import Limits
from shared.risk.portfolio_limits import PortfolioLimits
from shared.risk.sizing import SizingConfig
from shared.risk.stops import StopRules
from shared.risk.triggers import ALWAYS_CLOSING, Thresholds
from shared.settings import SETTINGS
from shared.simulation.contracts import DEFAULT_CONTRACTS, Contract
from shared.strategies.config import SignalConfig, problems, unserved

#: Order of a bar's extremes: as the venue has it, or always for or against the open position.
BarOrder = Literal["rule", "adverse", "favourable"]
Engine = Literal["compiled", "exact"]

#: Settings that a backtest makes itself; the rest may be chosen.
GIVEN = (
    "BINANCE_ENVIRONMENT",
    "BINANCE_BASE_URL",
    "SYMBOLS",
    "TIMEFRAMES",
    "SQLITE_PATH",
    "COSMOS_DATABASE",
    "CosmosDbConnection__accountEndpoint",
    "KEY_VAULT_URI",
    "BORSA_TELEMETRY",
)
MAX_COSTS = Decimal(100)
#: Above it a float no longer tells cents.
MAX_DEPOSIT = Decimal(1_000_000_000)


class BacktestConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One backtest without its market.

    Parameters
    ----------
    symbols, timeframes : tuple of str
        What is traded, and the bars on which decisions are made.
    start_ms, end_ms : int
        UTC milliseconds, end exclusive.
    signals : SignalConfig
        Left out: what the application ships. Nothing else of it is: :func:`from_environment` has
        the settings' defaults.
    limits, sizing, stops : Limits, SizingConfig, StopRules
    thresholds, closing_triggers
        When the kill switch latches by itself, and which triggers also close every position.
    clear_after_ms : int
        A person clears the kill switch so long after it latched; 0: nobody does.
    stage : str
        Stage whose rules hold on top of the limits.
    deposit : Decimal
        USDT on the account at the start.
    costs : Decimal
        Factor on fees and on the whole spread, also on what a bar's range adds to it: 2 for a
        stress. The depth of the book stays as it is, and at 0 the spread is still a tick.
    order : str
        ``rule``: the order of a bar's extremes as in replay and live simulation; ``adverse`` and
        ``favourable``: that extreme of the open position first, always (compiled engine only).
    engine : str
        ``exact``: the decision code itself, event by event. ``compiled``: the same rules in
        machine code.
    portfolio_gate : bool
        Whether value at risk, clusters and heat are judged too, as live (exact engine only).
    listed : tuple of Contract
        Contracts besides, or instead of, those that the simulated exchange lists.

    Raises
    ------
    ConfigurationError
        Naming everything that cannot be used at once.
    """

    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    start_ms: int
    end_ms: int
    signals: SignalConfig = SignalConfig()
    limits: Limits = Limits()
    sizing: SizingConfig = SizingConfig()
    stops: StopRules = StopRules()
    thresholds: Thresholds = Thresholds()
    closing_triggers: tuple[str, ...] = tuple(sorted(ALWAYS_CLOSING))
    clear_after_ms: int = 0
    stage: str = "paper"
    deposit: Decimal = Decimal(5000)
    costs: Decimal = Decimal(1)
    order: BarOrder = "rule"
    engine: Engine = "compiled"
    portfolio_gate: bool = False
    listed: tuple[Contract, ...] = ()

    def __post_init__(self) -> None:
        wrong = problems(self.signals)
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            wrong.append(f"symbols {', '.join(self.symbols)!r}: name each once, and at least one")
        listed = list(dict.fromkeys([*DEFAULT_CONTRACTS, *(c.symbol for c in self.listed)]))
        unknown = [s for s in self.symbols if s not in listed]
        if unknown:
            wrong.append(f"no contract for {', '.join(unknown)}; there are {', '.join(listed)}")
        if not self.timeframes or len(set(self.timeframes)) != len(self.timeframes):
            wrong.append("time frames: name each once, and at least one")
        for timeframe in self.timeframes:
            try:
                duration_ms(timeframe)
            except InvalidInput as error:
                wrong.append(str(error))
        if self.end_ms <= self.start_ms:
            wrong.append(f"the range ends ({iso(self.end_ms)}) before {iso(self.start_ms)}")
        if not self.deposit.is_finite() or not 0 < self.deposit <= MAX_DEPOSIT:
            wrong.append(
                f"deposit is {self.deposit}; set an amount of USDT above 0, at most {MAX_DEPOSIT:,}"
            )
        if not self.costs.is_finite() or not 0 <= self.costs <= MAX_COSTS:
            wrong.append(f"costs is {self.costs}; set a factor from 0 to {MAX_COSTS}")
        if self.clear_after_ms < 0:
            wrong.append(f"clear_after_ms is {self.clear_after_ms}; set 0 (never) or more")
        if self.engine == "exact" and self.order != "rule":
            wrong.append("the exact engine knows the order of the venue only; set order to rule")
        if self.portfolio_gate and self.engine != "exact":
            wrong.append("the gate on the whole portfolio is not compiled; set engine to exact")
        if not self.portfolio_gate and self.limits.portfolio != PortfolioLimits():
            wrong.append(
                "limits of value at risk, shortfall, clusters or heat are set, and a backtest "
                "judges them with the exact engine and the gate on the portfolio only: "
                "./run backtest --portfolio-gate"
            )
        wrong = wrong or unserved(self.signals, self.symbols, self.timeframes)
        if wrong:
            raise ConfigurationError(wrong)

    def contracts(self) -> dict[str, Contract]:
        """Every contract with the costs of this backtest.

        Market orders reach as far as the book does: on long bars contract and mark price may lie
        further apart than the venue's bound, where live the close is repeated within seconds.
        """
        listed = {**DEFAULT_CONTRACTS, **{c.symbol: c for c in self.listed}}
        return {s: _with_costs(c, self.costs) for s, c in listed.items()}

    def as_json(self) -> dict[str, Any]:
        """Builtins from which :func:`from_json` makes the same record."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def from_json(body: Mapping[str, Any]) -> BacktestConfig:
    """The record from decoded JSON.

    Raises
    ------
    ConfigurationError
        When it is not one.
    """
    try:
        return msgspec.convert(dict(body), BacktestConfig)
    except msgspec.ValidationError as error:
        raise ConfigurationError([f"backtest configuration: {error}"]) from error


def from_environment(
    environment: Mapping[str, str],
    *,
    symbols: tuple[str, ...],
    timeframes: tuple[str, ...],
    start_ms: int,
    end_ms: int,
    **more: Any,
) -> BacktestConfig:
    """A backtest of what the application would do with these settings.

    Parameters
    ----------
    environment : mapping
        Application settings by name, as in ``docs/settings.md``; what is left out has its default.
    **more
        Further fields of :class:`BacktestConfig`.

    Raises
    ------
    ConfigurationError
        For unknown names and values that cannot be used.
    """
    from shared.bootstrap import Services
    from shared.strategies.config import decode_config

    known = [s.name for s in SETTINGS if s.name not in GIVEN]
    wrong = [
        f"there is no setting {name}; one of {', '.join(known)}"
        for name in environment
        if name not in known
    ]
    if wrong:
        raise ConfigurationError(wrong)
    services = Services(
        {
            **environment,
            "BINANCE_ENVIRONMENT": "simulated",
            "BINANCE_BASE_URL": "http://backtest.invalid",
            "SYMBOLS": ",".join(symbols),
            "TIMEFRAMES": ",".join(timeframes),
            "BORSA_TELEMETRY": "false",
        }
    )
    settings = services.settings
    if settings.entry_style != "ioc":
        raise ConfigurationError(
            [
                f"ENTRY_STYLE is {settings.entry_style}; a backtest knows ioc only: whether a "
                "resting order would have been filled is not in candles"
            ]
        )
    return BacktestConfig(
        symbols=settings.symbols,
        timeframes=settings.timeframes,
        start_ms=start_ms,
        end_ms=end_ms,
        **{
            "signals": decode_config(settings.trading_plan or "{}"),
            "limits": services.limits,
            "sizing": services.sizing,
            "stops": services.stops,
            "thresholds": services.thresholds,
            "closing_triggers": tuple(sorted(services.closing_triggers)),
            "stage": services.stage.name,
            **more,
        },
    )


def _with_costs(contract: Contract, factor: Decimal) -> Contract:
    return msgspec.structs.replace(
        contract,
        instrument=msgspec.structs.replace(contract.instrument, market_take_bound=Decimal(1)),
        maker_fee=contract.maker_fee * factor,
        taker_fee=contract.taker_fee * factor,
        spread_bps=contract.spread_bps * float(factor),
        range_share=contract.range_share * float(factor),
    )
