"""Building blocks of the page: sections, tables, tiles."""

from __future__ import annotations

from collections.abc import Sequence

from shared.research.report.words import safe

#: A cell: its HTML, or that with its CSS classes.
Cell = str | tuple[str, str]


def section(name: str, title: str, body: str, lead: str = "") -> str:
    """A card with a heading, reachable by ``#name``."""
    intro = f'<p class="lead">{lead}</p>' if lead else ""
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{safe(title)}'
        f"</h2>{intro}{body}</section>"
    )


def table(
    heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, text: int = 1, tall: bool = False
) -> str:
    """A table whose first ``text`` columns are words and the others figures."""
    if not rows:
        return '<p class="dim">None.</p>'
    head = "".join(
        f'<th scope="col"{"" if i < text else " class=n"}>{safe(h)}</th>'
        for i, h in enumerate(heads)
    )
    body = "".join(
        "<tr>" + "".join(_cell(c, i, text) for i, c in enumerate(row)) + "</tr>" for row in rows
    )
    look = "scroll tall" if tall else "scroll few" if len(heads) <= 6 else "scroll"
    return (
        f'<div class="{look}" tabindex="0" role="group" aria-label="table"><table><thead><tr>{head}'
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell, place: int, text: int) -> str:
    content, look = (cell, "") if isinstance(cell, str) else cell
    if place == 0:
        return f'<th scope="row">{content}</th>'
    looks = " ".join(filter(None, ("" if place < text else "n", look)))
    return f'<td class="{looks}">{content}</td>' if looks else f"<td>{content}</td>"


def figures(rows: Sequence[tuple[str, str]]) -> str:
    """Names with their figures, one a line."""
    body = "".join(f'<tr><th scope="row">{safe(n)}</th><td>{v}</td></tr>' for n, v in rows)
    return f'<table class="figures"><tbody>{body}</tbody></table>'


def columns(groups: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Several lists of figures side by side."""
    return '<div class="columns">' + "".join(figures(g) for g in groups) + "</div>"


def tiles(items: Sequence[tuple[str, str, str, str]]) -> str:
    """Large figures: name, figure, its tone, and a remark."""
    return (
        '<div class="tiles">'
        + "".join(
            f"<div><dl><dt>{safe(name)}</dt><dd class={tone or 'plain'}>{value}</dd></dl>"
            f"<small>{safe(remark)}</small></div>"
            for name, value, tone, remark in items
        )
        + "</div>"
    )


def tabs(name: str, pages: Sequence[tuple[str, str]]) -> str:
    """Pages of which one is shown, chosen without scripts."""
    if len(pages) == 1:
        return pages[0][1]
    inputs = "".join(
        f'<input type="radio" name="{name}" id="{name}-{i}"{" checked" if i == 0 else ""}>'
        f'<label for="{name}-{i}">{safe(title)}</label>'
        for i, (title, _) in enumerate(pages)
    )
    bodies = "".join(
        f'<div class="tab" data-of="{name}-{i}">{body}</div>' for i, (_, body) in enumerate(pages)
    )
    rules = ",".join(f"#{name}-{i}:checked~[data-of={name}-{i}]" for i in range(len(pages)))
    return (
        f'<fieldset class="tabs"><style>{rules}{{display:block}}</style>{inputs}{bodies}</fieldset>'
    )


def legend(items: Sequence[tuple[str, str]]) -> str:
    """Names of series with their tone."""
    spans = "".join(f'<span class="{look}">{safe(name)}</span>' for name, look in items)
    return f'<div class="legend">{spans}</div>'
