"""What goes wrong how often."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from local.simulate.schedule import Menu

#: Requests that change something, and the ways their answer may fail.
WRITE: Menu = (
    ("503-lost", 0.010),
    ("503-done", 0.012),
    ("1007-lost", 0.006),
    ("1007-done", 0.008),
    ("timeout-lost", 0.005),
    ("timeout-done", 0.008),
    ("reset-lost", 0.005),
    ("reset-done", 0.008),
    ("unavailable", 0.006),
    ("down", 0.002),
    ("429", 0.004),
    ("1008", 0.004),
    ("slow", 0.010),
)
READ: Menu = (
    ("503-lost", 0.004),
    ("timeout-lost", 0.002),
    ("reset-lost", 0.003),
    ("unavailable", 0.003),
    ("down", 0.0003),
    ("429", 0.001),
    ("slow", 0.004),
)
#: For some seconds conditional orders are not accepted, everything else is.
STOPS: Menu = (("no-stops", 0.02),)
#: Look-ups of single orders and lists of conditional orders may lag behind.
LOOKUP: Menu = (("hidden", 0.05), *READ)
STORE_READ: Menu = (("429", 0.0010), ("slow", 0.0010))
STORE_WRITE: Menu = (("429", 0.0015), ("timeout-done", 0.0015), ("timeout-lost", 0.0010))
REPLACE: Menu = (("conflict", 0.02), *STORE_WRITE)
KILL: Menu = (("kill-before", 0.0006), ("kill-after", 0.0006))
RIVAL: Menu = (
    ("guardian", 0.0008),
    ("reconcile", 0.0005),
    ("copy", 0.0010),
    ("trade", 0.0010),
    ("flatten", 0.0002),
)
#: ``same`` is what ``copy`` is, of the entry that is being executed.
#: Where nothing else goes wrong, others may be at it all the time.
RIVALS: Menu = (
    ("guardian", 0.0080),
    ("reconcile", 0.0015),
    ("copy", 0.0060),
    ("trade", 0.0030),
    ("flatten", 0.0006),
)
#: A conditional order triggers and stays so for ever, or the matching engine refuses it.
TRIGGER: Menu = (("stuck", 0.40), ("refused", 0.20))
#: A conditional order that was accepted ends without a word, asked for every quarter of a minute.
VANISH: Menu = (("expired", 0.10), ("canceled", 0.08), ("rejected", 0.08))
#: For some minutes the prices that are served are old.
PRICES: Menu = (("old", 0.003),)
#: A post-only order meets a price that has moved: refused, -5022.
POST_ONLY: Menu = (("5022", 0.08),)
#: The store goes away for seconds or minutes: all of it, its writes, or one container.
OUTAGE: Menu = (("all", 0.0004), ("writes", 0.0002), ("one", 0.0004))
#: The machine's clock is set, or stands still with it for a while.
CLOCK: Menu = (("forwards", 0.004), ("back", 0.004), ("frozen", 0.0015))
#: Another process takes over while an activity is in flight, which ends later all the same.
ZOMBIE: Menu = (("replaced", 0.004),)
#: The process stands still for up to a minute while another instance goes on.
FREEZE: Menu = (("freeze", 0.0015), ("same", 0.002), ("guardian", 0.002))
#: For a while the exchange refuses what only a person can put right.
HALT: Menu = (("keys", 0.010), ("region", 0.010), ("reduce-only", 0.030))
#: The answer to an entry is lost, and every view stays behind for up to two minutes.
DOUBT: Menu = (("503-done", 0.08), ("timeout-done", 0.05), ("503-lost", 0.05))
ACTIVITY: Menu = (("crash-before", 0.02), ("crash-after", 0.03), ("twice", 0.03))
REPORT: Menu = (("double", 0.03), ("late", 0.03), ("late-double", 0.02))
EVENTS: Menu = (("double", 0.05), ("late", 0.05), ("shuffle", 0.10))
#: Whoever starts a workflow is refused, waits, or hears nothing of what was done or was not.
ASK: Menu = (("refused", 0.04), ("silent", 0.04), ("lost", 0.04), ("slow", 0.04))


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of faults, as probabilities per occasion.

    ``rates`` maps a boundary (``write``, ``read``, ``lookup``, ``stops``, ``post-only``,
    ``trigger``, ``vanish``, ``prices``, ``store-read``, ``store-write``, ``replace``, ``outage``,
    ``kill``, ``rival``, ``zombie``, ``clock``, ``halt``, ``doubt``, ``activity``, ``report``,
    ``events``, ``ask``) to its menu. Per minute of simulated time:
    ``stop`` an emergency stop, ``redeploy`` a clean restart, ``jump`` a price gap per symbol.
    ``skew_ms`` bounds how far the exchange's clock is off. ``jump_size`` bounds the gaps, as parts
    of the price, ``sigma`` is the standard deviation of a minute's return, ``turnover`` what is
    traded in a minute, in USDT: a resting order gets a tenth of it; 0 is more than any order here
    takes.
    ``burst`` is the probability per symbol that some minutes of an abnormal market begin.
    ``funding`` lets a settlement fall into the episode. ``silence`` is the probability that
    nothing of the market is heard for some minutes. ``strangers`` is the probability that somebody
    trades by hand on the account; ``approvals`` has a person approve every trade, or not.
    ``triggers`` are those that may latch the switch by themselves here, besides a drawdown.
    ``disagree_ms`` bounds by how much the clocks of two instances differ for good.
    ``settings`` of the application differ from those of every other profile.
    """

    name: str
    meaning: str
    rates: Mapping[str, Menu] = {}
    stop: float = 0.0
    redeploy: float = 0.0
    jump: float = 0.0
    skew_ms: int = 0
    jump_size: tuple[float, float] = (0.02, 0.09)
    sigma: float = 0.003
    funding: bool = False
    silence: float = 0.0
    strangers: float = 0.0
    approvals: bool = False
    triggers: tuple[str, ...] = ()
    settings: Mapping[str, str] = {}
    turnover: float = 0.0
    burst: float = 0.0
    disagree_ms: int = 0


