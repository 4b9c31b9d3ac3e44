"""The page of a bundle that is read first."""

from __future__ import annotations

from collections.abc import Sequence

from shared.clock import iso
from shared.operations.incident.gather import Gathered
from shared.operations.incident.timeline import Line, timeline, told

#: Lines of the timeline in the summary; the file of the audit has all.
LINES = 2_000


def summary(found: Gathered, *, made_at: int, notes: Sequence[str]) -> str:
    """Markdown: verdicts first, then what there is, then the timeline in UTC."""
    lines = timeline(found)
    parts = [
        f"# Incident bundle of account {found.account}",
        "",
        f"{iso(found.since)} to {iso(found.until)}, made at {iso(made_at)}. All times are UTC.",
        "",
        "## State when this was made",
        "",
        *_switch(found),
        *_audit(found),
        *(f"- NOT COMPLETE: {name} holds more than is taken" for name in found.cut),
        *(f"- {note}" for note in notes),
        "",
        "## What is in it",
        "",
        "| part | rows |",
        "|---|---|",
        *(f"| {name} | {len(part.rows)} |" for name, part in found.parts.items()),
        "",
        "## Timeline",
        "",
        *_timeline(lines),
        "",
    ]
    return "\n".join(parts)


def _switch(found: Gathered) -> list[str]:
    switch = found.control["kill-switch"]
    if switch is None:
        return ["- kill switch: never set up"]
    state = switch.get("state")
    halt = switch.get("halt")
    if state == "halted" and isinstance(halt, dict):
        return [f"- kill switch: HALTED, the exchange refused: {halt.get('reason')}"]
    if state != "latched":
        return [f"- kill switch: {state}"]
    at, flat = switch.get("latched_at"), switch.get("flat_at")
    since = f" since {iso(at)}" if isinstance(at, int) else ""
    seen = f"verified flat at {iso(flat)}" if isinstance(flat, int) else "not verified flat"
    closing = seen if switch.get("closing") else "positions keep their stops"
    return [f"- kill switch: LATCHED by {switch.get('trigger')}{since}; {closing}"]


def _audit(found: Gathered) -> list[str]:
    report = found.verification
    looked = "the whole chain" if found.whole else "what was appended since it was verified last"
    if report.ok:
        lines = [
            f"- audit: verifies ({looked}); {report.records} records, last {report.last_seq} "
            f"with hash {report.last_hash}"
        ]
    else:
        lines = [f"- audit: DOES NOT VERIFY ({looked}); {report.found} problems"]
        lines += [f"  - {p.finding}: {p.text} ({p.where})" for p in report.problems[:20]]
    lines += [f"- audit: RECORD OF THE PERIOD: {link.text}" for link in found.links[:20]]
    return lines


def _timeline(lines: Sequence[Line]) -> list[str]:
    if not lines:
        return ["Nothing was recorded in this period."]
    shown = lines if len(lines) <= LINES else (*lines[: LINES // 2], *lines[-LINES // 2 :])
    told_ = [told(line) for line in shown]
    if len(shown) < len(lines):
        told_.insert(LINES // 2, f"... {len(lines) - len(shown)} lines are left out here ...")
    return ["```", *(line.replace("```", "'''") for line in told_), "```"]
