"""Typed settings from the environment: the only place that names a setting.

Every wrong or missing setting is reported at once, each with what to set. Secrets are not
settings: see :mod:`shared.security.secrets`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from shared.errors import ConfigurationError
from shared.market.timeframe import TIMEFRAMES
from shared.service_settings import SERVICE_SETTINGS, ServiceSettings, read_services
from shared.setting_reader import Reader, Setting

Environment = Literal["simulated", "demo", "production"]
StageName = Literal["paper", "testnet", "limited", "full"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the deployed application reads from its environment.

    ``trading_plan`` is a signal configuration as JSON; empty means the shipped default.
    ``cosmos_endpoint`` empty means SQLite at ``sqlite_path``.
    """

    binance_environment: Environment
    binance_base_url: str
    binance_recv_window_ms: int
    rate_budget: str
    key_vault_uri: str
    account_id: str
    trading_stage: StageName
    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    trading_plan: str
    max_leverage: int
    max_position_notional: Decimal
    max_total_notional: Decimal
    max_daily_loss: Decimal
    max_drawdown: Decimal
    max_value_at_risk: Decimal
    max_expected_shortfall: Decimal
    max_marginal_shortfall: Decimal
    max_cluster_notional: Decimal
    cluster_correlation: Decimal
    max_heat: Decimal
    risk_confidence: Decimal
    risk_horizon_days: int
    loss_cooldown_minutes: int
    risk_per_trade: Decimal
    target_volatility: Decimal
    kelly_fraction: Decimal
    kelly_min_trades: int
    max_holding_bars: int
    stop_atr: Decimal
    reward_risk: Decimal
    trail_activation: Decimal
    break_even_at: Decimal
    trail_atr: Decimal
    stop_watch: Decimal | Literal["always"]
    entry_style: Literal["ioc", "post_only"]
    entry_chase_seconds: int
    volatility_ratio: Decimal
    disconnection_seconds: int
    kill_switch_closes: tuple[str, ...]
    violations_block: Literal["symbol", "account", "off"]
    message_limit: int
    anomalies: Literal["off", "record", "alert"]
    model_registry: bool
    model_scoring: bool
    research_data: str
    cosmos_endpoint: str
    cosmos_database: str
    sqlite_path: str
    alert_url: str
    alert_audience: str
    alert_channels: tuple[str, ...]
    alert_escalation: tuple[str, ...]
    alert_escalation_minutes: int
    azure_client_id: str
    telemetry: bool
    model_drift: bool
    retraining_job: str
    retraining_on: Literal["failing", "drifting"]
    retraining_days: int
    services: ServiceSettings
    access: Literal["keys", "entra"]
    entra_tenant_id: str
    entra_client_id: str
    entra_authority: str
    public_url: str
    session_hours: int
    session_idle_minutes: int


