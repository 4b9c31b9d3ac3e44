"""A sweep on a live run whose process is killed in the middle of it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from command_line import Live

from local.configuration import DEMONSTRATION, configuration

OPTIONS = ("--speed", "60", "--port", "0", "--page-port", "0", "--symbols", "BTCUSDT")


def test_kill_9_in_the_middle_of_a_sweep_loses_no_chunk_and_repeats_none(tmp_path: Path) -> None:
    first = Live(tmp_path, *OPTIONS)
    try:
        day = first.wait_for(lambda: first.api("GET", "status").json().get("day"))
        yesterday = (date.fromisoformat(day) - timedelta(days=1)).isoformat()
        body = {
            "symbols": ["BTCUSDT"],
            "timeframes": ["5m"],
            "start": yesterday,
            "end": day,
            "grid": {"threshold": "0.2:0.7:0.025"},
            "settings": configuration(DEMONSTRATION).rest,
            "engine": "exact",
            "minimum_trades": 1,
            "chunk_size": 1,
        }
        answer = first.api("POST", "research/sweeps", json=body)
        assert answer.status_code == 202, answer.text
        identity = answer.json()["id"]

        def progress(run: Live) -> dict[str, Any]:
            found: dict[str, Any] = run.api("GET", f"research/sweeps/{identity}").json()
            return found

        before = first.wait_for(lambda: progress(first)["chunksDone"] >= 2)
        assert before
    finally:
        first.kill()
    again = Live(tmp_path, *OPTIONS)
    try:
        done = again.wait_for(
            lambda: found if (found := progress(again))["state"] != "running" else None
        )
        assert (done["state"], done["chunksDone"], done["chunks"]) == ("done", 21, 21)
        rows: list[dict[str, Any]] = []
        query = ""
        while True:
            page = again.api("GET", f"research/sweeps/{identity}/results{query}").json()
            rows += page["results"]
            if page["continuation"] is None:
                break
            query = f"?continuation={page['continuation']}"
        # Every set once, in order.
        assert [r["index"] for r in rows] == list(range(21))
        assert len({json.dumps(r["params"]) for r in rows}) == 21
        assert again.interrupt() == 0
    finally:
        again.close()
