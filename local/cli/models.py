"""``./run models``: what the models of a folder are worth, by their cards, or an action."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence

from shared.errors import InvalidInput
from shared.intelligence.card import Figures, ModelCard, decoded


def run(options: argparse.Namespace) -> int:
    """0 when there is a model, or the action was done."""
    if options.action not in (None, "cards"):
        from local.cli.model_versions import run as act

        return act(options)
    files = sorted(options.models.glob("*.json")) if options.models.is_dir() else []
    if not files:
        raise InvalidInput(f"{options.models}: no model card; ./run train makes them")
    if options.json:
        for file in files:
            print(file.read_text(), end="")
        return 0
    show([decoded(file.read_bytes(), file.stem) for file in files])
    return 0


def show(cards: Sequence[ModelCard]) -> None:
    """Tables of the walk-forward and of the holdout, 80 columns wide, and what they say."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    held = [(card, card.holdout.figures) for card in cards if card.holdout]
    for title, judged in (
        ("walk-forward", [(card, card.figures) for card in cards]),
        ("holdout, seen once, by the files as they are", held),
    ):
        if not judged:
            continue
        first = judged[0][1]
        table = Table(
            title=f"{title}: {first.rows:,} rows",
            title_justify="left",
            box=None,
            padding=(0, 1, 0, 0),
        )
        table.add_column("model", no_wrap=True)
        for name in ("loss", "base", "gain", "±", "right", "base", "AUC", "hits", "base"):
            table.add_column(name, justify="right", no_wrap=True)
        for card, one in judged:
            table.add_row(card.name, *_figures(one))
        console.print(table)
        better = [card.name for card, one in judged if _beats(one)]
        _say(f"beyond the base by two standard errors: {', '.join(better) or 'none'}")
        print()
    _say(
        "loss: log loss; gain: how much lower it is than that of the base rates, with its "
        "standard error; right: percent of rows whose likeliest class came, base: the commonest "
        "class; AUC: of the direction, over rows that went up or down, 0.5 is chance; hits: "
        "percent of votes whose barrier came first, base: the same votes dealt at random."
    )
    _say("versions: " + ", ".join(f"{card.name} {card.version}" for card in cards))


def _say(text: str) -> None:
    print(textwrap.fill(text, 80))


def _beats(one: Figures) -> bool:
    return one.gain_error is not None and one.base_log_loss - one.log_loss > 2.0 * one.gain_error


def _figures(one: Figures) -> list[str]:
    return [
        f"{one.log_loss:.4f}",
        f"{one.base_log_loss:.4f}",
        f"{one.base_log_loss - one.log_loss:+.4f}",
        _or_dash(one.gain_error, ".4f"),
        f"{100.0 * one.accuracy:.1f}",
        f"{100.0 * one.majority_accuracy:.1f}",
        _or_dash(one.auc_direction, ".3f"),
        _in_percent(one.hit_rate),
        _in_percent(one.base_hit_rate),
    ]


def _in_percent(value: float | None) -> str:
    return "-" if value is None else f"{100.0 * value:.1f}"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