#: Every setting the application's own code reads. Docs, Bicep and the sample file are checked
#: against this table.
SETTINGS: tuple[Setting, ...] = (
    Setting("BINANCE_ENVIRONMENT", "simulated", "simulated, demo or production"),
    Setting("BINANCE_BASE_URL", "", "base URL of the simulated exchange; empty elsewhere"),
    Setting("BINANCE_RECV_WINDOW_MS", "3000", "how long a signed request stays valid, 1-60000"),
    Setting("RATE_BUDGET", "own", "own: this process alone; shared: all instances, one address"),
    Setting("KEY_VAULT_URI", "", "vault that holds the secrets; empty: read from the environment"),
    Setting("ACCOUNT_ID", "main", "name of the trading account; partition of its state"),
    Setting("TRADING_STAGE", "paper", "paper, testnet, limited or full"),
    Setting(
        "SYMBOLS", "BTCUSDT,ETHUSDT,XRPUSDT,ADAUSDT", "contracts to trade, separated by commas"
    ),
    Setting("TIMEFRAMES", "1h", "time frames to evaluate, separated by commas"),
    Setting("TRADING_PLAN", "", "JSON signal configuration; empty: the shipped default"),
    Setting("MAX_LEVERAGE", "5", "1-10"),
    Setting("MAX_POSITION_NOTIONAL", "500", "USDT per position, at most 500"),
    Setting("MAX_TOTAL_NOTIONAL", "2000", "USDT over all positions, at most 5000"),
    Setting("MAX_DAILY_LOSS", "200", "USDT per UTC day, at most 1000"),
    Setting("MAX_DRAWDOWN", "0.10", "fraction of the equity peak, at most 0.20"),
    Setting("MAX_VALUE_AT_RISK", "0.10", "value at risk over equity, at most 0.20"),
    Setting("MAX_EXPECTED_SHORTFALL", "0.15", "expected shortfall over equity, at most 0.30"),
    Setting("MAX_MARGINAL_SHORTFALL", "0.075", "what a position adds to it, at most 0.15"),
    Setting("MAX_CLUSTER_NOTIONAL", "2000", "USDT net in what moves together, at most 5000"),
    Setting("CLUSTER_CORRELATION", "0.7", "correlation that makes contracts one cluster, 0.3-0.9"),
    Setting("MAX_HEAT", "0.10", "loss at all stops over equity, at most 0.20"),
    Setting("RISK_CONFIDENCE", "0.99", "confidence of value at risk, 0.99-0.995"),
    Setting("RISK_HORIZON_DAYS", "1", "days of value at risk, 1-10"),
    Setting("LOSS_COOLDOWN_MINUTES", "0", "pause on a symbol after a losing trade; 0: none"),
    Setting("RISK_PER_TRADE", "0.005", "fraction of equity risked between entry and stop"),
    Setting("TARGET_VOLATILITY", "0.20", "annualised volatility a single position may add"),
    Setting("KELLY_FRACTION", "0", "part of the Kelly fraction of the closed trades; 0: off"),
    Setting("KELLY_MIN_TRADES", "100", "closed trades before it counts, 30-300"),
    Setting("MAX_HOLDING_BARS", "336", "bars after which a position is closed regardless"),
    Setting("STOP_ATR", "4", "stop distance in ATRs, before it is clamped into 1-5 %"),
    Setting("REWARD_RISK", "3", "distance of the target in stop distances, 2-10"),
    Setting("TRAIL_ACTIVATION", "2", "profit in stop distances at which trailing begins"),
    Setting("BREAK_EVEN_AT", "0", "profit in stop distances that moves the stop to break-even"),
    Setting("TRAIL_ATR", "0", "trailing distance in ATRs; 0: as far as the first stop"),
    Setting("ENTRY_STYLE", "ioc", "ioc: at once; post_only: rest as a maker first, then at once"),
    Setting("ENTRY_CHASE_SECONDS", "8", "seconds that a post-only entry rests and is moved"),
    Setting("STOP_WATCH", "always", "always, or the part of the stop distance to be watched in"),
    Setting("VOLATILITY_RATIO", "8", "recent over usual volatility that latches the kill switch"),
    Setting("DISCONNECTION_SECONDS", "300", "silence of the exchange that latches it"),
    Setting(
        "KILL_SWITCH_CLOSES",
        "suspicious_activity",
        "automatic triggers that also close every position, separated by commas, or none",
    ),
    Setting("VIOLATIONS_BLOCK", "symbol", "where an open critical violation declines entries"),
    Setting("MESSAGE_LIMIT", "150", "own order messages in 10 s above which entries are declined"),
    Setting("ANOMALIES", "off", "anomalous bars: off, record, or alert (record and tell)"),
    Setting("MODEL_REGISTRY", "off", "on: plans vote with the champions of the model registry"),
    Setting("MODEL_SCORING", "off", "on: champions and challengers are scored at every bar"),
    Setting("RESEARCH_DATA", "", "folder of candle files for sweeps; empty: the venue's history"),
    Setting("CosmosDbConnection__accountEndpoint", "", "Cosmos DB endpoint; empty: SQLite"),
    Setting("COSMOS_DATABASE", "borsa", "database in the Cosmos DB account"),
    Setting("SQLITE_PATH", ".local/state.db", "state file when no Cosmos DB is configured"),
    Setting("ALERT_LOGIC_APP_URL", "", "trigger address of the alert Logic App; empty: none"),
    Setting("ALERT_LOGIC_APP_AUDIENCE", "", "token audience of that trigger"),
    Setting("ALERT_CHANNELS", "", "discord, push, sms: warnings and critical alerts go there too"),
    Setting("ALERT_ESCALATION", "", "channels in turn for critical alerts nobody acknowledged"),
    Setting("ALERT_ESCALATION_MINUTES", "10", "until the first of them, and between two, 5-120"),
    Setting("AZURE_CLIENT_ID", "", "client id of the user-assigned identity"),
    Setting("BORSA_TELEMETRY", "true", "record spans and metrics"),
    Setting("MODEL_DRIFT", "off", "on: judge once a day whether models still know what they knew"),
    Setting("RETRAINING_JOB", "", "address of the training job to start; empty: none is started"),
    Setting("RETRAINING_ON", "failing", "verdict on a champion that starts it: failing, drifting"),
    Setting("RETRAINING_DAYS", "14", "days between two starts at least, 3-180"),
    *(Setting(*setting) for setting in SERVICE_SETTINGS),
    Setting("ACCESS", "keys", "keys: function keys alone; entra: people sign in as well"),
    Setting("ENTRA_TENANT_ID", "", "directory whose people may sign in"),
    Setting("ENTRA_CLIENT_ID", "", "application (client) id of the app registration"),
    Setting("ENTRA_AUTHORITY", "https://login.microsoftonline.com", "where people sign in"),
    Setting("PUBLIC_URL", "", "address of this application as browsers know it"),
    Setting("SESSION_HOURS", "8", "hours after which a session ends, 1-24"),
    Setting("SESSION_IDLE_MINUTES", "30", "minutes without a request that end it, 5-240"),
)

