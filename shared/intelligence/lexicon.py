"""Sentiment of a text by its words, offline: a small lexicon of our own for markets and crypto.

Published lexicons of finance are not free for commercial use (Loughran and McDonald's), and those
of general language call "liability" and "short" what they are not here. This one was written for
this project. It knows English, no irony and no context beyond a few words; it is a fallback, and a
score is worth as much.
"""

from __future__ import annotations

import math
import re

#: Raised whenever words or arithmetic change: texts say by which version they were judged.
VERSION = "lexicon 1"

#: Words by what they weigh. A word counts with its usual endings.
_GOOD = {
    3: "surge soar skyrocket breakthrough record-high all-time-high bullish moon rally",
    2: "gain jump climb rise rebound recover beat outperform upgrade approve approval adopt "
    "adoption boom breakout inflow profit optimism optimistic strong strength surpass win success "
    "successful milestone accumulate boost upbeat thrive greenlight",
    1: "up grow growth higher increase improve improvement support supportive partner partnership "
    "launch expand expansion invest investment stable secure upgraded positive confident "
    "confidence buy buying demand efficient innovate innovation resilient ease easing dovish "
    "integrate settle",
}
_BAD = {
    3: "crash plunge collapse hack hacked exploit exploited bankrupt bankruptcy insolvent "
    "insolvency fraud scam ponzi rug-pull bearish capitulation meltdown contagion default stolen "
    "theft",
    2: "fall drop slump tumble sink slide loss lose losing sell-off selloff liquidation liquidate "
    "lawsuit sue sued charge indict indictment investigation ban banned crackdown outage halt "
    "halted delist delisting breach vulnerability downgrade miss outflow fear panic recession "
    "warn warning dump reject rejection penalty fine freeze suspend suspension attack "
    "manipulate manipulation launder laundering",
    1: "down lower decline decrease weak weakness risk risky concern worry worries uncertain "
    "uncertainty volatile volatility pressure selling sell negative doubt slow slowdown inflation "
    "hawkish tighten tightening restrict restriction probe dispute struggle cautious caution "
    "delay debt",
}
_NOT = frozenset(
    re.split(
        r"\s+",
        "not no never without neither nor hardly cannot can't isn't aren't wasn't weren't don't "
        "doesn't didn't won't",
    )
)
_VERY = frozenset(
    re.split(
        r"\s+",
        "very highly sharply significantly massive massively huge hugely strongly extremely "
        "heavily dramatically",
    )
)
_LITTLE = frozenset(re.split(r"\s+", "slightly somewhat modest modestly mild mildly marginally"))
#: How many words a negation or an intensifier reaches.
_REACH = 3
_ENDINGS = ("", "s", "es", "d", "ed", "ing", "er", "ly")
#: The sum at which a text has a score of 0.7.
_SCALE = 4.0

_TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*")


def _words() -> dict[str, int]:
    found: dict[str, int] = {}
    for sign, weights in ((1, _GOOD), (-1, _BAD)):
        for weight, words in weights.items():
            for word in words.split():
                for form in _forms(word):
                    found.setdefault(form, sign * weight)
    return found


def _forms(word: str) -> list[str]:
    stem = word[:-1] if word.endswith("e") else word
    forms = [word + ending for ending in _ENDINGS]
    forms += [stem + ending for ending in ("ed", "ing", "er")]
    # Dropped, banned, winning.
    forms += [word + word[-1] + ending for ending in ("ed", "ing")]
    if word.endswith("y"):
        forms += [word[:-1] + ending for ending in ("ies", "ied")]
    return forms


#: Irregular forms.
_IRREGULAR = {
    "rose": 2, "risen": 2, "won": 2, "grew": 1, "grown": 1, "bought": 1,
    "fell": -2, "fallen": -2, "sank": -2, "sunk": -2, "lost": -2, "slid": -2, "sold": -1,
}  # fmt: skip
WORDS = _words() | _IRREGULAR


def score(text: str) -> float:
    """From -1 (bad for prices) to 1 (good); 0 where no word says anything.

    Parameters
    ----------
    text : str
        English.
    """
    tokens = _TOKEN.findall(text.lower().replace("’", "'"))
    total = 0.0
    for place, token in enumerate(tokens):
        weight = float(WORDS.get(token, 0))
        if not weight:
            continue
        for before in tokens[max(0, place - _REACH) : place]:
            if before in _NOT:
                weight *= -0.7
            elif before in _VERY:
                weight *= 1.4
            elif before in _LITTLE:
                weight *= 0.6
        total += weight
    return total / math.sqrt(total * total + _SCALE * _SCALE)
