"""What a reader must know before believing a backtest, in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from shared.clock import day
from shared.research.backtest import few_trades
from shared.research.breakdown import Breakdown
from shared.research.luck import Luck
from shared.research.overfitting import Overfitting
from shared.research.result import Result
from shared.research.seen import is_seen_note
from shared.research.statistics import Statistics
from shared.strategies.config import SignalConfig
from shared.strategies.design import SHIPPED_DESIGN

SERIOUS, CAUTION, NOTE = "serious", "caution", "note"

#: Fewer trades than this show nothing, fewer than that little.
NO_TRADES, FEW_TRADES = 30, 100
SHORT_DAYS = 180
#: Usual level of confidence.
SURE = 0.95


class Caveat(msgspec.Struct, frozen=True, kw_only=True):
    """One warning: how grave, in a few words, and in a sentence with its figures."""

    level: str
    title: str
    text: str


def caveats(
    result: Result,
    whole: Statistics,
    parts: Breakdown,
    luck: Luck,
    *,
    overfit: Overfitting | None = None,
    chosen_here: int = 0,
    alike: str = "",
    variations: Mapping[str, Statistics] | None = None,
    benchmarks: Mapping[str, float] | None = None,
) -> list[Caveat]:
    """All warnings, the gravest first, and before all that the data is what it was designed on.

    Parameters
    ----------
    chosen_here : int
        Trials among which the parameters were chosen on the very data of this result.
    alike : str
        In words, that trials of the search came to the same result.
    variations : mapping of str to Statistics
        The same backtest under other assumptions, as :mod:`shared.research.variations` names them.
    benchmarks : mapping of str to float
        Total return of what could have been done instead.
    """
    found = [
        Caveat(level=level, title=title, text=text)
        for level, title, text in (
            *_designed(result),
            *_result(whole),
            *_sample(whole),
            *_concentration(result, whole, parts),
            *_costs(whole, luck),
            *_events(parts),
            *_luck(whole, luck, overfit),
            *_chosen(chosen_here),
            *_alike(alike),
            *_assumptions(whole, variations or {}),
            *_instead(whole, benchmarks or {}),
            *_seen([n for n in result.notes if is_seen_note(n)]),
            *_notes(
                [
                    n
                    for n in result.notes
                    if n != few_trades(len(result.trades)) and not is_seen_note(n)
                ]
            ),
        )
    ]
    order = [SERIOUS, CAUTION, NOTE]
    return sorted(found, key=lambda c: order.index(c.level))


_Found = Iterator[tuple[str, str, str]]

#: What differs between notes that say the same: figures, times, contracts.
_VARIABLE = re.compile(r"[A-Z]*\d[\d.:,TZ-]*|\b[A-Z]{5,}\b")


def _notes(notes: Sequence[str]) -> _Found:
    """Notes of the engine; of those that differ in names and figures only, the first."""
    alike: dict[str, list[str]] = {}
    for note in notes:
        alike.setdefault(_VARIABLE.sub("#", note), []).append(note)
    for some in alike.values():
        more = f" (and {len(some) - 1} more like it)" if len(some) > 1 else ""
        yield NOTE, "Note on the data", some[0] + more


def _designed(result: Result) -> _Found:
    """That the parameters of the shipped default were searched on months of this result.

    Whatever the sizes, exits and costs: what votes was chosen by what these months were like.
    """
    settings, design = result.settings, SHIPPED_DESIGN
    if "signals" not in settings:  # of several backtests in a row, each chosen by its own search
        return
    signals = msgspec.convert(settings["signals"], SignalConfig)
    traded = [(s, t) for s in settings["symbols"] for t in settings["timeframes"]]
    # Equity is sampled where a bar closes: a range that begins where the span ends saw none of it.
    start, end = max(int(result.time[0]), design.start_ms), min(int(result.time[-1]), design.end_ms)
    if start >= end or not any(design.chose(signals, s, t) for s, t in traded):
        return
    yield (
        SERIOUS,
        "Its parameters were searched on these months",
        f"The signals are those of the shipped default, chosen among {design.trials:,} trials on "
        f"{day(design.start_ms)} to {day(design.end_ms - 1)}; {day(start)} to {day(end - 1)} of "
        "this result are a part of that and show no merit. After so many trials the deflated "
        f"Sharpe ratio of the choice is {design.deflated_sharpe:g}, and the probability that it "
        f"was chosen by overfitting {design.overfitting:.0%}. What it did on months that the "
        f"search had not seen begins on {day(design.end_ms)} (docs/default-config.md).",
    )


def _seen(notes: Sequence[str]) -> _Found:
    if notes:
        yield SERIOUS, "A model has seen these bars", "; ".join(notes) + "."


def _result(s: Statistics) -> _Found:
    if s.trading.trades == 0:
        yield SERIOUS, "No trade", "Nothing was traded, so there is nothing to judge."
        return
    if s.total_return < 0.0:
        yield SERIOUS, "It lost money", f"Equity fell by {-s.total_return:.1%} over the period."
    if s.max_drawdown >= 0.2:
        yield (
            SERIOUS,
            "Deep drawdown",
            f"Equity fell by {s.max_drawdown:.1%} from its peak. The live application stops at "
            "its drawdown limit and stays stopped until a person decides.",
        )
    if s.days >= SHORT_DAYS and s.max_drawdown_days > s.days / 2:
        yield (
            CAUTION,
            "Under water for most of the time",
            f"The longest wait for a new equity high was {s.max_drawdown_days:.0f} of "
            f"{s.days:.0f} days.",
        )


def _sample(s: Statistics) -> _Found:
    count = s.trading.trades
    if 0 < count < NO_TRADES:
        yield (
            SERIOUS,
            "Too few trades",
            f"{count} trades cannot tell skill from luck. Take a longer period, more symbols or a "
            "shorter time frame.",
        )
    elif 0 < count < FEW_TRADES:
        yield CAUTION, "Few trades", f"{count} trades say little; the figures can move a lot."
    if s.days < SHORT_DAYS:
        yield (
            CAUTION,
            "Short period",
            f"{s.days:.0f} days show one kind of market only, and yearly figures are extrapolated.",
        )


def _concentration(result: Result, s: Statistics, parts: Breakdown) -> _Found:
    net = result.trades.net
    total = float(net.sum())
    if total <= 0.0 or len(net) < 2:
        return
    month = max(parts.months, key=lambda p: p.net)
    if month.net >= 0.5 * total and len(parts.months) > 2:
        rest = total - month.net
        yield (
            SERIOUS if rest <= 0.0 else CAUTION,
            "One good month",
            f"{month.name} made {month.net:,.0f} of {total:,.0f} USDT; "
            + ("all other months together lost." if rest <= 0.0 else f"the rest made {rest:,.0f}."),
        )
    few = max(1, len(net) // 50)
    top = float(sum(sorted(net.tolist())[-few:]))
    if top >= total and len(net) >= NO_TRADES:
        name = "The best trade" if few == 1 else f"The best {few} trades"
        yield (
            CAUTION,
            "A few trades carry it",
            f"{name} of {len(net)} made {top:,.0f} USDT; without them it would have lost "
            f"{top - total:,.0f}.",
        )
    for kind, groups in (("symbol", parts.symbols), ("strategy", parts.strategies)):
        if len(groups) < 2:
            continue
        best = max(groups, key=lambda g: g.statistics.net)
        if best.statistics.net >= 0.8 * total:
            yield (
                CAUTION,
                f"One {kind} carries it",
                f"{best.name} made {best.statistics.net:+,.0f} USDT, all others together "
                f"{total - best.statistics.net:+,.0f}.",
            )


def _costs(s: Statistics, luck: Luck) -> _Found:
    paid = s.costs.fees + s.costs.slippage + max(s.costs.funding, 0.0)
    if s.costs.before > 0.0 and paid >= s.costs.before:
        yield (
            SERIOUS,
            "Costs eat the edge",
            f"Before costs it made {s.costs.before:,.0f} USDT; fees, slippage and funding took "
            f"{paid:,.0f}.",
        )
    elif s.costs.before > 0.0 and paid >= 0.5 * s.costs.before:
        yield (
            CAUTION,
            "Costs eat most of the edge",
            f"Fees, slippage and funding took {paid / s.costs.before:.0%} of what it made before "
            "them.",
        )
    if luck.break_even is not None and 1.0 < luck.break_even < 2.0:
        yield (
            CAUTION,
            "Little room for worse fills",
            f"With fees and slippage {luck.break_even:.2f} times as high nothing is left.",
        )


def _events(parts: Breakdown) -> _Found:
    exits = {g.name: g.statistics for g in parts.exits}
    if "liquidation" in exits:
        yield (
            SERIOUS,
            "Liquidations",
            f"{exits['liquidation'].trades} positions were liquidated before their stop was "
            "filled. Use less leverage.",
        )
    if "kill switch" in exits:
        yield (
            SERIOUS,
            "The kill switch fired",
            f"{exits['kill switch'].trades} positions were closed by it; live, trading would have "
            "stopped there until a person armed it again.",
        )
    if "end of data" in exits:
        yield (
            NOTE,
            "Open at the end",
            f"{exits['end of data'].trades} positions were still open and are closed at the last "
            "price.",
        )


def _luck(s: Statistics, luck: Luck, overfit: Overfitting | None) -> _Found:
    if s.trading.trades == 0:
        return
    sure = luck.probability if luck.deflated is None else luck.deflated
    if sure is not None and sure < SURE and s.total_return > 0.0:
        trials = (
            f" after {luck.trials:,} configurations were tried" if luck.deflated is not None else ""
        )
        more = (
            f" {luck.needed_days:,.0f} days like these would be needed to be 95 % sure, there are "
            f"{s.days:.0f}."
            if luck.deflated is None and luck.needed_days is not None
            else ""
        )
        yield (
            SERIOUS if sure < 0.8 else CAUTION,
            "Could be luck",
            f"The probability that the true Sharpe ratio is above zero is {sure:.0%}{trials}; 95 % "
            f"is usually asked for.{more}",
        )
    if overfit is not None and overfit.probability >= 0.3:
        yield (
            SERIOUS if overfit.probability >= 0.5 else CAUTION,
            "Chosen by overfitting",
            f"In {overfit.probability:.0%} of the ways to split the searched days in halves, the "
            "best configuration of one half was below the middle in the other.",
        )
    if luck.blocks is not None and s.total_return > 0.0 and luck.blocks.loss_probability >= 0.2:
        yield (
            CAUTION,
            "Another order could have lost",
            f"{luck.blocks.loss_probability:.0%} of {luck.blocks.paths:,} redrawn histories end "
            "below the start.",
        )
    if luck.shuffled is not None and luck.shuffled.drawdown[-1] > 1.5 * max(s.max_drawdown, 0.02):
        yield (
            NOTE,
            "The drawdown was kind",
            f"The same trades in another order fall by {luck.shuffled.drawdown[-1]:.0%} in one "
            f"case of twenty; here it was {s.max_drawdown:.0%}.",
        )


def _chosen(trials: int) -> _Found:
    if trials > 1:
        yield (
            SERIOUS,
            "Chosen on this very data",
            f"These figures are of the best of {trials:,} trials on the data it was chosen on. "
            "Keep a part of the data away from the search.",
        )


def _alike(text: str) -> _Found:
    if text:
        level = CAUTION if text.startswith("all ") else NOTE
        yield level, "Trials that do not differ", f"{text[0].upper()}{text[1:]}."


def _assumptions(s: Statistics, variations: Mapping[str, Statistics]) -> _Found:
    doubled = variations.get("Costs x 2")
    if doubled is not None and s.total_return > 0.0 >= doubled.total_return:
        yield (
            CAUTION,
            "Doubled costs lose",
            f"With fees and spread twice as high the whole backtest returns "
            f"{doubled.total_return:+.1%} instead of {s.total_return:+.1%}.",
        )
    orders = [v.total_return for n, v in variations.items() if n.startswith("Inside a bar")]
    if orders:
        low, high = min(*orders, s.total_return), max(*orders, s.total_return)
        if high - low > max(0.03, abs(s.total_return) / 2):
            yield (
                CAUTION,
                "The order inside a bar decides",
                f"Depending on which extreme of a bar comes first the result is between {low:+.1%} "
                f"and {high:+.1%}. Finer candles settle it (--detail).",
            )


def _instead(s: Statistics, benchmarks: Mapping[str, float]) -> _Found:
    better = {name: r for name, r in benchmarks.items() if r > s.total_return}
    if better:
        name = max(better, key=lambda n: better[n])
        yield (
            CAUTION,
            "Something simpler earned more",
            f"{name} returned {better[name]:+.1%} over the same time, this {s.total_return:+.1%}. "
            "Compare the drawdowns too.",
        )