#: What KILL_SWITCH_CLOSES may name: manual stops and drawdown always close.
_CLOSING = ("abnormal_volatility", "exchange_disconnection", "suspicious_activity", "none")

#: As in :data:`shared.alerts.destinations.CHANNELS`.
_CHANNELS = ("discord", "push", "sms")

_DEFAULTS = {s.name: s.default for s in SETTINGS}


#: Which account this is, and the way to it: in their place nothing is assumed.
_WAY = frozenset(
    {
        "BINANCE_ENVIRONMENT",
        "BINANCE_BASE_URL",
        "KEY_VAULT_URI",
        "ACCOUNT_ID",
        "CosmosDbConnection__accountEndpoint",
        "COSMOS_DATABASE",
        "SQLITE_PATH",
        "AZURE_CLIENT_ID",
    }
)


def load(environment: Mapping[str, str]) -> Settings:
    """Read and check all settings.

    Raises
    ------
    ConfigurationError
        Naming every problem at once, with what to set.
    """
    read = Reader(environment, _DEFAULTS)
    settings = Settings(
        binance_environment=read.choice(  # type: ignore[arg-type]
            "BINANCE_ENVIRONMENT", ("simulated", "demo", "production")
        ),
        binance_base_url=read.url("BINANCE_BASE_URL"),
        binance_recv_window_ms=read.integer("BINANCE_RECV_WINDOW_MS", 1, 60_000),
        rate_budget=read.choice("RATE_BUDGET", ("own", "shared")),
        key_vault_uri=read.url("KEY_VAULT_URI"),
        account_id=read.account("ACCOUNT_ID"),
        trading_stage=read.choice(  # type: ignore[arg-type]
            "TRADING_STAGE", ("paper", "testnet", "limited", "full")
        ),
        symbols=read.names(
            "SYMBOLS",
            lambda x: x.isalnum() and x == x.upper() and len(x) <= 20,
            "contract names such as BTCUSDT,ETHUSDT",
        ),
        timeframes=read.names(
            "TIMEFRAMES", TIMEFRAMES.__contains__, "time frames out of " + ", ".join(TIMEFRAMES)
        ),
        trading_plan=read.text("TRADING_PLAN"),
        max_leverage=read.integer("MAX_LEVERAGE", 1, 10),
        max_position_notional=read.number("MAX_POSITION_NOTIONAL", "0", "500"),
        max_total_notional=read.number("MAX_TOTAL_NOTIONAL", "0", "5000"),
        max_daily_loss=read.number("MAX_DAILY_LOSS", "0", "1000"),
        max_drawdown=read.number("MAX_DRAWDOWN", "0", "0.20"),
        max_value_at_risk=read.number("MAX_VALUE_AT_RISK", "0", "0.20"),
        max_expected_shortfall=read.number("MAX_EXPECTED_SHORTFALL", "0", "0.30"),
        max_marginal_shortfall=read.number("MAX_MARGINAL_SHORTFALL", "0", "0.15"),
        max_cluster_notional=read.number("MAX_CLUSTER_NOTIONAL", "0", "5000"),
        cluster_correlation=read.between("CLUSTER_CORRELATION", "0.3", "0.9"),
        max_heat=read.number("MAX_HEAT", "0", "0.20"),
        risk_confidence=read.between("RISK_CONFIDENCE", "0.99", "0.995"),
        risk_horizon_days=read.integer("RISK_HORIZON_DAYS", 1, 10),
        loss_cooldown_minutes=read.integer("LOSS_COOLDOWN_MINUTES", 0, 1440),
        risk_per_trade=read.number("RISK_PER_TRADE", "0.0001", "0.05"),
        target_volatility=read.number("TARGET_VOLATILITY", "0.001", "5"),
        kelly_fraction=read.optional("KELLY_FRACTION", "0.5"),
        kelly_min_trades=read.integer("KELLY_MIN_TRADES", 30, 300),
        max_holding_bars=read.integer("MAX_HOLDING_BARS", 1, 100_000),
        stop_atr=read.number("STOP_ATR", "0.1", "20"),
        reward_risk=read.between("REWARD_RISK", "2", "10"),
        trail_activation=read.number("TRAIL_ACTIVATION", "0.1", "10"),
        break_even_at=read.optional("BREAK_EVEN_AT", "10"),
        trail_atr=read.optional("TRAIL_ATR", "20"),
        stop_watch=read.watch("STOP_WATCH"),
        entry_style=read.choice("ENTRY_STYLE", ("ioc", "post_only")),  # type: ignore[arg-type]
        entry_chase_seconds=read.integer("ENTRY_CHASE_SECONDS", 1, 10),
        volatility_ratio=read.number("VOLATILITY_RATIO", "2", "100"),
        disconnection_seconds=read.integer("DISCONNECTION_SECONDS", 60, 3600),
        kill_switch_closes=read.names(
            "KILL_SWITCH_CLOSES",
            _CLOSING.__contains__,
            "none, or out of " + ", ".join(t for t in _CLOSING if t != "none"),
        ),
        violations_block=read.choice(  # type: ignore[arg-type]
            "VIOLATIONS_BLOCK", ("symbol", "account", "off")
        ),
        message_limit=read.integer("MESSAGE_LIMIT", 20, 300),
        anomalies=read.choice("ANOMALIES", ("off", "record", "alert")),  # type: ignore[arg-type]
        model_registry=read.choice("MODEL_REGISTRY", ("off", "on")) == "on",
        model_scoring=read.choice("MODEL_SCORING", ("off", "on")) == "on",
        research_data=read.text("RESEARCH_DATA"),
        cosmos_endpoint=read.url("CosmosDbConnection__accountEndpoint"),
        cosmos_database=read.text("COSMOS_DATABASE"),
        sqlite_path=read.text("SQLITE_PATH"),
        alert_url=read.url("ALERT_LOGIC_APP_URL"),
        alert_audience=read.text("ALERT_LOGIC_APP_AUDIENCE"),
        alert_channels=read.some("ALERT_CHANNELS", _CHANNELS),
        alert_escalation=read.some("ALERT_ESCALATION", _CHANNELS),
        alert_escalation_minutes=read.integer("ALERT_ESCALATION_MINUTES", 5, 120),
        azure_client_id=read.text("AZURE_CLIENT_ID"),
        telemetry=read.choice("BORSA_TELEMETRY", ("true", "false")) == "true",
        model_drift=read.choice("MODEL_DRIFT", ("off", "on")) == "on",
        retraining_job=read.url("RETRAINING_JOB"),
        retraining_on=read.choice(  # type: ignore[arg-type]
            "RETRAINING_ON", ("failing", "drifting")
        ),
        retraining_days=read.integer("RETRAINING_DAYS", 3, 180),
        services=read_services(read),
        access=read.choice("ACCESS", ("keys", "entra")),  # type: ignore[arg-type]
        entra_tenant_id=read.text("ENTRA_TENANT_ID"),
        entra_client_id=read.text("ENTRA_CLIENT_ID"),
        entra_authority=read.url("ENTRA_AUTHORITY").rstrip("/"),
        public_url=read.url("PUBLIC_URL").rstrip("/"),
        session_hours=read.integer("SESSION_HOURS", 1, 24),
        session_idle_minutes=read.integer("SESSION_IDLE_MINUTES", 5, 240),
    )
    problems = read.problems + _contradictions(settings)
    if problems:
        raise ConfigurationError(problems)
    return settings


