"""Crashes and squeezes of the past as shocks, and shocks that a person asks for."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.errors import InvalidInput

#: The contract that a shock of the whole market is told by.
MARKET = "BTCUSDT"
#: A fall ends above zero; what rises further than tenfold is a typing error.
LOWEST, HIGHEST = Decimal("-0.99"), Decimal(10)
MAX_SHOCKS = 50


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A move of the market, from the price of now to the worst of it.

    Parameters
    ----------
    id : str
    title : str
        What happened, and over which span the moves are taken (UTC).
    market : Decimal
        Move of :data:`MARKET` as a fraction; other contracts follow it with their beta.
    shocks : dict
        Moves of contracts that are known by themselves.
    approximate : bool
        The figures are public ones, not measured on candles.
    source : str
    """

    id: str
    title: str
    market: Decimal
    shocks: dict[str, Decimal]
    approximate: bool = False
    source: str = ""


_CANDLES = "Binance USD-M hourly candles, open of the first hour to the extreme of the span"


def _measured(id_: str, title: str, btc: str, eth: str, xrp: str, ada: str) -> Scenario:
    moves = {"BTCUSDT": btc, "ETHUSDT": eth, "XRPUSDT": xrp, "ADAUSDT": ada}
    return Scenario(
        id=id_,
        title=title,
        market=Decimal(btc),
        shocks={symbol: Decimal(move) for symbol, move in moves.items()},
        source=_CANDLES,
    )


#: Built in, by id, oldest first.
SCENARIOS: dict[str, Scenario] = {
    s.id: s
    for s in (
        _measured(
            "2020-03-12",
            "pandemic crash, 2020-03-12 00:00 to 2020-03-13 03:00",
            "-0.5438",
            "-0.5675",
            "-0.5125",
            "-0.5587",
        ),
        _measured(
            "2021-02-08",
            "squeeze upwards when Tesla bought, 2021-02-08 06:00 to 2021-02-09 09:00",
            "0.2466",
            "0.1305",
            "0.1494",
            "0.1265",
        ),
        _measured(
            "2021-05-19",
            "liquidation cascade after China's ban, 2021-05-19 00:00 to 15:00",
            "-0.3310",
            "-0.5852",
            "-0.4772",
            "-0.5011",
        ),
        _measured(
            "2022-06",
            "Celsius and Three Arrows, 2022-06-10 12:00 to 2022-06-18 23:00",
            "-0.4137",
            "-0.5042",
            "-0.2844",
            "-0.3154",
        ),
        _measured(
            "2022-11",
            "fall of FTX, 2022-11-07 12:00 to 2022-11-10 00:00",
            "-0.2539",
            "-0.3218",
            "-0.3383",
            "-0.2417",
        ),
        _measured(
            "2023-07-13",
            "squeeze upwards on the Ripple ruling, 2023-07-13 12:00 to 23:00",
            "0.0432",
            "0.0700",
            "1.0393",
            "0.2750",
        ),
        _measured(
            "2024-08-05",
            "unwinding of the yen carry trade, 2024-08-04 12:00 to 2024-08-05 09:00",
            "-0.1970",
            "-0.2749",
            "-0.2040",
            "-0.2310",
        ),
        _measured(
            "2025-02-03",
            "tariffs on Canada and Mexico, 2025-02-02 00:00 to 2025-02-03 05:00",
            "-0.0942",
            "-0.3325",
            "-0.3869",
            "-0.4305",
        ),
        _measured(
            "2025-03-02",
            "squeeze upwards on the strategic reserve, 2025-03-02 12:00 to 2025-03-03 00:00",
            "0.1037",
            "0.1395",
            "0.3225",
            "0.7373",
        ),
        Scenario(
            id="2025-10-10",
            title="tariff shock, the largest liquidation so far, evening of 2025-10-10",
            market=Decimal("-0.157"),
            shocks={
                "BTCUSDT": Decimal("-0.157"),
                "ETHUSDT": Decimal("-0.20"),
                "XRPUSDT": Decimal("-0.40"),
                "ADAUSDT": Decimal("-0.40"),
            },
            approximate=True,
            source="press: BTC 121,000 to 102,000 USD, ETH to about 3,500, altcoins 30 to 40 %; "
            "single venues went lower",
        ),
    )
}


def asked(shocks: dict[str, Decimal], market: Decimal | None) -> Scenario:
    """A scenario of a person's own.

    Parameters
    ----------
    shocks : dict
        Symbol -> move as a fraction.
    market : Decimal, optional
        Move of the market, which contracts that are not named follow with their beta; by default
        that of :data:`MARKET` where it is named, else none: the rest stands still.

    Raises
    ------
    InvalidInput
        For a move that no price can make, or none at all.
    """
    if not shocks and market is None:
        raise InvalidInput("name at least one move: shocks or market")
    if len(shocks) > MAX_SHOCKS:
        raise InvalidInput(f"{len(shocks)} shocks; name at most {MAX_SHOCKS}")
    for name, move in [*shocks.items(), ("market", market)]:
        if move is not None and not (move.is_finite() and LOWEST <= move <= HIGHEST):
            raise InvalidInput(
                f"the move of {name} is {move}; give a fraction from {LOWEST} to {HIGHEST}"
            )
    whole = shocks.get(MARKET, Decimal(0)) if market is None else market
    return Scenario(id="asked", title="as asked", market=whole, shocks=dict(shocks))


def chosen(ids: tuple[str, ...]) -> tuple[Scenario, ...]:
    """Built-in scenarios by id; all of them when none is named.

    Raises
    ------
    InvalidInput
        For an id that is none.
    """
    unknown = [i for i in ids if i not in SCENARIOS]
    if unknown:
        raise InvalidInput(
            f"unknown scenario {', '.join(map(repr, unknown))}; there are {', '.join(SCENARIOS)}"
        )
    return tuple(SCENARIOS[i] for i in ids) if ids else tuple(SCENARIOS.values())
