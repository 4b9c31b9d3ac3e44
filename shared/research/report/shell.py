"""A page without anything outside it: head, style, script and the rule that nothing is fetched."""

from __future__ import annotations

from pathlib import Path

from shared.research.report.words import safe

_HERE = Path(__file__).parent


def shell(title: str, lead: str, body: str, foot: str) -> str:
    """One HTML file; ``title`` is text, the others are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Nothing may be fetched, whatever found its way into a name.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        f"<title>{safe(title)}</title><style>{_asset('report.css')}</style></head><body><main>"
        f'<header class="top"><h1>{safe(title)}</h1><p class="dim">{lead}</p></header>{body}'
        f"<footer>{foot}</footer></main><script>{_asset('report.js')}</script></body></html>\n"
    )


def _asset(name: str) -> str:
    return (_HERE / name).read_text("utf-8")