def _contradictions(settings: Settings) -> list[str]:
    """What is wrong with settings that are right one by one."""
    problems: list[str] = []
    if settings.access == "entra":
        from shared.access.needed import missing

        problems += missing(settings)
    if settings.binance_environment == "simulated" and not settings.binance_base_url:
        problems.append(
            "BINANCE_BASE_URL is empty; set the address of the simulated exchange, or choose "
            "BINANCE_ENVIRONMENT demo or production"
        )
    twice = set(settings.alert_channels) & set(settings.alert_escalation)
    if twice:
        problems.append(
            f"ALERT_ESCALATION names {', '.join(sorted(twice))}, where ALERT_CHANNELS sends at "
            "once; name a channel in one of them"
        )
    if settings.binance_environment != "simulated" and settings.binance_base_url:
        problems.append(
            "BINANCE_BASE_URL must be empty when BINANCE_ENVIRONMENT is "
            f"{settings.binance_environment}: keys of a venue go to that venue's host only"
        )
    if settings.binance_environment == "production" and settings.trading_stage in (
        "paper",
        "testnet",
    ):
        problems.append(
            f"TRADING_STAGE {settings.trading_stage} never trades on production; set limited or "
            "full, or BINANCE_ENVIRONMENT demo"
        )
    if settings.binance_environment == "demo" and settings.trading_stage in ("limited", "full"):
        problems.append(
            f"TRADING_STAGE {settings.trading_stage} is for production; the demo venue uses testnet"
        )
    return problems


def without(environment: Mapping[str, str], problems: Sequence[str]) -> dict[str, str]:
    """The environment without the settings that are wrong: their defaults count instead.

    For whoever only closes and protects. Each problem begins with its setting's name.

    Raises
    ------
    ConfigurationError
        When one of them says which account this is, or how to get there.
    """
    names = {problem.split(" ")[0] for problem in problems}
    if not names <= _DEFAULTS.keys() or names & _WAY:
        raise ConfigurationError(problems)
    rest = {name: value for name, value in environment.items() if name not in names}
    if "TRADING_STAGE" in names:
        venue = environment.get("BINANCE_ENVIRONMENT", "").strip()
        rest["TRADING_STAGE"] = {"production": "limited", "demo": "testnet"}.get(venue, "paper")
    return rest
