"""The page as a whole, and the same figures as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from shared.errors import InvalidInput
from shared.research.breakdown import Breakdown, breakdown
from shared.research.caveats import Caveat, caveats
from shared.research.equity import curve, daily
from shared.research.luck import Luck, assess
from shared.research.report import overview, risk, searching, trading
from shared.research.report.extras import Extras
from shared.research.report.shell import shell
from shared.research.report.words import day, safe
from shared.research.result import EXIT_REASONS, Result, Trades
from shared.research.statistics import Statistics, statistics

#: Anchors of the sections with their names in the bar on top.
_NAMES = {
    "warnings": "Warnings",
    "equity": "Equity",
    "months": "Months",
    "walkforward": "Walk-forward",
    "search": "Parameters",
    "figures": "Figures",
    "distribution": "Distribution",
    "costs": "Costs",
    "groups": "Sources",
    "rolling": "Over time",
    "luck": "Luck",
    "stress": "Stress",
    "trades": "On the price",
    "list": "Trades",
}


def write_report(result: Result, extras: Extras, path: Path) -> dict[str, Any]:
    """Write ``path`` (HTML) and the JSON of the same name beside it.

    Parameters
    ----------
    path : Path
        Of the HTML file; its folder is made when missing.

    Returns
    -------
    dict
        What the JSON holds, without the trades: ``statistics``, ``breakdown``, ``caveats``,
        ``luck``, ``search``, ``walk_forward``, ``settings``.

    Raises
    ------
    InvalidInput
        When the result has no usable equity, or the files cannot be written.
    """
    whole = statistics(result)
    parts = breakdown(result)
    # Trials make the figures of the data they were made on doubtful, not those of later data.
    seen = extras.search is not None and not extras.unseen
    tried = extras.search.tried if extras.search is not None and seen else None
    luck = extras.luck or assess(result, tried=tried, paths=extras.paths)
    found = caveats(
        result,
        whole,
        parts,
        luck,
        overfit=extras.search.overfitting if extras.search is not None else None,
        alike=extras.search.alike if extras.search is not None else "",
        variations=extras.variations,
        chosen_here=len(extras.search.outcomes) if extras.search is not None and seen else 0,
        benchmarks={
            name: float(c.equity[-1] / c.equity[0] - 1.0) for name, c in extras.benchmarks.items()
        },
    )
    body = page(result, extras, whole, parts, luck, found)
    summary = _summary(result, extras, whole, parts, luck, found)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, "utf-8")
        by_day = daily(curve(result))
        beside = {
            **summary,
            "equity": {"time": by_day.time, "equity": by_day.equity},
            "trades": _rows(result.trades, result),
        }
        path.with_suffix(".json").write_bytes(
            msgspec.json.format(msgspec.json.encode(beside, enc_hook=_plain), indent=1) + b"\n"
        )
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error
    return summary


def page(
    result: Result,
    extras: Extras,
    whole: Statistics,
    parts: Breakdown,
    luck: Luck,
    found: list[Caveat],
) -> str:
    """The HTML."""
    title = extras.title or "Backtest"
    first, last = int(result.time[0]), int(result.time[-1])
    sections = [
        overview.warnings(found),
        overview.equity(result, whole, extras.benchmarks),
        overview.months(parts),
        searching.walk(extras.walk) if extras.walk is not None else "",
        searching.search(extras.search) if extras.search is not None else "",
        overview.ratios(whole),
        '<div class="pair">'
        + trading.distribution(result, whole)
        + trading.costs(whole.costs)
        + "</div>",
        trading.groups(parts) if len(result.trades) else "",
        risk.rolling(result),
        risk.luck(result, whole, luck, extras.jitter, extras.redrawn),
        risk.stress(whole, luck, extras.variations) if len(result.trades) else "",
        trading.on_prices(result, extras.prices),
        trading.listing(result, [s for s, c in extras.prices.items() if len(c)]),
        _settings(result),
    ]
    body = "".join(sections)
    links = "".join(
        f'<li><a href="#{anchor}">{name}</a></li>'
        for anchor, name in _NAMES.items()
        if f'id="{anchor}"' in body
    )
    return shell(
        title,
        f"{safe(', '.join(result.symbols))} \u00b7 {safe(result.timeframe)} \u00b7 "
        f"{day(first)} to {day(last)} \u00b7 {safe(', '.join(result.strategies))}",
        f'{overview.headline(whole)}<nav aria-label="sections"><ul>{links}</ul></nav>{body}',
        "Borsa Quantum Bot. Results of a simulation on past prices: fills, depth and the order of "
        "prices inside a bar are assumptions, and the past need not repeat.",
    )


def _settings(result: Result) -> str:
    from shared.research.report.parts import section

    decisions = ", ".join(f"{count:,} {safe(name)}" for name, count in result.decisions.items())
    text = json.dumps(dict(result.settings), indent=2, default=_plain, sort_keys=True)
    return section(
        "settings",
        "What was run",
        f"<p>Decisions: {decisions or 'none'}.</p><details><summary>All settings, to run it again"
        f"</summary><pre tabindex=0>{safe(text)}</pre></details>",
    )


def _summary(
    result: Result,
    extras: Extras,
    whole: Statistics,
    parts: Breakdown,
    luck: Luck,
    found: list[Caveat],
) -> dict[str, Any]:
    walk = extras.walk
    return {
        "title": extras.title or "Backtest",
        "symbols": list(result.symbols),
        "strategies": list(result.strategies),
        "timeframe": result.timeframe,
        "statistics": whole,
        "breakdown": parts,
        "caveats": found,
        "luck": {f.name: getattr(luck, f.name) for f in fields(Luck)},
        "variations": dict(extras.variations),
        "jitter": None
        if extras.jitter is None
        else {"width": extras.jitter.width, "returns": list(extras.jitter.returns)},
        "redrawn": None
        if extras.redrawn is None
        else {
            "block_days": extras.redrawn.block_days,
            "returns": list(extras.redrawn.returns),
            "drawdowns": list(extras.redrawn.drawdowns),
        },
        "search": extras.search,
        "walk_forward": None
        if walk is None
        else {"efficiency": walk.efficiency, "steps": walk.steps},
        "decisions": dict(result.decisions),
        "notes": list(result.notes),
        "settings": dict(result.settings),
    }


def _rows(trades: Trades, result: Result) -> list[dict[str, Any]]:
    """Trades as records, their codes as names."""
    columns: Mapping[str, list[Any]] = {
        f.name: getattr(trades, f.name).tolist() for f in fields(Trades)
    }
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    for row in rows:
        row["symbol"] = result.symbols[row["symbol"]]
        row["strategy"] = result.strategies[row["strategy"]]
        row["exit_reason"] = EXIT_REASONS[row["exit_reason"]]
        row["side"] = "long" if row["side"] > 0 else "short"
    return rows


def _plain(value: Any) -> Any:
    """What JSON does not know: numpy figures and arrays, decimals."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