def _scaled(menu: Menu, factor: float) -> Menu:
    return tuple((name, rate * factor) for name, rate in menu)


_EXCHANGE: dict[str, Menu] = {
    "write": WRITE,
    "read": READ,
    "lookup": LOOKUP,
    "stops": STOPS,
}
_STORE: dict[str, Menu] = {
    "store-read": STORE_READ,
    "store-write": STORE_WRITE,
    "replace": REPLACE,
}
_DELIVERY: dict[str, Menu] = {"activity": ACTIVITY, "report": REPORT, "events": EVENTS}

PROFILES: dict[str, Profile] = {
    p.name: p
    for p in (
        Profile(name="quiet", meaning="no faults: how fast the application itself is"),
        Profile(
            name="exchange",
            meaning="lost, late and contradictory answers of the exchange, price gaps, skew",
            rates={k: _scaled(m, 2.0) for k, m in _EXCHANGE.items()},
            jump=0.01,
            skew_ms=400,
        ),
        Profile(
            name="store",
            meaning="throttling, time-outs and lost races of the state store",
            rates={k: _scaled(m, 2.0) for k, m in _STORE.items()},
        ),
        Profile(
            name="crash",
            meaning="the process dies before and after any effect, activities run again",
            rates={"kill": _scaled(KILL, 3.0), **_DELIVERY},
            redeploy=0.02,
        ),
        Profile(
            name="rivals",
            meaning="other instances run the same code between any two effects",
            rates={"rival": RIVALS, **_DELIVERY},
        ),
        Profile(
            name="twins",
            meaning="requests too slow to count, while another instance takes the same entry over",
            rates={
                "write": (("slow", 0.15), ("timeout-lost", 0.03), ("503-done", 0.02)),
                "rival": (("same", 0.10),),
                "lookup": (("hidden", 0.05),),
            },
            skew_ms=400,
        ),
        Profile(
            name="blackout",
            meaning="answers are lost just as the venue goes away for seconds",
            rates={
                "write": (("503-done", 0.08), ("timeout-done", 0.04), ("timeout-lost", 0.02)),
                "lookup": (("down", 0.08), ("hidden", 0.05)),
            },
            jump=0.005,
        ),
        Profile(
            name="stops",
            meaning="emergency stops at any moment, between any two effects, and the way back",
            rates={
                "rival": (("stop", 0.001), ("stop-flatten", 0.001)),
                "kill": KILL,
                "write": WRITE,
            },
            stop=0.10,
            jump=0.005,
        ),
        Profile(
            name="gaps",
            meaning="a wild market: gaps past every stop, liquidation, funding; a failing exchange",
            rates={k: _scaled(m, 2.0) for k, m in _EXCHANGE.items()},
            sigma=0.008,
            jump=0.06,
            jump_size=(0.03, 0.35),
            funding=True,
            triggers=("abnormal_volatility",),
        ),
        Profile(
            name="silence",
            meaning="nothing of the market for minutes, then all at once; old prices; crashes",
            rates={"kill": KILL, **_DELIVERY, **_STORE, "prices": PRICES},
            silence=0.3,
            redeploy=0.05,
            jump=0.01,
        ),
        Profile(
            name="watch",
            meaning="stops that fail or vanish, prices that jump; a failing exchange, deaths",
            rates={
                **{k: _scaled(m, 0.3) for k, m in _EXCHANGE.items()},
                "trigger": TRIGGER,
                "vanish": VANISH,
                "kill": KILL,
            },
            redeploy=0.02,
            jump=0.06,
            sigma=0.004,
            settings={"STOP_WATCH": "always"},
        ),
        Profile(
            name="bursts",
            meaning="a quiet market goes wild, the switch latches by itself; a failing exchange",
            rates={k: _scaled(m, 0.5) for k, m in _EXCHANGE.items()},
            sigma=0.0006,
            burst=0.004,
            triggers=("abnormal_volatility",),
        ),
        Profile(
            name="strangers",
            meaning="somebody trades by hand on the account; emergency stops; a failing exchange",
            rates={k: _scaled(m, 0.5) for k, m in _EXCHANGE.items()},
            stop=0.03,
            strangers=0.8,
            triggers=("suspicious_activity",),
        ),
        Profile(
            name="approvals",
            meaning="a person approves, refuses or stays silent; crashes, late and doubled events",
            rates={"kill": _scaled(KILL, 2.0), **_DELIVERY, **_STORE},
            stop=0.02,
            redeploy=0.03,
            approvals=True,
        ),
        Profile(
            name="hub",
            meaning="the task hub refuses, is silent or slow; stops that fail; a failing exchange",
            rates={
                **{k: _scaled(m, 0.3) for k, m in _EXCHANGE.items()},
                "ask": ASK,
                "trigger": _scaled(TRIGGER, 0.5),
                "vanish": _scaled(VANISH, 0.5),
            },
            stop=0.08,
            redeploy=0.02,
            jump=0.03,
            settings={"STOP_WATCH": "always"},
        ),
        Profile(
            name="outage",
            meaning="the store is away for seconds to minutes; emergency stops; a failing exchange",
            rates={
                **{k: _scaled(m, 0.5) for k, m in _EXCHANGE.items()},
                "outage": OUTAGE,
            },
            stop=0.08,
            jump=0.01,
        ),
        Profile(
            name="clocks",
            meaning="clocks are set by up to a minute, stop, and disagree; lost answers; silence",
            rates={
                "clock": CLOCK,
                "rival": _scaled(RIVALS, 0.5),
                "write": _scaled(WRITE, 1.5),
                "lookup": LOOKUP,
                "stops": STOPS,
                "report": REPORT,
                "events": EVENTS,
            },
            stop=0.03,
            jump=0.01,
            silence=0.15,
            disagree_ms=60_000,
        ),
        Profile(
            name="zombies",
            meaning="a process is replaced, or stands still, in mid-flight, and goes on afterwards",
            rates={
                "zombie": ZOMBIE,
                "rival": FREEZE,
                "write": WRITE,
                "lookup": LOOKUP,
                "report": REPORT,
                "events": EVENTS,
            },
            stop=0.06,
            redeploy=0.02,
            jump=0.01,
        ),
        Profile(
            name="doubt",
            meaning="entries without an answer, while no view shows them for up to two minutes",
            rates={
                **{k: _scaled(m, 0.3) for k, m in _EXCHANGE.items()},
                "doubt": DOUBT,
                "rival": (("same", 0.005), ("trade", 0.005), ("guardian", 0.002)),
                "activity": ACTIVITY,
                "events": EVENTS,
            },
            stop=0.02,
            redeploy=0.02,
            jump=0.01,
            settings={"STOP_WATCH": "always"},
        ),
        Profile(
            name="halts",
            meaning="keys, region or account refused for a while, until a person has looked",
            rates={
                **{k: _scaled(m, 0.7) for k, m in _EXCHANGE.items()},
                "halt": HALT,
            },
            stop=0.03,
            redeploy=0.02,
            jump=0.01,
        ),
        Profile(
            name="maker",
            meaning="entries rest post-only and fill in parts; everything else goes wrong as well",
            rates={
                **{k: _scaled(m, 1.2) for k, m in _EXCHANGE.items()},
                "post-only": POST_ONLY,
                **_STORE,
                **_DELIVERY,
                "kill": KILL,
                "rival": RIVAL,
            },
            stop=0.03,
            redeploy=0.02,
            jump=0.01,
            sigma=0.004,
            skew_ms=400,
            settings={"ENTRY_STYLE": "post_only", "ENTRY_CHASE_SECONDS": "10"},
            turnover=2_000.0,
        ),
        Profile(
            name="storm",
            meaning="everything at once",
            rates={**_EXCHANGE, **_STORE, **_DELIVERY, "kill": KILL, "rival": RIVAL},
            stop=0.02,
            redeploy=0.01,
            jump=0.01,
            skew_ms=400,
        ),
    )
}

#: Every profile that disturbs anything.
ATTACKS: tuple[str, ...] = tuple(name for name in PROFILES if name != "quiet")
