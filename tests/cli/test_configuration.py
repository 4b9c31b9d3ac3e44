"""What `--config` names, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.cli.live import demonstration as live
from local.cli.main import parser
from local.configuration import DEMONSTRATION, SHIPPED, configuration
from shared.errors import BorsaError, ConfigurationError
from shared.settings import SETTINGS, load
from shared.strategies.config import decode_config, five_strategies

DEFAULTS = {s.name: s.default for s in SETTINGS}
VENUE = {"BINANCE_ENVIRONMENT": "demo", "TRADING_STAGE": "testnet"}
SPAN = ["--from", "2025-05-04", "--to", "2025-05-05", "--out", "out"]


def test_the_shipped_configuration_is_nothing_set() -> None:
    shipped = configuration(SHIPPED)
    assert shipped.settings == {}
    assert ",".join(shipped.symbols) == DEFAULTS["SYMBOLS"]
    assert shipped.timeframes == ("1h",)


def test_the_demonstration_is_five_strategies_on_short_bars() -> None:
    shown = configuration(DEMONSTRATION)
    assert (shown.symbols, shown.timeframes) == (("BTCUSDT", "ETHUSDT"), ("5m", "1h"))
    plan = decode_config(shown.settings["TRADING_PLAN"])
    for timeframe, threshold in {"1m": 0.7, "5m": 0.6, "15m": 0.55, "1h": 0.5, "4h": 0.4}.items():
        assert plan.ensemble("BTCUSDT", timeframe) == five_strategies(threshold)
    settings = load({**VENUE, **shown.settings})
    assert (settings.stop_atr, settings.reward_risk, settings.trail_activation) == (2, 2, 1)
    assert settings.max_holding_bars == 48


def test_the_demonstration_risks_no_more_than_what_is_shipped() -> None:
    touched = set(configuration(DEMONSTRATION).settings) | set(live())
    assert not touched & {n for n in DEFAULTS if n.startswith("MAX_") and n != "MAX_HOLDING_BARS"}
    assert not touched & {"RISK_PER_TRADE", "TARGET_VOLATILITY"}


def test_what_runs_when_nothing_is_chosen() -> None:
    """What is watched is the demonstration; what judges judges the shipped default."""
    chosen = {
        command: parser().parse_args([command, *more, *SPAN]).config
        for command, more in {
            "replay": ["--synthetic"],
            "backtest": ["--synthetic"],
            "compare": ["--live", "x", "--synthetic"],
            "optimize": ["--data", "x"],
            "walkforward": ["--data", "x"],
        }.items()
    }
    assert chosen == {
        "replay": DEMONSTRATION,
        "backtest": SHIPPED,
        "compare": SHIPPED,
        "optimize": SHIPPED,
        "walkforward": SHIPPED,
    }
    assert load({**VENUE, **live()}).timeframes == ("1m",)


def test_a_file_holds_settings_or_a_signal_configuration(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"STOP_ATR": "3", "MAX_LEVERAGE": 2, "TRADING_PLAN": {"timeframes": {}}}')
    mine = configuration(str(file))
    assert mine.name == "mine.json"
    assert mine.settings == {
        "STOP_ATR": "3",
        "MAX_LEVERAGE": "2",
        "TRADING_PLAN": '{"timeframes":{}}',
    }
    file.write_text('{"default": {"members": [{"strategy": "trend"}]}}')
    plan = decode_config(configuration(str(file)).settings["TRADING_PLAN"])
    assert [m.strategy for m in plan.default.members] == ["trend"]
    # Everything else of it is as shipped.
    assert configuration(str(file)).rest.keys() == {"TRADING_PLAN"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, ["No such file", "shipped or demonstration"]),
        ("[1]", ["mine.json"]),
        ("{", ["mine.json"]),
        ('{"STOP_ART": "3"}', ["STOP_ART is no setting"]),
        (
            '{"STOP_ATR": "3", "default": {}, "BINANCE_ENVIRONMENT": "production"}',
            ["default is no setting", "BINANCE_ENVIRONMENT says where"],
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, text: str | None, says: list[str]
) -> None:
    file = tmp_path / "mine.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BorsaError) as refused:
        configuration(str(file))
    told = (
        "\n".join(refused.value.problems)
        if isinstance(refused.value, ConfigurationError)
        else str(refused.value)
    )
    for words in says:
        assert words in told
