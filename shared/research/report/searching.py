"""How parameters were found: the surface of a search, and the windows of a walk-forward."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from shared.research.evaluation import OBJECTIVES
from shared.research.report.parts import Cell, columns, section, table
from shared.research.report.plot import Line, Panel, calendar_ticks, chart, plain
from shared.research.report.words import NONE, day, number, percent, safe, tone
from shared.research.search import Search
from shared.research.space import Value
from shared.research.walkforward import Step, WalkForward

#: Values of a parameter along one side of a surface, where the trials fill it.
SIDE = 24
#: Trials in the table.
LISTED = 10

_Scored = list[tuple[dict[str, Value], float]]


def search(found: Search) -> str:
    """The surface, the best trials, and what choosing among them was worth."""
    plan = found.plan
    scored: _Scored = []
    for one in found.outcomes:
        score = one.score(plan.objective, plan.minimum_trades)
        if score is not None:
            scored.append((one.params, score))
    failed = len(found.outcomes) - len(scored)
    lead = (
        f"{len(found.outcomes):,} trials on {day(found.start + 1)} to {day(found.end)}, by "
        f"{OBJECTIVES[plan.objective]}"
        + (
            f"; {failed:,} had fewer than {plan.minimum_trades} trades or could not be used"
            if failed
            else ""
        )
        + ". A good region is a plateau; a single good point among bad ones is luck."
        + (f" Note: {found.alike}." if found.alike else "")
    )
    body = _surface(scored, found) if scored else '<p class="dim">No trial has a score.</p>'
    over = found.overfitting
    body += columns(
        [
            [
                ("Trials on these symbols, ever", f"{found.tried.trials:,}"),
                ("Searches", f"{found.tried.studies:,}"),
            ],
            [
                ("True Sharpe above zero (deflated)", percent(found.deflated)),
                ("Probability of overfitting", NONE if over is None else percent(over.probability)),
            ],
            [
                (
                    "Loss in the other half",
                    NONE if over is None else percent(over.loss_probability),
                ),
                ("Slope, one half on the other", NONE if over is None else number(over.slope)),
            ],
        ]
    )
    best = sorted(scored, key=lambda s: -s[1])[:LISTED]
    names = list(best[0][0]) if best else []
    by_key = {str(o.params): o for o in found.outcomes}
    rows: list[list[Cell]] = []
    for place, (params, score) in enumerate(best, 1):
        f = by_key[str(params)].figures
        rows.append(
            [
                str(place),
                *(safe(_value(params[n])) for n in names),
                number(score),
                (percent(f.get("return"), sign=True), tone(f.get("return"))),
                percent(f.get("drawdown")),
                number(f.get("trades"), 0),
            ]
        )
    body += "<h3>Best trials</h3>" + table(
        ["", *names, plan.objective, "return", "max drawdown", "trades"], rows
    )
    return section("search", "Parameters", body, lead)


def _surface(scored: _Scored, found: Search) -> str:
    names = sorted({n for params, _ in scored for n in params})
    varied = [n for n in names if len({params[n] for params, _ in scored}) > 1]
    if not varied:
        return ""
    if len(varied) == 1 and all(not isinstance(p[varied[0]], str) for p, _ in scored):
        return _curve(varied[0], scored)
    pairs = [(a, b) for i, a in enumerate(varied) for b in varied[i + 1 :]] or [
        (varied[0], varied[0])
    ]
    a, b = max(pairs, key=lambda pair: _spread(scored, *pair))
    return _heat(a, b, scored, found, len(varied))


def _curve(name: str, scored: _Scored) -> str:
    best: dict[float, float] = {}
    for params, score in scored:
        key = float(params[name])
        best[key] = max(score, best.get(key, -np.inf))
    x = np.array(sorted(best))
    y = np.array([best[v] for v in x.tolist()])
    marks = [(v, plain(v)) for v in x.tolist()[:: max(1, len(x) // 10)]]
    return chart(
        f"Score by {name}",
        [Panel("Score", plain, 200, lines=[Line(name, x, y, "accent")], include=[0.0], level=0.0)],
        (float(x[0]), float(x[-1])),
        times=False,
        x_ticks=marks,
        says=f"Score by {safe(name)}.",
    )


def _spread(scored: _Scored, a: str, b: str) -> float:
    """How much the mean score moves with a pair: the pair worth looking at."""
    cells = _cells(scored, a, b)
    return float(np.std([float(np.mean(v)) for v in cells.values()])) if len(cells) > 3 else 0.0


def _cells(scored: _Scored, a: str, b: str) -> dict[tuple[Value, Value], list[float]]:
    cells: dict[tuple[Value, Value], list[float]] = defaultdict(list)
    kept = _groups(scored, a, b)
    for params, score in scored:
        cells[kept[a][params[a]], kept[b][params[b]]].append(score)
    return cells


def _groups(scored: _Scored, a: str, b: str) -> dict[str, dict[Value, Value]]:
    """For both parameters: each value, or the middle of its group where there are too many."""
    values = {name: {p[name] for p, _ in scored} for name in (a, b)}
    there = {(p[a], p[b]) for p, _ in scored}
    filled = 2 * len(there) >= len(values[a]) * len(values[b])
    most = SIDE if filled else max(3, int(np.sqrt(len(scored) / 2)))
    return {name: _grouped(values[name], most) for name in (a, b)}


def _grouped(values: set[Value], most: int) -> dict[Value, Value]:
    distinct = sorted(values, key=lambda v: (isinstance(v, str), v))
    if len(distinct) <= most or any(isinstance(v, str) for v in distinct):
        return {v: v for v in distinct}
    return {
        v: part[len(part) // 2].item()
        for part in np.array_split(np.array(distinct), most)
        for v in part.tolist()
    }


def _heat(a: str, b: str, scored: _Scored, found: Search, count: int) -> str:
    cells = _cells(scored, a, b)
    mean = {key: float(np.mean(v)) for key, v in cells.items()}
    across = sorted({k[0] for k in mean}, key=lambda v: (isinstance(v, str), v))
    down = sorted({k[1] for k in mean}, key=lambda v: (isinstance(v, str), v))
    largest = max(abs(v) for v in mean.values()) or 1.0
    kept = _groups(scored, a, b)
    chosen = (
        None
        if found.choice is None
        else (kept[a][found.choice.params[a]], kept[b][found.choice.params[b]])
    )
    rows = []
    for y in down:
        line = []
        for x in across:
            value = mean.get((x, y))
            if value is None:
                line.append(f'<td class="none">{NONE}</td>')
                continue
            mark = " chosen" if chosen == (x, y) else ""
            line.append(
                f'<td class="{tone(value) or "none"}{mark}" '
                f'style="--v:{abs(value) / largest:.2f}">{number(value)}</td>'
            )
        rows.append(f'<tr><th scope="row">{safe(_value(y))}</th>{"".join(line)}</tr>')
    heads = "".join(f'<th scope="col">{safe(_value(x))}</th>' for x in across)
    others = f", mean over the other {count - 2} parameters" if count > 2 else ""
    return (
        f'<div class="scroll{" few" if len(across) < 9 else ""}" tabindex="0" role="group" '
        'aria-label="parameter surface">'
        f'<table class="heat"><thead><tr><th>{safe(b)} \u2193 &nbsp; {safe(a)} \u2192</th>{heads}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="dim">{safe(found.plan.objective)} by {safe(a)} and {safe(b)}{others}. '
        "The framed one was chosen.</p>"
    )


def _value(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def walk(found: WalkForward) -> str:
    """Every window: chosen on the grey span, judged on the coloured one."""
    first = min(s.window.train_start for s in found.steps)
    last = max(s.window.test_end for s in found.steps)

    def part(ms: int) -> float:
        return 100 * (ms - first) / (last - first)

    bars = "".join(
        f'<div><i class="train" style="left:{part(s.window.train_start):.2f}%;'
        f'width:{part(s.window.train_end) - part(s.window.train_start):.2f}%"></i>'
        f'<i class="test {tone(s.test.total_return) if s.test else "quiet"}" '
        f'style="left:{part(s.window.test_start):.2f}%;'
        f'width:{part(s.window.test_end) - part(s.window.test_start):.2f}%"></i></div>'
        for s in found.steps
    )
    dates = "".join(
        f'<span style="left:{part(round(at)):.2f}%">{text}</span>'
        for at, text in calendar_ticks(first, last, 5)
        if 3 < part(round(at)) < 97
    )
    tests = [s.test for s in found.steps if s.test is not None]
    won = sum(t.total_return > 0 for t in tests)
    inside = _mean([s.train.figures.get("cagr") for s in found.steps if s.train is not None])
    outside = _mean([t.cagr for t in tests])
    names = sorted({n for s in found.steps if s.choice for n in s.choice.params})
    heads = ["judged on", *names, "trials", "score", "return there"]
    heads += ["return", "max drawdown", "Sharpe", "trades"]
    return section(
        "walkforward",
        "Walk-forward",
        f'<div class="steps" aria-hidden="true">{bars}</div>'
        f'<div class="axis" style="margin-right:0" aria-hidden="true">{dates}</div>'
        f'<p class="dim">{day(first + 1)} to {day(last)}, one line a window. Grey: the span the '
        "parameters were chosen on. Coloured: the span after it they were judged on (green gained, "
        "red lost).</p>" + table(heads, [_row(s, names) for s in found.steps]),
        f"{won} of {len(tests)} windows gained out of sample. Mean growth per year: "
        f"{percent(inside, sign=True)} where it was chosen, {percent(outside, sign=True)} where "
        "it was judged. All other figures of this page are of the coloured spans, which no search "
        "had seen.",
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _row(s: Step, names: Sequence[str]) -> list[Cell]:
    w = s.window
    chosen = s.choice.params if s.choice else {}
    inside = s.train.figures.get("return") if s.train else None
    return [
        f"{day(w.test_start + 1)} \u2013 {day(w.test_end)}",
        *(safe(_value(chosen[n])) if n in chosen else NONE for n in names),
        f"{s.trials:,}",
        number(s.choice.score if s.choice else None),
        (percent(inside, sign=True), tone(inside)),
        (percent(s.test.total_return, sign=True), tone(s.test.total_return))
        if s.test
        else "not traded",
        percent(s.test.max_drawdown) if s.test else NONE,
        number(s.test.sharpe) if s.test else NONE,
        f"{s.test.trading.trades:,}" if s.test else NONE,
    ]
