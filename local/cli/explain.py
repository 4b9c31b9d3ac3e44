"""``./run explain``: why a decision was taken or declined, replayed from its audit record."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from local.cli.open_state import ACCOUNT, open_store
from shared.clock import iso
from shared.errors import InvalidInput, NotFound
from shared.operations.explained import in_record
from shared.risk.decision import Decision, DecisionInputs, canonical_json
from shared.risk.gate import decide


def run(options: argparse.Namespace) -> int:
    """0 when the recomputed decision equals the recorded one, 1 when it does not."""
    inputs, recorded = in_record(options.id, _record(options))
    again = decide(inputs)
    same = canonical_json(again) == canonical_json(recorded)
    _show(inputs, recorded)
    if same:
        size = len(canonical_json(recorded))
        print(f"\nRecomputed from the record: identical, {size} bytes.")
        return 0
    print("\nRecomputed from the record: DIFFERENT. Recomputed decision:")
    print(msgspec.json.format(canonical_json(again), indent=2).decode())
    return 1


def _record(options: argparse.Namespace) -> dict[str, Any]:
    found = (
        _from_file(options.audit, options.id) if options.audit is not None else _from_store(options)
    )
    for body in found:
        return body
    raise NotFound(
        f"the audit log has no decision {options.id!r}; ids look like "
        "BTCUSDT-5m-1746339900000-v1 (see ./run status)"
    )


def _from_store(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from shared.audit.log import AuditLog
    from shared.clock import SystemClock

    store = open_store(options.state)
    try:
        log = AuditLog(store, SystemClock(), ACCOUNT)
        for record in log.records(correlation=options.id, kind="decision"):
            yield record.body
    finally:
        store.close()


def _from_file(path: Path, decision: str) -> Iterator[dict[str, Any]]:
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except ValueError:
                raise InvalidInput(
                    f"{path}, line {number}: not a record of the audit log"
                ) from None
            if record.get("kind") == "decision" and record.get("correlation") == decision:
                yield record["body"]


def _show(inputs: DecisionInputs, decision: Decision) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    signal = inputs.signal
    console.print(
        f"[bold]{decision.id}[/bold]: {decision.outcome} at {iso(decision.decided_at)}, "
        f"stage {decision.stage}"
    )
    console.print(
        f"signal {signal.side or 'none'}, strength {signal.strength:+.4f} against "
        f"{signal.threshold}, close {signal.close}, ATR {signal.atr:.6g}"
    )
    votes = Table(title="votes", title_justify="left")
    for column in ("strategy", "weight", "vote", "figures"):
        votes.add_column(column)
    for vote in signal.votes:
        figures = ", ".join(f"{k} {v:.6g}" for k, v in vote.figures.items())
        name = f"{vote.strategy} ({vote.model})" if vote.model else vote.strategy
        votes.add_row(name, f"{vote.weight:g}", f"{vote.vote:+.4f}", figures)
    console.print(votes)
    if decision.sizes:
        sizes = Table(title="sizes, USDT", title_justify="left", show_header=False)
        for name, size in decision.sizes.items():
            sizes.add_row(name, size)
        console.print(sizes)
    checks = Table(title="checks", title_justify="left")
    for column in ("", "check", "value", "limit", "what"):
        checks.add_column(column)
    for check in decision.checks:
        mark = "[green]ok[/green]" if check.passed else ("[red]no[/red]" if check.judged else "-")
        checks.add_row(mark, check.name, check.value or "", check.limit or "", check.detail)
    console.print(checks)
    for reason in decision.reasons:
        console.print(f"declined: {reason}")
    if decision.plan is not None:
        plan = decision.plan
        console.print(
            f"plan: {plan.side} {plan.quantity} {plan.symbol} at {plan.reference_price} (never "
            f"worse than {plan.worst_price}), leverage {plan.leverage}, stop {plan.stop_price}, "
            f"target {plan.take_profit_price}, risk {plan.risk_amount} USDT"
        )
