"""Defects for the profiles that attack one thing: outages, clocks, zombies, halts and doubt."""

from __future__ import annotations

from defect import Defect

ORDERS = "shared/execution/orders.py"

NARROW: tuple[Defect, ...] = (
    Defect(
        "a wait ends by a clock that may be set",
        "shared/execution/elapsed.py",
        "        self._began = clock.steady_ms()\n\n"
        "    def ms(self) -> int:\n"
        '        """What has passed."""\n'
        "        return self._clock.steady_ms() - self._began\n",
        "        self._began = clock.now_ms()\n\n"
        "    def ms(self) -> int:\n"
        '        """What has passed."""\n'
        "        return self._clock.now_ms() - self._began\n",
        tests=(
            "tests/app/test_clock_steps.py"
            "::test_a_stop_that_cannot_be_placed_is_not_tried_for_longer_because_of_it",
            "tests/app/test_clock_steps.py"
            "::test_a_stop_that_has_failed_is_not_given_a_minute_because_of_it",
        ),
    ),
    Defect(
        "a clock that the exchange refuses is not measured again",
        "shared/execution/binance/gateway.py",
        "                resynced = True\n                self.synchronise()\n",
        "                resynced = True\n",
        "clocks",
        2000,
    ),
    Defect(
        "absence believed too early",
        "shared/execution/absence.py",
        "LOST_MS = 150_000\n",
        "LOST_MS = 15_000\n",
        "doubt",
        3000,
    ),
    Defect(
        "an entry that nobody finds is sent again",
        ORDERS,
        "                if not again or current.attempts >= ATTEMPTS:\n"
        "                    absence.believe(desk, current)\n",
        "                again = True\n",
        "doubt",
        3000,
    ),
    Defect(
        "a run that wakes up sends under its old claim",
        ORDERS,
        "        if latest is None or not _holds_claim(desk, latest[0], attempt):\n"
        "            continue\n"
        "        left = latest[0] if request.reduce_only else _leave(desk, *latest)\n"
        "        if left is None:\n            continue\n"
        "        try:\n            return _place(desk, request, left.sent_at + CLAIM_MS)\n",
        "        if latest is None:\n            continue\n"
        "        left = latest[0]\n        try:\n"
        "            return _place(desk, request, desk.exchange.now_ms() + CLAIM_MS)\n",
        "zombies",
        3000,
    ),
    Defect(
        "old news is fresh for a clock that is behind",
        "shared/execution/freshness.py",
        "    return ours if abs(theirs - ours) <= desk.recv_window_ms else theirs\n",
        "    return ours\n",
        tests=(
            "tests/app/test_clock_steps.py::test_old_news_is_not_fresh_for_a_clock_that_is_behind",
        ),
    ),
    Defect(
        "a stop that cannot be stored closes nothing",
        "functions/safety.py",
        "        await _close_without_latch(desk, client, evidence, now)\n",
        "",
        "outage",
        4000,
    ),
    Defect(
        "an entry that is refused for good halts nothing",
        ORDERS,
        "            halting.heed(desk, error)\n            refused",
        "            refused",
        "halts",
        2000,
    ),
    Defect(
        "a run that fails ends the emergency stop",
        "functions/safety.py",
        '            result = {"flat": False}\n',
        "            raise\n",
        tests=(
            "tests/app/test_emergency_in_an_outage.py::test_a_stop_whose_run_breaks_is_taken_up_by_the_next",
        ),
    ),
    Defect(
        "a conditional order is cancelled before it has a record",
        "shared/execution/adopt.py",
        "    conditional(desk, algo, decision_id)\n"
        "    desk.exchange.cancel_algo_order(algo.client_algo_id)\n",
        "    desk.exchange.cancel_algo_order(algo.client_algo_id)\n"
        "    conditional(desk, algo, decision_id)\n",
        tests=(
            "tests/app/test_late_records.py::test_a_cancel_whose_answer_is_lost_leaves_a_record",
        ),
    ),
    Defect(
        "trading is armed before it is told",
        "shared/risk/kill_switch.py",
        "        self._clearable()\n"
        "        second_factor.verify(totp_code)\n"
        "        if tell is not None:\n"
        "            tell()\n",
        "        self._clearable()\n        second_factor.verify(totp_code)\n",
        tests=(
            "tests/app/test_stop_without_store.py"
            "::test_who_is_told_that_arming_failed_has_armed_nothing",
        ),
    ),
    Defect(
        "a close without the store has the id of the one before",
        "shared/execution/flatten.py",
        '|{venue.update_time}|{venue.quantity}|{sent_at}"\n'
        '    return client_id(desk.account, what, "x", attempt)\n',
        '|{venue.update_time}|{venue.quantity}"\n'
        '    return client_id(desk.account, what, "x", 0)\n',
        tests=(
            "tests/app/test_unsent_closes.py"
            "::test_a_close_that_was_written_off_is_sent_under_another_id_by_the_next_run",
            "tests/app/test_unsent_closes.py"
            "::test_a_close_that_could_not_be_sent_is_sent_under_another_id",
        ),
    ),
    Defect(
        "the exchange's time goes back with ours",
        "shared/execution/binance/server_clock.py",
        "        return max(now + measured[0], self._clock.steady_ms() + self._ahead_of_steady)\n",
        "        return now + measured[0]\n",
        tests=(
            "tests/binance/test_binance_clock.py"
            "::test_a_pause_that_was_asked_for_is_no_longer_for_a_clock_that_is_set_back",
        ),
    ),
    Defect(
        "an emergency stop outlives its clear",
        "functions/safety.py",
        '        if may_be_over and emergency.called_off(desk, payload["workflow"]):\n',
        "        if False:\n",
        tests=(
            "tests/app/test_stop_without_store.py"
            "::test_a_stop_that_could_not_be_written_down_closes_nothing_that_is_opened_after_its_end",
        ),
    ),
    Defect(
        "whoever looks is served like an exit",
        "shared/execution/binance/gateway.py",
        "            rank = self._views\n",
        "            pass\n",
        tests=(
            "tests/binance/test_binance_budget.py::test_shares",
            "tests/app/test_looking.py",
        ),
    ),
)
