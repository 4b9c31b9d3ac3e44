"""Defects sown into the application: each must be found by the finder that it declares.

Each is a change of text in one file. Most are for the simulation to find: ``profile`` is the
profile that has the faults it takes, and ``within`` the decisions after which not having found it
counts as a failure. Where ``tests`` are named, these scenarios must find it, whatever the
simulation does; where ``lookahead`` names a strategy (or ``all``), the look-ahead detector must.
"""

from __future__ import annotations

from defect import Defect
from look_ahead_defects import LOOK_AHEAD
from narrow_defects import NARROW

ENTRY = "shared/execution/entry.py"
LEAVE = "shared/execution/leave.py"
ORDERS = "shared/execution/orders.py"
PROTECTION = "shared/execution/protection.py"
EMERGENCY = "shared/execution/emergency.py"
SETTLEMENT = "shared/execution/settlement.py"
SWITCH = "shared/risk/kill_switch.py"
LEDGER = "shared/risk/ledger.py"


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "permit skipped",
        LEAVE,
        "        desk.kill_switch.acquire_permit(entry_id)\n",
        "",
        "quiet",
        100,
    ),
    Defect(
        "intent stored after sending",
        ORDERS,
        "    claimed = store_intent(desk, intent(desk, request, decision_id))\n    try:\n"
        "        order = _find_or_place(desk",
        "    early = desk.exchange.place_order(request) if request.reduce_only else None\n"
        "    claimed = store_intent(desk, intent(desk, request, decision_id))\n    try:\n"
        "        order = early or _find_or_place(desk",
        "quiet",
        200,
    ),
    Defect(
        "intent of a stop not stored",
        PROTECTION,
        "    fresh = books.write(lambda: orders.store_intent(desk, intent), otherwise=False)\n",
        "    fresh = True\n",
        "quiet",
        100,
    ),
    Defect(
        "a new id on every try",
        ENTRY,
        'entry_id = client_id(desk.account, decision_id, "e")\n    first',
        'entry_id = client_id(desk.account, decision_id, "e", desk.clock.now_ms() % 9)\n    first',
        "crash",
    ),
    Defect(
        "stop sized from the plan",
        PROTECTION,
        "    quantity = abs(venue.quantity)\n    if record.state",
        '    quantity = record.quantity if record.state == "opening" else abs(venue.quantity)\n'
        "    if record.state",
        "quiet",
        300,
    ),
    Defect(
        "stop half the size",
        PROTECTION,
        '    record, placed = secure(desk, record, "s", quantity, deadline, books)\n',
        '    record, placed = secure(desk, record, "s", quantity / 2, deadline, books)\n',
        "quiet",
        100,
    ),
    Defect(
        "reservation never released",
        LEDGER,
        "        return self._change(lambda view: self._over(view, decision_id, booked=False))",
        "        return self.read()",
        "exchange",
    ),
    Defect(
        "result not booked",
        SETTLEMENT,
        "    desk.ledger.close(record.decision_id, net_pnl=trade.net_pnl, at=trade.closed_at)\n",
        "    desk.ledger.release(record.decision_id)\n",
        "quiet",
        100,
    ),
    Defect(
        "result booked twice",
        LEDGER,
        "            if before is not None and before.booked:\n                return view\n",
        "",
        "rivals",
    ),
    Defect(
        "latch ignored",
        SWITCH,
        'Patch("set", f"outstanding.{key}", now)],\n                condition=_ARMED,\n',
        'Patch("set", f"outstanding.{key}", now)],\n',
        "stops",
    ),
    Defect(
        "latch forgotten on restart",
        SWITCH,
        "        self._second_factor = second_factor\n",
        "        self._second_factor = second_factor\n"
        "        if self._get() is not None:\n"
        "            armed = [Patch('set', 'state', 'armed')]\n"
        "            store.patch(CONTAINER, account, 'kill-switch', armed)\n",
        "stops",
    ),
    Defect(
        "cleared without the second factor",
        SWITCH,
        "        self._clearable()\n        second_factor.verify(totp_code)\n",
        "        self._clearable()\n",
        "stops",
    ),
    Defect(
        "trade missing in the audit",
        SETTLEMENT,
        '    desk.note("trade", msgspec.to_builtins(trade), correlation=record.decision_id)\n',
        "",
        "quiet",
        100,
    ),
    Defect(
        "record lost to another writer",
        "shared/audit/log.py",
        "                tail = self._follow(tail, other)\n                if key and",
        "                return other\n                if key and",
        "rivals",
    ),
    Defect(
        "sent again without a look-up",
        ORDERS,
        "            again = request.reduce_only or not current.left\n"
        "            if current.left:\n",
        "            again = True\n            if False:\n",
        "exchange",
    ),
    Defect(
        "end of an order never learned",
        "shared/execution/reconcile.py",
        "                _refresh_plain(desk, sent, now)\n",
        "                pass\n",
        "blackout",
        4000,
    ),
    Defect(
        "unknown taken for failed",
        ORDERS,
        '        return _ended(desk, request, "unknown", str(error), books, lost=lost)\n',
        '        return _ended(desk, request, "rejected", str(error), books, lost=lost)\n',
        "exchange",
        3000,
    ),
    Defect(
        "stops that could open",
        "shared/execution/exchange.py",
        "    reduce_only: bool = True\n",
        "    reduce_only: bool = False\n",
        "quiet",
        100,
    ),
    Defect(
        "closing without reduce-only",
        "shared/execution/flatten.py",
        "        client_order_id=close_id,\n        reduce_only=True,\n",
        "        client_order_id=close_id,\n        reduce_only=False,\n",
        "quiet",
        200,
    ),
    Defect(
        "position kept though no stop could be placed",
        PROTECTION,
        '        flatten.close_position(desk, record, "protection failed", books, proved=proved)\n',
        "",
        "exchange",
        3000,
    ),
    Defect(
        "emergency stop leaves conditional orders",
        EMERGENCY,
        "        for symbol in sorted(armed):",
        "        for symbol in sorted(still - still):",
        "stops",
    ),
    Defect(
        "emergency stop that closes nothing",
        EMERGENCY,
        "        for position in held:\n",
        "        for position in held[:0]:\n",
        "stops",
        300,
    ),
    Defect(
        "permits not waited out",
        "shared/execution/permits.py",
        "        if found.status in FINAL_ORDER if found is not None else conclusive:",
        "        if True:",
        "stops",
        4000,
    ),
    Defect(
        "leverage left as it was",
        ENTRY,
        "        desk.exchange.set_leverage(plan.symbol, plan.leverage)\n",
        "        pass\n",
        "quiet",
        100,
    ),
    Defect(
        "fees forgotten",
        "shared/portfolio/trades.py",
        "    net = gross - fees + funding\n",
        "    net = gross + funding\n",
        "quiet",
        100,
    ),
    Defect(
        "decision that does not replay",
        "shared/risk/gate.py",
        "        decided_at=inputs.now_ms,\n",
        "        decided_at=inputs.now_ms + __import__('time').perf_counter_ns() % 7,\n",
        "quiet",
        100,
    ),
    Defect(
        "exit not remembered by its attempt",
        "shared/execution/flatten.py",
        '    if parts or outcome.state != "unknown":\n'
        "        record = positions.change(desk.store, record, closes=record.closes + 1)\n",
        "    pass\n",
        "exchange",
        4000,
    ),
    Defect(
        "the store may hold up a stop",
        "shared/execution/books.py",
        "            except (StoreUnavailable, AuditBroken):\n                self.give_up()\n"
        "            finally:",
        "            finally:",
        "maker",
        4000,
        ("tests/app/test_store_outage.py::test_the_stop_does_not_wait_for_the_store",),
    ),
    Defect(
        "a refusal that only a person can put right halts nothing",
        "shared/execution/halting.py",
        "        desk.kill_switch.halt(halt)\n",
        "",
        tests=(
            "tests/app/test_halted_entries.py"
            "::test_an_emergency_stop_latches_a_halted_switch_and_its_clear_ends_both",
        ),
    ),
    Defect(
        "a trade is settled though the order that closed it is hidden",
        SETTLEMENT,
        "    return order is None and desk.exchange.now_ms() - fill.time < SETTLE_MS\n",
        "    return False\n",
        tests=(
            "tests/app/test_late_records.py"
            "::test_a_close_that_nobody_wrote_down_is_adopted_though_the_venue_hides_it_at_first",
        ),
    ),
    Defect(
        "a late sale does not look at the price again",
        LEAVE,
        "            _look_at_price(desk, plan)\n",
        "            pass\n",
        tests=(
            "tests/app/test_unknown_outcomes.py::test_a_late_sale_looks_at_the_price_again",
            "tests/app/test_stale_prices.py::test_a_late_sale_does_not_trust_an_old_price",
        ),
    ),
    Defect(
        "no room above for a sale",
        "shared/risk/proposal.py",
        "    dearest = max(worst if long else price * (1 + slip), price, facts.mark)\n",
        "    dearest = max(worst, price, facts.mark)\n",
        "gaps",
        3000,
    ),
    Defect(
        "a resting order is left alone when it cannot be cancelled",
        ENTRY,
        "    if result is None or not result.ended:\n",
        "    if result is None:\n",
        "maker",
        4000,
        (
            "tests/app/test_chased_entry.py"
            "::test_an_order_that_cannot_be_ended_is_stayed_with_until_it_is",
        ),
    ),
    Defect(
        "an abnormal market is not noticed",
        "functions/market.py",
        "        if candles is not None and watch.moves_much(candles, floor):\n",
        "        if candles is not None and False:\n",
        "bursts",
        2000,
    ),
    Defect(
        "the move that latched it latches it again",
        "shared/execution/watch.py",
        "m if int(t) >= switch.armed_at else 0.0 for m, t",
        "m if int(t) else 0.0 for m, t",
        "bursts",
        3000,
    ),
    Defect(
        "a watch ends by itself after eight looks",
        "functions/watch.py",
        "    context.continue_as_new({})\n    return None\n",
        "    return {'open': True}\n",
        "watch",
        200,
    ),
    Defect(
        "the watch looks at prices only",
        "shared/execution/survey.py",
        "                algos is not None\n                or record.exit_reason\n",
        "                record.exit_reason\n",
        "watch",
        200,
    ),
    Defect(
        "nobody begins the watch but the guardian",
        "functions/trading.py",
        '    return opened | ({"watch": True} if desk.watch_always else {})\n',
        "    return opened\n",
        "watch",
    ),
    Defect(
        "nobody is asked for approval",
        "functions/trading.py",
        '    if decision["needsApproval"]:\n',
        "    if False:\n",
        "approvals",
        500,
    ),
    Defect(
        "any nonce approves",
        "shared/compliance/approval.py",
        "    if given.nonce != approval.nonce:\n",
        "    if not given.nonce:\n",
        "approvals",
        1000,
    ),
    Defect(
        "old signals are acted upon",
        "shared/risk/gate.py",
        '            limits.max_signal_age_ms,\n            "milliseconds since',
        '            10**9,\n            "milliseconds since',
        "silence",
        1000,
    ),
    Defect(
        "prices are as old as the question",
        "shared/execution/freshness.py",
        "    return max([desk.clock.now_ms() - asked_at, *ages])\n",
        "    return desk.clock.now_ms() - asked_at\n",
        "silence",
        2000,
    ),
    Defect(
        "other people's stops are cancelled",
        "shared/execution/orphans.py",
        " or not is_ours(algo.client_algo_id):\n",
        ":\n",
        "strangers",
        1000,
    ),
    Defect(
        "other people's positions are closed",
        "shared/execution/guardian.py",
        "                strangers.report_position(desk, position)\n",
        "                flatten.close_as_seen(\n"
        "                    desk, position, None, 'mine', 'mine', 0, Books(desk.clock)\n"
        "                )\n",
        "strangers",
        500,
    ),
    Defect(
        "other people's positions are not reported",
        "shared/execution/guardian.py",
        "                strangers.report_position(desk, position)\n",
        "                pass\n",
        "strangers",
        1000,
    ),
    Defect(
        "liquidation fee forgotten",
        "shared/portfolio/trades.py",
        '    cleared = frozenset({"INSURANCE_CLEAR"})\n',
        "    cleared: frozenset[str] = frozenset()\n",
        "gaps",
        1000,
    ),
    Defect(
        "funding forgotten",
        "shared/portfolio/trades.py",
        "    net = gross - fees + funding\n",
        "    net = gross - fees\n",
        "gaps",
        1000,
    ),
    *NARROW,
    *LOOK_AHEAD,
)
