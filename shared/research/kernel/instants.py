"""All signals of one instant: snapshot, decision and entry of each, as the workflows run them."""

from __future__ import annotations

import numpy as np

from shared.research.kernel.book import touch
from shared.research.kernel.compiler import kernel
from shared.research.kernel.fills import open_position
from shared.research.kernel.gate import decide
from shared.research.kernel.rounds import note_equity
from shared.research.kernel.walk import equity_of, last_at, mark_at


@kernel
def decide_all(
    first, count, plans, positions, contracts, s, a, market, i, now, start, lows, signals, counts
):
    """All signals of one instant, one after the other: each entry right after its decision."""
    base = s.base_ms
    when, whose, side, figures, bar_ms, strategy, atr_row = signals
    for n in range(count):
        row = first + n
        k = whose[row]
        equity, _ = equity_of(positions, a, market, i, now, start, base, lows)
        equity = np.rint(equity * 1e8) / 1e8
        note_equity(a, equity, now)
        committed = 0.0
        at_risk = 0.0
        free = a.wallet
        reserved = 0
        others = 0
        for j in range(len(positions)):
            q = positions[j]
            held = 0.0
            if q.side != 0:
                mark = np.rint(mark_at(market[j], i, now, start, base, lows[j]) * 1e8) / 1e8
                held = mark * q.quantity
            free -= q.locked
            known = q.entry_notional if q.entry_state == 2 else 0.0
            committed += max(held, known)
            if q.entry_state == 1:
                committed += q.entry_notional
                reserved += 1
            at_risk += q.entry_risk + max(0.0, held - known) * 0.05
            if j != k and (q.side != 0 or q.entry_state != 0):
                others += 1
        contract = contracts[k]
        m = market[k]
        price = last_at(m, i, now, start, base, lows[k])
        mark = np.rint(mark_at(m, i, now, start, base, lows[k]) * 1e8) / 1e8
        bid, ask = touch(contract, price, m[1, i] - m[2, i])
        plan = plans[n]
        plan.row = row
        plan.symbol = k
        plan.side = side[row]
        signal = (
            figures[0, row],
            figures[1, row],
            figures[2, row],
            figures[3, row],
            figures[4, row],
            when[row],
        )
        plan.reason = decide(
            plan,
            contract,
            s,
            a,
            now,
            signal,
            bar_ms[row],
            bid,
            ask,
            mark,
            equity,
            max(0.0, free),
            committed,
            at_risk,
            positions[k].side != 0 or positions[k].entry_state != 0,
            others,
            a.opened_today + reserved,
            positions[k].losses,
            positions[k].last_loss,
        )
        counts[plan.reason] += 1
        if plan.reason != 0:
            continue
        positions[k].entry_state = 1
        positions[k].entry_notional = plan.worst_notional
        positions[k].entry_risk = plan.risk
        free = a.wallet
        for j in range(len(positions)):
            free -= positions[j].locked
        if not open_position(
            positions[k],
            plan,
            contract,
            s,
            a,
            now,
            price,
            m[1, i] - m[2, i],
            mark,
            max(0.0, free),
            strategy[row],
            bar_ms[row],
            atr_row[row],
        ):
            positions[k].entry_state = 0
            positions[k].entry_notional = 0.0
            positions[k].entry_risk = 0.0
