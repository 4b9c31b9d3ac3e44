"""``./run drift``: whether the models still know what their cards say."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable

import msgspec

from local.cli.dates import end_moment, moment, names
from local.cli.models_options import MODELS
from local.cli.open_state import call
from local.cli.progress import counted
from shared.clock import day
from shared.errors import InvalidInput
from shared.intelligence.drift_record import SEVERITY
from shared.intelligence.drift_report import DriftReport
from shared.intelligence.library import Library
from shared.market.timeframe import DAY_MS
from shared.operations.drift_view import LISTED_DAYS, DriftView, ModelDrift, short
from shared.operations.retraining import told


def run(options: argparse.Namespace) -> int:
    """0 when there are reports, also bad ones; 1 when the application did not answer with any."""
    if options.candles is not None:
        found = past(options)
    else:
        query = f"days={options.days}" + "".join(f"&model={name}" for name in options.models[:1])
        status, body = call(options.state, "GET", f"models/drift?{query}", waits=True)
        if status != 200:
            said = (body or {}).get("error", {}).get("message", "")
            print(f"the application answered with {status}: {said}")
            return 1
        view = msgspec.convert(body, DriftView)
        found = [one for one in view.models if one.model in (options.models or (one.model,))]
        if not options.json:
            _tell_state(view)
    if options.html is not None:
        from local.cli.drift_page import page

        options.html.write_text(page(found), encoding="utf-8")
        print(f"wrote {options.html}")
    elif options.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        tell(found)
    return 0


def past(options: argparse.Namespace) -> list[ModelDrift]:
    """What the monitor would have said on candle files.

    Raises
    ------
    InvalidInput, MarketDataError, ConfigurationError
    """
    from training.dataset import from_folder
    from training.past_drift import broken, reports, scored_past

    library = Library(options.folder)
    wanted = options.models or library.names()
    models = [library.model(name) for name in wanted]
    if not models:
        raise InvalidInput(f"{options.folder}: no model; ./run train makes them")
    first = models[0].card
    runs = from_folder(options.candles, options.symbols or first.symbols, first.timeframe)
    last = max(run.open_time[-1] for of in runs.values() for run in of)
    # Bars that a model has learnt from are no test of it.
    seen = max(model.card.seen_until for model in models)
    with counted("bars", options.quiet) as tell_bars:
        bars, known = scored_past(
            models,
            runs,
            start_ms=options.start if options.start is not None else seen,
            end_ms=options.end if options.end is not None else int(last) + DAY_MS,
            tell=tell_bars,
        )
    if options.broken is not None:
        bars = broken(bars, options.broken)
    if options.start is not None and options.start < seen:
        print(f"note: models have learnt from bars until {day(seen)}; they know those by heart")
    found = []
    for model in models:
        made = list(reports(model.card, bars, known, every_days=options.every))
        if made:
            found.append(_model(made))
    if not found:
        raise InvalidInput(
            "fewer than 90 days of candles behind what the models have learnt from; give more, or "
            "another --from"
        )
    return found


def _model(made: list[DriftReport]) -> ModelDrift:
    days = [day(report.until - DAY_MS) for report in made]
    history = [short(at, report) for at, report in zip(days, made, strict=True)]
    since = next(
        (
            days[place + 1]
            for place in range(len(made) - 2, -1, -1)
            if made[place].verdict != made[-1].verdict
        ),
        days[0],
    )
    return ModelDrift(
        model=made[-1].model,
        version=made[-1].version,
        day=days[-1],
        since=since,
        report=made[-1],
        history=history,
    )


def tell(found: Iterable[ModelDrift]) -> None:
    """A table, 80 columns wide, and why."""
    from rich.console import Console
    from rich.table import Table

    rows = list(found)
    if not rows:
        print(f"no model was judged in the last {LISTED_DAYS} days")
        return
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name in ("labels", "gain", "±", "card", "hits", "off", "noise", "PSI"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in rows:
        report, of = one.report, short(one.day, one.report)
        table.add_row(
            one.model,
            report.verdict.replace("_", " ").replace("too little data", "little data"),
            str(report.labelled),
            _or_dash(of.gain, "+.4f"),
            _or_dash(of.gain_error, ".4f"),
            f"{report.expected.gain:+.4f}",
            _or_dash(of.hits_beyond, "+.1%"),
            _or_dash(of.calibration_error, ".1%"),
            _or_dash(of.calibration_noise, ".1%"),
            str(report.shifted),
        )
    Console(width=80).print(table)
    for one in rows:
        first = {h.verdict: h.day for h in reversed(one.history) if SEVERITY[h.verdict]}
        if first:
            told_first = ", ".join(f"{v} on {first[v]}" for v in SEVERITY if v in first)
            _say(f"{one.model} first {told_first}")
    for one in rows:
        for reason in one.report.reasons:
            _say(f"{one.model} since {one.since}: {reason}")
    history = [h for one in rows for h in one.history]
    if history:
        counts = {v: sum(h.verdict == v for h in history) for v in SEVERITY}
        told_of = ", ".join(f"{n} {v.replace('_', ' ')}" for v, n in counts.items() if n)
        _say(f"{len(history)} reports: {told_of}")


def _tell_state(view: DriftView) -> None:
    if not view.on:
        print("MODEL_DRIFT is off: no model is judged")
    if view.last_start is not None:
        _say(f"training job: {told(view.last_start)}")


def _say(text: str) -> None:
    print(textwrap.fill(text, 80))


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def add_options(command: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from pathlib import Path

    command.add_argument("--models", type=names, default=(), metavar="A,B", help="only these")
    command.add_argument(
        "--days", type=int, default=0, metavar="N", help="of history, for --html and --json"
    )
    command.add_argument("--html", type=Path, metavar="FILE", help="write plots as a page")
    command.add_argument("--json", action="store_true", help="as JSON")
    past = command.add_argument_group("on candle files instead of a running application")
    past.add_argument(
        "--candles", type=Path, metavar="DIR", help="what the monitor would have said on these"
    )
    past.add_argument(
        "--folder", type=Path, default=MODELS, metavar="DIR", help="default: the application's"
    )
    past.add_argument(
        "--symbols", type=names, default=(), metavar="A,B", help="default: the card's"
    )
    past.add_argument(
        "--from", dest="start", type=moment, metavar="DATE", help="default: behind the training"
    )
    past.add_argument("--to", dest="end", type=end_moment, metavar="DATE")
    past.add_argument(
        "--broken-from",
        dest="broken",
        type=moment,
        metavar="DATE",
        help="a drill: had the models known nothing from then on",
    )
    past.add_argument(
        "--every", type=int, default=7, metavar="DAYS", help="between two reports (7)"
    )
    past.add_argument("--quiet", action="store_true", help="no progress bar")
