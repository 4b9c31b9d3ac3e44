"""Executed trades against a backtest: what was done to them comes out as the cause."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.cli.main import main
from shared.errors import InvalidInput
from shared.portfolio.trades import Trade
from shared.research.compare import PARTS, Comparison, Leg, compare, parts_of
from shared.research.compare_page import page
from shared.research.executed import Executed, from_audit_file, from_json_file
from shared.research.result import EXIT_REASONS, Result, Trades

D = Decimal
#: 2025-05-05 00:00 UTC.
START = 1_746_403_200_000
HOUR = 3_600_000
#: (signal hour, symbol, side, quantity, entry, exit, hours held, fees, funding, reason)
Row = tuple[int, str, str, str, str, str, int, str, str, str]
BACKTEST: list[Row] = [
    (1, "BTCUSDT", "BUY", "0.01", "100000", "101000", 2, "1", "-0.1", "take profit"),
    (2, "ETHUSDT", "SELL", "0.2", "2500", "2520", 3, "0.5", "0", "stop"),
    (9, "BTCUSDT", "SELL", "0.01", "99000", "98000", 1, "1", "0.05", "time exit"),
]


def identity(row: Row) -> str:
    return f"{row[1]}-1h-{START + row[0] * HOUR}-v1"


def trade(row: Row, **changes: Any) -> Trade:
    hour, symbol, side, quantity, entry, leave, held, fees, funding, reason = row
    sign = 1 if side == "BUY" else -1
    made: dict[str, Any] = {
        "id": identity(row),
        "account": "main",
        "symbol": symbol,
        "side": side,
        "quantity": D(quantity),
        "entry_price": D(entry),
        "exit_price": D(leave),
        "opened_at": START + hour * HOUR + 2000,
        "closed_at": START + (hour + held) * HOUR,
        "fees": D(fees),
        "funding": D(funding),
        "exit_reason": reason,
    }
    made |= changes
    gross = sign * made["quantity"] * (made["exit_price"] - made["entry_price"])
    net = gross - made["fees"] + made["funding"]
    return Trade(gross_pnl=gross, net_pnl=net, r_multiple=D(0), fills=2, **made)


def result(rows: Sequence[Row]) -> Result:
    symbols = ("BTCUSDT", "ETHUSDT")
    columns = []
    for t in sorted((trade(r) for r in rows), key=lambda t: t.closed_at):
        columns.append(
            {
                "symbol": symbols.index(t.symbol),
                "strategy": 0,
                "side": 1 if t.side == "BUY" else -1,
                "opened_at": t.opened_at,
                "closed_at": t.closed_at,
                "quantity": float(t.quantity),
                "entry_price": float(t.entry_price),
                "exit_price": float(t.exit_price),
                "stop_price": 1.0,
                "gross": float(t.gross_pnl),
                "fees": float(t.fees),
                "funding": float(t.funding),
                "slippage": 0.0,
                "net": float(t.net_pnl),
                "risk": 5.0,
                "best": 0.0,
                "worst": 0.0,
                "exit_reason": EXIT_REASONS.index(t.exit_reason),
            }
        )
    empty = np.zeros(0)
    return Result(
        symbols=symbols,
        strategies=("ensemble",),
        timeframe="1h",
        time=np.zeros(0, dtype=np.int64),
        equity=empty,
        wallet=empty,
        exposure=empty,
        start_equity=5000.0,
        trades=Trades.from_rows(columns),
    )


OUTCOMES = {identity(r): "approved" for r in BACKTEST}


def against(
    trades: list[Trade],
    decisions: dict[str, str] | None = None,
    outcomes: dict[str, str] | None = None,
    rows: Sequence[Row] = BACKTEST,
) -> Comparison:
    return compare(
        Executed(trades, decisions, "test"),
        result(rows),
        {**OUTCOMES, **(outcomes or {})},
        start_ms=START,
        end_ms=START + 24 * HOUR,
        tolerance_ms=HOUR,
    )


def test_the_same_trades_do_not_differ() -> None:
    found = against([trade(r) for r in BACKTEST])
    assert (found.matched, found.difference, found.causes) == (3, 0, {})
    assert {p.cause for p in found.pairs} == {"none"}
    # 10 - 1 - 0.1, -4 - 0.5 + 0, 10 - 1 + 0.05
    assert found.executed_net == found.backtest_net == D("8.9") - D("4.5") + D("9.05")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"entry_price": D("100050")}, {"entry price": D("-0.5")}),
        ({"exit_price": D("100900")}, {"exit price": D("-1")}),
        (
            {"exit_price": D("100400"), "closed_at": START + 5 * HOUR},
            {"exit time": D("-6")},
        ),
        (
            {"exit_price": D("99500"), "exit_reason": "stop", "closed_at": START + 2 * HOUR},
            {"exit reason": D("-15")},
        ),
        ({"fees": D("1.25")}, {"fees": D("-0.25")}),
        ({"funding": D("-0.3")}, {"funding": D("-0.2")}),
        ({"quantity": D("0.008")}, {"size": D("-2")}),
        (
            # 0.008 instead of 0.01 bitcoin, 20 paid too much for each, 30 got too much.
            {
                "quantity": D("0.008"),
                "entry_price": D("100020"),
                "exit_price": D("101030"),
                "fees": D("0.8"),
            },
            {
                "size": D("-2"),
                "entry price": D("-0.16"),
                "exit price": D("0.24"),
                "fees": D("0.2"),
            },
        ),
    ],
)
def test_what_was_changed_is_the_cause(
    changes: dict[str, Any], expected: dict[str, Decimal]
) -> None:
    trades = [trade(BACKTEST[0], **changes), *(trade(r) for r in BACKTEST[1:])]
    found = against(trades)
    assert found.causes == expected
    assert found.difference == sum(expected.values())
    assert found.counts == dict.fromkeys(expected, 1)


def test_a_short_pays_the_other_way() -> None:
    # Sold 10 lower, bought back 5 higher than the backtest: 0.2 ether lose 2 and 1.
    changed = trade(BACKTEST[1], entry_price=D("2490"), exit_price=D("2525"))
    found = against([trade(BACKTEST[0]), changed, trade(BACKTEST[2])])
    assert found.causes == {"entry price": D("-2"), "exit price": D("-1")}


@pytest.mark.parametrize(
    ("decisions", "cause"),
    [
        (None, "not executed, reason unknown"),
        ({}, "missed signal"),
        ({identity(BACKTEST[1]): "daily_loss"}, "declined: daily_loss"),
        ({identity(BACKTEST[1]): "approved"}, "approved, no closed trade"),
    ],
)
def test_a_trade_of_the_backtest_alone(decisions: dict[str, str] | None, cause: str) -> None:
    found = against([trade(BACKTEST[0]), trade(BACKTEST[2])], decisions)
    # The backtest lost 4.5 with it.
    assert found.causes == {cause: D("4.5")}
    assert found.difference == D("4.5")


@pytest.mark.parametrize(
    ("outcomes", "cause"),
    [
        ({}, "no signal in the backtest"),
        ({"ETHUSDT-1h-{}-v1": "symbol_free"}, "declined in the backtest: symbol_free"),
        ({"ETHUSDT-1h-{}-v1": "approved"}, "not filled in the backtest"),
    ],
)
def test_an_executed_trade_alone(outcomes: dict[str, str], cause: str) -> None:
    extra: Row = (15, "ETHUSDT", "BUY", "0.1", "2500", "2510", 1, "0.25", "0", "take profit")
    known = {k.format(START + 15 * HOUR): v for k, v in outcomes.items()}
    found = against([*(trade(r) for r in BACKTEST), trade(extra)], {}, known)
    assert found.causes == {cause: D("0.75")}


def test_without_ids_the_nearest_in_time_is_the_pair() -> None:
    late = trade(BACKTEST[0], id="by-hand", opened_at=START + HOUR + 900_000, entry_price=D(100100))
    found = against([late, trade(BACKTEST[1]), trade(BACKTEST[2])])
    assert found.matched == 3
    assert found.causes == {"entry price": D("-1")}
    far = msgspec.structs.replace(late, opened_at=START + 3 * HOUR)
    assert against([far, trade(BACKTEST[1]), trade(BACKTEST[2])]).matched == 2


def test_trades_outside_the_period_do_not_count() -> None:
    other: Row = (30, "BTCUSDT", "BUY", "0.01", "1", "2", 1, "0", "0", "stop")
    assert against([*(trade(r) for r in BACKTEST), trade(other)]).executed_trades == 3


def test_two_trades_of_one_decision_are_refused() -> None:
    with pytest.raises(InvalidInput, match="two trades of one decision"):
        against([trade(BACKTEST[0]), trade(BACKTEST[0])])


figures = st.decimals("0.00000001", "1000000", allow_nan=False, places=8)
signed = st.decimals("-1000", "1000", allow_nan=False, places=8)


@st.composite
def legs(draw: st.DrawFn) -> Leg:
    return Leg(
        id="BTCUSDT-1h-1-v1",
        symbol="BTCUSDT",
        side="SELL" if draw(st.booleans()) else "BUY",
        quantity=draw(figures),
        entry_price=draw(figures),
        exit_price=draw(figures),
        opened_at=0,
        closed_at=draw(st.integers(0, 20_000)),
        gross=draw(signed),
        fees=draw(signed),
        funding=draw(signed),
        exit_reason=draw(st.sampled_from(EXIT_REASONS)),
    )


@given(legs(), legs())
def test_parts_add_up_exactly(a: Leg, b: Leg) -> None:
    from decimal import localcontext

    b = msgspec.structs.replace(b, side=a.side)
    with localcontext() as context:
        context.prec = 60
        parts = parts_of(a, b)
        assert tuple(parts) == PARTS
        assert sum(parts.values()) == (a.gross - a.fees + a.funding) - (
            b.gross - b.fees + b.funding
        )


changed = st.fixed_dictionaries(
    {},
    optional={
        "quantity": figures,
        "entry_price": figures,
        "exit_price": figures,
        "fees": signed,
        "funding": signed,
    },
)


@given(st.lists(st.one_of(st.none(), changed), min_size=3, max_size=3), st.booleans())
def test_causes_add_up_exactly(changes: list[dict[str, Any] | None], known: bool) -> None:
    trades = [trade(r, **c) for r, c in zip(BACKTEST, changes, strict=True) if c is not None]
    found = against(trades, {} if known else None)
    assert sum(found.causes.values(), D(0)) == found.difference
    assert sum((p.difference for p in found.pairs), D(0)) == found.difference
    assert found.executed_net - found.backtest_net == found.difference


# ---------------------------------------------------------------- sources


def test_an_audit_file(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    body = msgspec.to_builtins(trade(BACKTEST[0]))
    declined = {"id": "X-1h-1-v1", "outcome": "declined", "reasons": ["spread: 0.01 above 0.005"]}
    lines = [
        {"kind": "trade", "body": body},
        {"kind": "decision", "body": {"decision": {"id": "A", "outcome": "approved"}}},
        {"kind": "decision", "body": {"decision": declined}},
        {"seq": 3, "hash": "the head"},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = from_audit_file(file)
    assert [t.id for t in found.trades] == [identity(BACKTEST[0])]
    assert found.decisions == {"A": "approved", "X-1h-1-v1": "spread"}


def test_what_the_api_answers(tmp_path: Path) -> None:
    file = tmp_path / "trades.json"
    pages = [{"trades": [msgspec.to_builtins(trade(r))], "continuation": None} for r in BACKTEST]
    file.write_text(json.dumps(pages))
    found = from_json_file(file)
    assert len(found.trades) == 3
    assert found.decisions is None
    assert found.notes


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", "", "holds no decision and no trade"),
        ("a.jsonl", "no json\n", "line 1 is no audit record"),
        ("a.jsonl", '{"kind":"trade","body":{"id":"x"}}\n', "line 1 is no audit record"),
        ("a.json", "{}", "is not what GET /api/trades answers"),
        ("a.json", "[1]", "is not what GET /api/trades answers"),
        ("missing.json", None, "no such file or folder"),
        ("a.json", '{"trades":[]}', "name the contracts with --symbols"),
    ],
)
def test_sources_that_cannot_be_used(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    said: str,
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    out = tmp_path / "out"
    assert main(["compare", "--live", str(tmp_path / name), "--synthetic", "--out", str(out)]) == 2
    assert said in capsys.readouterr().err


def test_the_page_holds_every_trade_and_cause_and_no_markup_of_others() -> None:
    bad = trade(BACKTEST[0], id="<script>alert(1)</script>", opened_at=START + HOUR)
    found = against([bad], {identity(BACKTEST[1]): "daily_loss"})
    html = page(found)
    assert "<script>" not in html
    assert "declined: daily_loss" in html
    assert "missed signal" in html


# ---------------------------------------------------------------- the command


def test_a_replay_and_a_backtest_differ_in_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole application against the backtest, by way of its audit file."""
    span = ["--from", "2025-05-04", "--to", "2025-05-04T08:00"]
    symbols = ["--symbols", "ETHUSDT"]
    replay = ["replay", "--synthetic", *symbols, *span, "--quiet", "--out", str(tmp_path / "r")]
    assert main([*replay, "--set", "TIMEFRAMES=5m"]) == 0
    base = ["compare", "--live", str(tmp_path / "r"), "--synthetic", *symbols, *span]
    base += ["--config", "demonstration"]
    assert main([*base, "--timeframes", "5m", "--out", str(tmp_path / "c")]) == 0
    found = json.loads((tmp_path / "c" / "compare.json").read_text())
    assert found["matched"] == found["executedTrades"] > 0
    # A position that is open at the end is closed in the backtest only.
    assert set(found["causes"]) <= {"approved, no closed trade"}
    assert (tmp_path / "c" / "compare.html").read_text().startswith("<!doctype html>")
    # Another size is found as such.
    smaller = ["--timeframes", "5m", "--set", "RISK_PER_TRADE=0.001", "--out", str(tmp_path / "d")]
    capsys.readouterr()
    assert main([*base, *smaller]) == 0
    assert "size" in capsys.readouterr().out
    # Under another signal configuration nothing is traded: every trade is one without a signal.
    plan = tmp_path / "plan.json"
    plan.write_text(
        '{"timeframes": {"5m": {"threshold": 1, "members": [{"strategy": "mean_reversion"}]}}}'
    )
    calm = ["--timeframes", "5m", "--config", str(plan), "--out", str(tmp_path / "e")]
    assert main([*base, *calm]) == 0
    found = json.loads((tmp_path / "e" / "compare.json").read_text())
    assert found["matched"] < found["executedTrades"]
