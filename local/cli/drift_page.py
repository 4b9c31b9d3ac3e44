"""Reports of drift as one HTML file: gain over time, reliability, and the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from shared.intelligence.card import CLASSES
from shared.intelligence.drift import ERRORS
from shared.intelligence.drift_report import FeatureDrift, Performance, Reliability
from shared.market.timeframe import DAY_MS
from shared.operations.drift_view import DriftDay, ModelDrift, short
from shared.research.report.parts import Cell, legend, section, table, tabs
from shared.research.report.plot import Band, Dots, Line, Panel, chart, plain, shares
from shared.research.report.shell import shell
from shared.research.report.words import NONE, number, percent, prose, safe

#: Features shown of a model, the most shifted first.
_FEATURES = 15
_LOOKS = {"down": "down", "flat": "accent", "up": "up"}
_TONES = {"steady": "up", "failing": "down"}


def page(found: Sequence[ModelDrift]) -> str:
    """One self-contained file."""
    body = _overview(found)
    if found:
        body += section("models", "Model by model", tabs("model", [_one(m) for m in found]))
    days = sorted({one.day for one in found})
    return shell(
        "Drift of the models",
        f"as of {safe(days[-1])}" if days else "",
        body,
        "Borsa Quantum Bot. A verdict may be wrong, however sure it is; nothing is promoted or "
        "taken out by itself.",
    )


def _overview(found: Sequence[ModelDrift]) -> str:
    rows: list[list[Cell]] = []
    for one in found:
        report, of = one.report, short(one.day, one.report)
        rows.append(
            [
                safe(one.model),
                (safe(_verdict(report.verdict)), _TONES.get(report.verdict, "")),
                safe(one.since),
                _with_error(of.gain, of.gain_error, 4),
                _with_error(report.expected.gain, report.expected.gain_error, 4),
                percent(of.hits_beyond, sign=True),
                percent(of.calibration_error),
                str(report.shifted),
            ]
        )
    heads = ["model", "verdict", "since", "gain", "on its card", "hits beyond chance"]
    heads += ["calibration error", "features shifted"]
    return section(
        "overview",
        "All models",
        table(heads, rows, text=3),
        "Gain: log loss of the base rates less the model's. Above 0 the model knows something; ± "
        "is a standard error for labels that overlap.",
    )


def _one(model: ModelDrift) -> tuple[str, str]:
    report = model.report
    reasons = "".join(f"<li>{prose(r)}</li>" for r in report.reasons) or "<li>No reason.</li>"
    body = (
        f"<p>{safe(model.version)}, as of {safe(model.day)}: <b>{_verdict(report.verdict)}</b>, "
        f"{report.labelled:,} labelled bars of {safe(', '.join(report.symbols))} in "
        f"{number(report.days, 0)} days.</p><ul>{reasons}</ul>"
    )
    if len(model.history) > 1:
        body += _history(model.history, report.expected.gain)
    if report.performance is not None:
        body += _reliability(report.performance)
    return model.model, body + _features(report.features)


def _history(history: Sequence[DriftDay], expected: float) -> str:
    known = [h for h in history if h.gain is not None]
    if len(known) < 2:
        return ""
    x = _times(known)
    gain = np.array([h.gain or 0.0 for h in known])
    error = ERRORS * np.array([h.gain_error or 0.0 for h in known])
    panel = Panel(
        label="log loss below that of the base rates",
        ticks=lambda v: number(v, 3),
        lines=(
            Line("gain", x, gain),
            Line("on its card", x, np.full(len(x), expected), look="warm"),
        ),
        bands=(Band(x, gain - error, gain + error),),
        level=0.0,
        include=[0.0],
    )
    bad = Panel(
        label="features shifted",
        ticks=plain,
        height=90,
        lines=(Line("features", _times(history), np.array([float(h.shifted) for h in history])),),
        include=[0.0],
    )
    says = (
        "Each point looks back 90 days; the band is two standard errors. Below 0 the base rates "
        "alone were better."
    )
    names = [("gain", "accent"), ("on its card", "warm")]
    return legend(names) + chart(
        "gain over time", (panel, bad), (float(x[0]), float(x[-1])), says=says
    )


def _reliability(found: Performance) -> str:
    lines, dots = [Line("predicted = happened", _ends(), _ends(), look="warm")], []
    for name in CLASSES:
        bins = found.reliability.get(name, [])
        if not bins:
            continue
        x = np.array([b.predicted for b in bins])
        y = np.array([b.happened for b in bins])
        lines.append(Line(name, x, y, look=_LOOKS[name], told="percent"))
        sure = [b for b in bins if b.error is not None]
        if sure:
            at = np.array([b.predicted for b in sure])
            came = np.array([b.happened for b in sure])
            for sign in (-1.0, 1.0):
                edge = np.array([_edge(b, sign) for b in sure])
                dots.append(Dots(at, came, [_LOOKS[name]] * len(sure), at, edge))
    panel = Panel(
        label="how often it came", ticks=shares, lines=lines, dots=dots, include=[0.0, 1.0]
    )
    ticks = [(v / 10, shares(v / 10)) for v in range(0, 11, 2)]
    noise = percent(found.calibration_noise)
    names = [*((name, _LOOKS[name]) for name in CLASSES), ("predicted = happened", "warm")]
    return legend(names) + chart(
        "reliability",
        (panel,),
        (0.0, 1.0),
        times=False,
        x_ticks=ticks,
        says=f"Predicted probability to the right, how often it came upwards, with two standard "
        f"errors. On average {percent(found.calibration_error)} off; {noise} would be chance.",
    )


def _edge(bin_: Reliability, sign: float) -> float:
    return float(np.clip(bin_.happened + sign * ERRORS * (bin_.error or 0.0), 0.0, 1.0))


def _ends() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([0.0, 1.0])


def _features(found: Sequence[FeatureDrift]) -> str:
    rows: list[list[Cell]] = [
        [
            f"<code>{safe(f.feature)}</code>",
            (number(f.psi, 3), "down" if f.psi >= 0.25 else ""),
            number(f.ks, 3),
            NONE if f.recent_ks is None else number(f.recent_ks, 3),
            NONE if f.recent_p is None else number(f.recent_p, 3),
        ]
        for f in found[:_FEATURES]
    ]
    heads = ["feature", "PSI", "KS to training", "KS of the last 4 weeks", "p"]
    return "<h3>Inputs</h3>" + table(heads, rows)


def _times(history: Sequence[DriftDay]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    epoch = date(1970, 1, 1)
    return np.array([(date.fromisoformat(h.day) - epoch).days * float(DAY_MS) for h in history])


def _with_error(value: float | None, error: float | None, digits: int) -> str:
    told = number(value, digits, sign=True)
    return told if error is None else f"{told} ± {number(error, digits)}"


def _verdict(verdict: str) -> str:
    return verdict.replace("_", " ")
