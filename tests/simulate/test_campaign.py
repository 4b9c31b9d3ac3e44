"""A long search over processes: same episodes whoever runs them, resumed from its log."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from local.cli.main import main
from local.invariants import Violation
from local.simulate.campaign import (
    ALL,
    Line,
    append,
    code_digest,
    profile_of,
    read_log,
    run_one,
    search,
)
from local.simulate.profiles import ATTACKS, PROFILES
from local.simulate.run import episode
from shared.errors import InvalidInput


def line(
    name: str, profile: str, *, code: str = "", decisions: int = 16, bad: bool = False
) -> Line:
    violations = (Violation(invariant=4, time="now", text="naked"),) if bad else ()
    return Line(
        code=code or code_digest(),
        episode=name,
        profile=profile,
        wanted=16,
        decisions=decisions,
        approved=3,
        entries=2,
        trades=2,
        stops=0,
        restarts=0,
        minutes=5,
        faults={},
        checked={4: 10},
        failures={},
        seen={},
        violations=violations,
        fired=(),
        audit="0",
        cpu=0.5,
    )


def test_processes_find_what_one_after_the_other_finds(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    first = search(30, 3, ALL, jobs=2, log=log, per_episode=16)
    assert first.decisions >= 30
    assert first.earlier == 0
    for logged in read_log(log):
        index = int(logged.episode.split(".")[1])
        assert logged.profile == profile_of(ALL, index) == ATTACKS[index]
        alone = episode(logged.episode, PROFILES[logged.profile], 16)
        assert (alone.audit, alone.decisions) == (logged.audit, logged.decisions)
    # Again with the same log: everything is there already.
    second = search(30, 3, ALL, jobs=2, log=log, per_episode=16)
    assert second.now_decisions == 0
    assert second.earlier == first.decisions
    assert second.episodes == first.episodes


def test_only_episodes_of_this_code_seed_and_profile_count(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    for one in (
        line("3.0", "storm"),
        line("3.1", "storm", code="another"),
        line("4.2", "storm"),
        line("3.3", "quiet"),
        line("3.4", "storm", bad=True),
    ):
        append(log, one)
    found = search(30, 3, "storm", log=log, per_episode=16)
    assert (found.decisions, found.episodes) == (32, 2)
    assert found.other_code == 3
    assert [f.episode for f in found.findings] == ["3.4"]
    assert found.findings[0].command.endswith("--episode 3.4 --decisions 16")


def test_a_line_cut_off_by_a_kill_is_left_out_and_written_over(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    append(log, line("3.0", "storm"))
    whole = log.read_bytes()
    append(log, line("3.1", "storm"))
    log.write_bytes(log.read_bytes()[:-40])
    assert [x.episode for x in read_log(log)] == ["3.0"]
    append(log, line("3.2", "storm"))
    assert [x.episode for x in read_log(log)] == ["3.0", "3.2"]
    assert log.read_bytes().startswith(whole)
    log.write_bytes(b"{}\n" + whole)
    with pytest.raises(InvalidInput, match="line 1"):
        list(read_log(log))


def test_an_episode_says_what_it_cost_and_did() -> None:
    one = run_one("code", "9.3", "crash", 10)
    assert one.decisions >= 10
    assert one.cpu > 0
    assert msgspec.json.decode(msgspec.json.encode(one), type=Line) == one


def test_the_command_line_says_what_was_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.jsonl"
    arguments = ["simulate", "--decisions", "5", "--seed", "3", "--profile", "quiet"]
    assert main([*arguments, "--jobs", "1", "--log", str(log), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "all of them were run" in out
    assert "declined" in out
    assert "no invariant was violated" in out


def test_bad_requests_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no profile"):
        search(10, 1, "calm")
    with pytest.raises(InvalidInput, match="at least one"):
        search(10, 1, ALL, jobs=0)
