"""The heat map as one HTML file that needs nothing outside itself."""

from __future__ import annotations

from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .4rem .7rem; text-align: right; border: 1px solid #8886; }
th:first-child, td:first-child { text-align: left; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
"""


def page(body: dict[str, Any]) -> str:
    """The answer of ``GET /api/risk`` as a page: heat map, correlations, tail risk."""
    title = f"Risk of {body['account']} on {body['venue']}, {body['time']}"
    parts = [_heat_map(body["heatMap"]), _correlations(body["correlations"]), _tails(body)]
    notes = "".join(f"<p>{escape(note)}</p>" for note in body["notes"])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{''.join(parts)}{notes}</body></html>\n"
    )


def _heat_map(found: dict[str, Any]) -> str:
    if not found["rows"]:
        return "<p>Nothing is held.</p>"
    head = "".join(
        f'<th title="{escape(says)}">{escape(name)}</th>' for name, says in found["columns"].items()
    )
    rows = "".join(
        f"<tr><td>{escape(row['symbol'])}</td>"
        + "".join(
            _cell(row["values"][name], row["shades"][name], percent=True)
            for name in found["columns"]
        )
        + "</tr>"
        for row in found["rows"]
    )
    return _table("Heat map: the hottest of each column is red", f"<th>symbol</th>{head}", rows)


def _correlations(found: dict[str, float]) -> str:
    names = sorted({name for pair in found for name in pair.split()})
    if not names:
        return ""
    rows = ""
    for one in names:
        cells = ""
        for other in names:
            value = 1.0 if one == other else found.get(" ".join(sorted((one, other))))
            cells += _cell(value, None if value is None else max(0.0, value), percent=False)
        rows += f"<tr><td>{escape(one)}</td>{cells}</tr>"
    head = "<th></th>" + "".join(f"<th>{escape(name)}</th>" for name in names)
    return _table("Correlation of daily returns", head, rows)


def _tails(body: dict[str, Any]) -> str:
    rows = ""
    for name, tail in body["valueAtRisk"].items():
        if isinstance(tail, dict):
            rows += (
                f"<tr><td>{escape(name)}</td><td>{escape(tail['valueAtRisk'])}</td>"
                f"<td>{escape(tail['expectedShortfall'])}</td></tr>"
            )
    level = f"{body['confidence']} for {body['horizonDays']} day(s)"
    head = "<th>method</th><th>value at risk, USDT</th><th>expected shortfall, USDT</th>"
    return _table(f"Tail risk at {level}", head, rows)


def _table(caption: str, head: str, rows: str) -> str:
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _cell(value: float | None, shade: float | None, *, percent: bool) -> str:
    if value is None:
        return "<td>-</td>"
    told = f"{value:.2%}" if percent else f"{value:.2f}"
    heat = "" if not shade else f' style="background: rgb(220 50 40 / {0.7 * shade:.2f})"'
    return f"<td{heat}>{told}</td>"
