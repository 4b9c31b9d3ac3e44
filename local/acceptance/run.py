"""Runs cards one after the other and writes what they found."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from local.acceptance import cards_account, cards_conditional, cards_connection, cards_orders
from local.acceptance.bench import Bench, Skip
from local.acceptance.card import CARDS, Card
from local.acceptance.evidence import Evidence
from local.acceptance.venues import Place
from shared.clock import iso
from shared.errors import BorsaError, ConfigurationError, InvalidInput
from shared.execution.binance.errors import scrubbed

#: Importing the modules fills the table.
MODULES = (cards_connection, cards_orders, cards_conditional, cards_account)

Told = Callable[[dict[str, Any]], None]


def chosen(numbers: Sequence[str]) -> list[Card]:
    """Cards by number or id, all of them without any.

    Raises
    ------
    InvalidInput
        There is no such card.
    """
    wanted = []
    for text in numbers:
        digits = text.upper().removeprefix("TC-")
        if not digits.isdigit() or int(digits) not in CARDS:
            raise InvalidInput(f"there is no card {text}; there are TC-01 to TC-{max(CARDS):02d}")
        wanted.append(int(digits))
    return [CARDS[number] for number in sorted(set(wanted) or CARDS)]


def execute(
    place: Place,
    cards: Sequence[Card],
    *,
    symbol: str = "BTCUSDT",
    second: str = "ETHUSDT",
    max_notional: Decimal = Decimal(500),
    tell: Told = lambda row: None,
) -> dict[str, Any]:
    """Run cards; the evidence.

    Parameters
    ----------
    place : Place
    cards : sequence of Card
    symbol, second : str
    max_notional : Decimal
        USDT that one order may be worth at most.
    tell : callable
        Told each card's result as it is there.

    Raises
    ------
    ConfigurationError
        The symbols are not free: something is held or rests there already.
    """
    if place.environment.name == "production":
        raise ConfigurationError(["acceptance is never run in production"])
    bench = Bench(place, symbol, second, max_notional)
    began = bench.clock.now_ms()
    try:
        _require_free(bench)
        bench.exchange.ensure_one_way()
        rows = []
        for card in cards:
            row = _run(bench, card)
            rows.append(row)
            tell(row)
        return {
            "venue": place.name,
            "host": place.environment.base_url,
            "began": iso(began),
            "ended": iso(bench.clock.now_ms()),
            "symbols": [symbol, second],
            "maxNotional": str(max_notional),
            "python": platform.python_version(),
            "verdicts": {v: sum(r["verdict"] == v for r in rows) for v in VERDICTS},
            # Nothing here provokes a limit; what was met is kept with its headers.
            "limitsMet": bench.session.limited,
            "cards": rows,
        }
    finally:
        bench.close()


VERDICTS = ("passed", "failed", "skipped", "error")


def _require_free(bench: Bench) -> None:
    busy = [f"{p.symbol}: {p.quantity} held" for p in bench.exchange.positions()]
    for symbol in (bench.symbol, bench.second):
        resting = [
            *(o.client_order_id for o in bench.exchange.open_orders(symbol)),
            *(a.client_algo_id for a in bench.exchange.open_algo_orders(symbol)),
        ]
        if resting:
            busy.append(f"{symbol}: {len(resting)} open orders")
    busy = [b for b in busy if b.startswith((bench.symbol, bench.second))]
    if busy:
        raise ConfigurationError([f"{b}; cards need these symbols free" for b in busy])


def _run(bench: Bench, card: Card) -> dict[str, Any]:
    bench.evidence = evidence = Evidence()
    first = len(bench.session.requests)
    began, counted = bench.clock.now_ms(), time.perf_counter()
    verdict, reason = "passed", ""
    try:
        card.run(bench)
        verdict = "passed" if evidence.passed else "failed"
    except Skip as skip:
        verdict, reason = "skipped", str(skip)
    except Exception as error:  # noqa: BLE001 - a card's defect must not keep the others from running
        verdict, reason = "error", f"{type(error).__name__}: {scrubbed(str(error))}"
    try:
        if card.trades:
            bench.clean()
    except BorsaError as error:
        verdict, reason = "error", f"{reason} cleaning up: {error}".strip()
    return {
        "id": card.id,
        "title": card.title,
        "group": card.group,
        "verdict": verdict,
        "reason": reason,
        "at": iso(began),
        "seconds": round(time.perf_counter() - counted, 2),
        "checks": evidence.checks,
        "observations": evidence.observations,
        "requests": bench.session.requests[first:],
    }


def table(evidence: dict[str, Any]) -> str:
    """The evidence for people, in Markdown."""
    lines = [
        f"# Acceptance on {evidence['venue']}",
        "",
        f"{evidence['host']}, {evidence['began']} to {evidence['ended']}, "
        f"{' and '.join(evidence['symbols'])}: "
        + ", ".join(f"{count} {name}" for name, count in evidence["verdicts"].items()),
        "",
        "| card | what | verdict | checks | |",
        "|---|---|---|---|---|",
    ]
    for row in evidence["cards"]:
        good = sum(check["ok"] for check in row["checks"])
        lines.append(
            f"| {row['id']} | {row['title']} | {row['verdict']} | {good} of {len(row['checks'])} "
            f"| {_cell(row['reason'])} |"
        )
    for row in evidence["cards"]:
        lines += ["", f"## {row['id']} {row['title']}", ""]
        for check in row["checks"]:
            mark = "" if check["ok"] else " **not so**"
            lines.append(
                f"* {check['what']}: {_cell(check['found'])}"
                + ("" if check["ok"] else f" instead of {_cell(check['expected'])}")
                + mark
            )
        lines += [f"* noted: {k}: {_cell(v)}" for k, v in row["observations"].items()]
        lines.append(f"* {len(row['requests'])} requests")
    met = evidence["limitsMet"]
    lines += [
        "",
        f"Limits met (429, 418, 403): {len(met)}; their answers are in the JSON file.",
        "",
    ]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:300].replace("|", "\\|").replace("\n", " ")


def write(evidence: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write both forms; the JSON file and the table."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = evidence["began"][:19].replace(":", "").replace("-", "")
    name = f"acceptance-{evidence['venue']}-{stamp}"
    full, short = folder / f"{name}.json", folder / f"{name}.md"
    full.write_text(json.dumps(evidence, indent=1) + "\n")
    short.write_text(table(evidence))
    return full, short
