"""Funding at its settlement times and liquidation, isolated and cross."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from exchange_world import MIDNIGHT, World, flat

BTC, ETH = "BTCUSDT", "ETHUSDT"
HOUR_MS = 3_600_000


def buy(world: World, symbol: str, quantity: str, side: str = "BUY") -> None:
    world.client.futures_create_order(symbol=symbol, side=side, type="MARKET", quantity=quantity)


def incomes(world: World, kind: str) -> list[tuple[int, D]]:
    return [(e.time, e.amount) for e in world.venue.ledger().income if e.kind == kind]


class TestFunding:
    rates = ((MIDNIGHT + 2 * HOUR_MS, 0.0001), (MIDNIGHT + 3 * HOUR_MS, -0.0003))

    @pytest.mark.parametrize(("side", "sign"), [("BUY", -1), ("SELL", 1)])
    def test_is_paid_at_the_recorded_times_on_the_mark_price(self, side: str, sign: int) -> None:
        rows, mark = flat(100_000, 300), flat(100_100, 300)
        world = World({BTC: rows}, mark={BTC: mark}, funding={BTC: self.rates})
        buy(world, BTC, "0.100", side)
        world.at_minute(200)
        assert incomes(world, "FUNDING_FEE") == [
            (MIDNIGHT + 2 * HOUR_MS, sign * D("1.00100000")),
            (MIDNIGHT + 3 * HOUR_MS, -sign * D("3.00300000")),
        ]
        assert world.venue.ledger().problems() == []

    def test_only_positions_held_at_the_instant_pay(self) -> None:
        world = World({BTC: flat(100_000, 300)}, funding={BTC: self.rates})
        buy(world, BTC, "0.100")
        world.at_minute(119.9)
        buy(world, BTC, "0.100", "SELL")
        world.at_minute(121)
        buy(world, BTC, "0.100")
        world.at_minute(170)
        assert incomes(world, "FUNDING_FEE") == []

    def test_isolated_positions_pay_from_their_own_wallet(self) -> None:
        world = World({BTC: flat(100_000, 300)}, funding={BTC: self.rates})
        world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
        buy(world, BTC, "0.100")
        before = world.account.position(BTC).isolated_wallet
        free = world.account.cross_wallet
        world.at_minute(121)
        assert world.account.position(BTC).isolated_wallet == before - 1
        assert world.account.cross_wallet == free

    def test_without_records_it_follows_the_eight_hour_schedule(self) -> None:
        world = World({BTC: flat(100_000, 1100)})
        buy(world, BTC, "0.100")
        world.at_minute(1050)
        assert incomes(world, "FUNDING_FEE") == [
            (MIDNIGHT + 8 * HOUR_MS, D("-1")),
            (MIDNIGHT + 16 * HOUR_MS, D("-1")),
        ]

    def test_rates_and_the_next_time_are_published(self) -> None:
        world = World({BTC: flat(100_000, 300)}, funding={BTC: self.rates})
        row = world.client.futures_mark_price(symbol=BTC)
        assert row["nextFundingTime"] == MIDNIGHT + 2 * HOUR_MS
        world.at_minute(200)
        rows = world.client.futures_funding_rate(symbol=BTC, startTime=MIDNIGHT + 1)
        assert [(r["fundingTime"], D(r["fundingRate"])) for r in rows] == [
            (time, D(str(rate))) for time, rate in self.rates
        ]


class TestLiquidation:
    #: Ten minutes at 60000, then a slide to 57000 and on.
    slide = (*flat(60000, 10), (60000, 60000, 57000, 57000), *flat(57000, 5))

    def isolated(self) -> World:
        world = World({BTC: self.slide}, deposit="10000")
        world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
        world.client.futures_change_leverage(symbol=BTC, leverage=20)
        buy(world, BTC, "1.000")
        return world

    def test_isolated_position_goes_at_its_liquidation_price_and_only_it(self) -> None:
        world = self.isolated()
        [row] = world.client.futures_position_information(symbol=BTC)
        price = D(row["liquidationPrice"])
        entry, wallet = D(row["entryPrice"]), D(row["isolatedWallet"])
        # Bought at the touch, a twentieth of it locked; maintenance is 0.4 % of the notional.
        assert (entry, wallet) == (D("60000.1"), D("3000.005"))
        assert abs(price - D("57000.095") / D("0.996")) < D("0.0001")
        free = world.account.cross_wallet
        world.at_minute(12)
        ledger = world.venue.ledger()
        assert ledger.positions == ()
        assert ledger.problems() == []
        forced = ledger.orders[-1]
        assert forced.client_order_id.startswith("autoclose-")
        # On the straight way from 60000 to 57000 within 20 seconds.
        moment = MIDNIGHT + 10 * 60_000 + float((60_000 - price) / 3_000) * 20_000
        assert 0 <= forced.time - moment < 1
        # The contract price fell with the mark: the rest of the margin is less than the fee. So
        # the isolated wallet is lost to the last digit, and of the rest of the account nothing.
        [(_, fee)] = incomes(world, "INSURANCE_CLEAR")
        [lost] = [e.amount for e in ledger.income if e.kind == "REALIZED_PNL"]
        assert 0 < -fee < D("0.0125") * forced.quote
        assert lost + fee == -wallet
        assert ledger.wallet_balance == world.account.cross_wallet == free

    def test_more_margin_survives_the_same_fall(self) -> None:
        world = self.isolated()
        world.client.futures_change_position_margin(symbol=BTC, amount="3000", type=1)
        world.at_minute(12)
        assert world.position() == 1
        assert incomes(world, "INSURANCE_CLEAR") == []

    def test_a_gap_beyond_the_margin_is_carried_by_the_insurance_fund(self) -> None:
        world = World({BTC: flat(60_000, 10) + flat(50_000, 5)}, deposit="10000")
        world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
        buy(world, BTC, "1.000")
        free = world.account.cross_wallet
        world.at_minute(12)
        [(_, carried)] = incomes(world, "INSURANCE_CLEAR")
        assert carried > 0
        assert world.account.wallet_balance() == free
        assert world.venue.ledger().problems() == []

    def test_a_stop_before_the_liquidation_price_saves_the_margin(self) -> None:
        world = self.isolated()
        world.client.futures_create_algo_order(
            symbol=BTC,
            side="SELL",
            type="STOP_MARKET",
            triggerPrice="58000",
            quantity="1",
            reduceOnly="true",
            workingType="MARK_PRICE",
        )
        world.at_minute(12)
        assert world.position() == 0
        assert incomes(world, "INSURANCE_CLEAR") == []

    def test_open_orders_are_cancelled_first(self) -> None:
        world = self.isolated()
        world.client.futures_create_order(
            symbol=BTC,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            price="57500",
            quantity="0.010",
            newClientOrderId="rest",
        )
        world.at_minute(12)
        # 57500 lies above the liquidation price, so it was filled on the way or cancelled there.
        [rest] = [o for o in world.venue.ledger().orders if o.client_order_id == "rest"]
        assert not rest.is_open
        assert world.venue.ledger().open_orders == ()

    def test_cross_account_falls_as_a_whole_at_maintenance(self) -> None:
        """Both marks fall together; the moment is where surplus reaches zero."""
        rows = {
            BTC: [*flat(60000, 10), (60000, 60000, 54000, 54000), *flat(54000, 5)],
            ETH: [*flat(3000, 10), (3000, 3000, 2700, 2700), *flat(2700, 5)],
        }
        world = World(rows, deposit="1300")
        buy(world, BTC, "0.200")
        buy(world, ETH, "4.000")
        entry = {p.symbol: p.entry_price for p in world.venue.ledger().positions}
        wallet = world.account.cross_wallet
        share, surplus = D(0), D(1)
        while surplus > 0:
            share += D("0.00005")
            btc, eth = 60_000 - 6_000 * share, 3_000 - 300 * share
            surplus = wallet + D("0.2") * (btc - entry[BTC]) + 4 * (eth - entry[ETH])
            surplus -= (D("0.2") * btc + 4 * eth) * D("0.004")
        world.at_minute(12)
        ledger = world.venue.ledger()
        forced = [o for o in ledger.orders if o.client_order_id.startswith("autoclose-")]
        assert forced
        assert abs(forced[0].time - (MIDNIGHT + 600_000 + float(share) * 20_000)) <= 2
        assert ledger.problems() == []
        assert ledger.wallet_balance >= 0

    def test_short_positions_are_liquidated_upward(self) -> None:
        rows = [*flat(60000, 10), (60000, 64000, 60000, 64000), *flat(64000, 5)]
        world = World({BTC: rows}, deposit="10000")
        world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
        buy(world, BTC, "1.000", "SELL")
        world.at_minute(12)
        assert world.position() == 0
        assert len(incomes(world, "INSURANCE_CLEAR")) == 1

    @pytest.mark.parametrize("dips", ["contract price", "mark price"])
    def test_only_the_mark_price_liquidates(self, dips: str) -> None:
        calm = flat(60_000, 16)
        rows, mark = (self.slide, calm) if dips == "contract price" else (calm, self.slide)
        world = World({BTC: rows}, mark={BTC: mark}, deposit="10000")
        world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
        buy(world, BTC, "1.000")
        world.at_minute(12)
        assert (world.position() == 0) is (dips == "mark price")


class TestLiquidationFee:
    """The published rule: the contract's ``liquidationFee`` on the liquidated notional, as far as
    the position's margin goes, and no commission on the forced order. Worked out by hand.

    A flat book at 60,000 is 59,999.9 and 60,000.1 (spread 0.12, to whole ticks outward), at 0.7 of
    ADAUSDT 0.6999 and 0.7001; all quantities here are less than what rests at the touch.
    """

    def world(self, prices: dict[str, float], falls: dict[str, float], **more: object) -> World:
        """The mark price slides in minute 10; the contract price only where ``then`` says so."""
        then = more.pop("then", {})
        rows, mark = {}, {}
        for symbol, price in prices.items():
            later = then.get(symbol, price)  # type: ignore[attr-defined]
            low = falls.get(symbol, price)
            rows[symbol] = [*flat(price, 10), *flat(later, 6)]
            mark[symbol] = [*flat(price, 10), (price, price, low, low), *flat(low, 5)]
        return World(rows, mark=mark, **more)  # type: ignore[arg-type]

    @pytest.mark.parametrize("margin", ["ISOLATED", "CROSSED"])
    @pytest.mark.parametrize(
        ("symbol", "quantity", "price", "low", "fee", "left"),
        [
            # Bought at 60,000.1 for 30.00005, sold at 59,999.9: 0.2 lost, and 1.25 % of 59,999.9.
            (BTC, "1.000", 60_000, 50_000, "749.99875", "9219.8012"),
            # Bought at 0.7001 for 3.5005, sold at 0.6999: 2 lost, and 1.5 % of 6,999.
            ("ADAUSDT", "10000", 0.7, 0.01, "104.985", "9889.5145"),
        ],
    )
    def test_is_the_contracts_share_of_the_notional_while_margin_remains(
        self,
        margin: str,
        symbol: str,
        quantity: str,
        price: float,
        low: float,
        fee: str,
        left: str,
    ) -> None:
        """Only the mark price falls, so that the position is closed where it was opened."""
        deposit = "10000" if symbol == BTC or margin == "ISOLATED" else "6000"
        world = self.world({symbol: price}, {symbol: low}, deposit=deposit)
        if margin == "ISOLATED":
            world.client.futures_change_margin_type(symbol=symbol, marginType=margin)
        buy(world, symbol, quantity)
        world.at_minute(12)
        assert world.position(symbol) == 0
        assert [a for _, a in incomes(world, "INSURANCE_CLEAR")] == [-D(fee)]
        assert world.account.wallet_balance() == D(left) - (10_000 - D(deposit))
        assert len(incomes(world, "COMMISSION")) == 1
        [row] = world.client.futures_income_history(incomeType="INSURANCE_CLEAR")
        assert (row["symbol"], D(row["income"])) == (symbol, -D(fee))
        assert world.venue.ledger().problems() == []

    def test_of_an_isolated_position_takes_no_more_than_is_left_of_its_margin(self) -> None:
        """Sold at 57,199.9: 2,800.2 of 60,000.1 / 20 are lost, 199.805 of 714.99875 are there."""
        world = self.world({BTC: 60_000}, {BTC: 57_000}, then={BTC: 57_200}, deposit="10000")
        world.client.futures_change_margin_type(symbol=BTC, marginType="ISOLATED")
        buy(world, BTC, "1.000")
        free = world.account.cross_wallet
        assert free == 10_000 - D("3000.005") - D("30.00005")
        world.at_minute(12)
        assert [a for _, a in incomes(world, "INSURANCE_CLEAR")] == [D("-199.805")]
        assert world.account.wallet_balance() == free

    @pytest.mark.parametrize(
        ("then", "fund"),
        [
            # Sold at 56,199.9: 3,969.99995 less 3,800.2 is less than the fee of 702.49875.
            (56_200, "-169.79995"),
            # Sold at 49,999.9: 10,000.2 lost, more than there was; the fund pays the rest.
            (50_000, "6030.20005"),
        ],
    )
    def test_of_a_cross_account_ends_at_nothing(self, then: float, fund: str) -> None:
        world = self.world({BTC: 60_000}, {BTC: 50_000}, then={BTC: then}, deposit="4000")
        buy(world, BTC, "1.000")
        world.at_minute(12)
        assert [a for _, a in incomes(world, "INSURANCE_CLEAR")] == [D(fund)]
        assert world.account.wallet_balance() == 0
        assert world.venue.ledger().problems() == []

    def test_of_the_worst_cross_position_leaves_the_others_alone(self) -> None:
        """ETHUSDT at 3,000 was bought at 3,000.01 for 1.500005; its own fee is not taken."""
        world = self.world({BTC: 60_000, ETH: 3_000}, {BTC: 50_000}, deposit="4000")
        buy(world, BTC, "1.000")
        buy(world, ETH, "1.000")
        world.at_minute(12)
        assert (world.position(BTC), world.position(ETH)) == (0, 1)
        assert [a for _, a in incomes(world, "INSURANCE_CLEAR")] == [D("-749.99875")]
        spent = D("30.00005") + D("1.500005") + D("0.2") + D("749.99875")
        assert world.account.cross_wallet == 4_000 - spent
