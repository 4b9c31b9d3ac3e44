"""Figures derived from an account's state at the current mark prices."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.simulation import margin, matching
from shared.simulation.account import AccountState
from shared.simulation.core import VenueCore
from shared.simulation.orders import CENT, ZERO, Position


class PositionFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One position at mark; USDT throughout, ``notional`` signed."""

    mark_price: Decimal
    notional: Decimal
    unrealized: Decimal
    initial_margin: Decimal
    maintenance: Decimal
    leverage: int
    isolated: bool


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """An account's USDT balances."""

    wallet: Decimal
    cross_wallet: Decimal
    unrealized: Decimal
    cross_unrealized: Decimal
    position_margin: Decimal
    order_margin: Decimal
    maintenance: Decimal
    available: Decimal

    @property
    def margin_balance(self) -> Decimal:
        return self.wallet + self.unrealized


def figures(core: VenueCore, account: AccountState, position: Position) -> PositionFigures:
    """Margin figures of a position at the current mark price."""
    mark = core.mark_price(position.symbol)
    settings = account.setting(position.symbol)
    notional = position.quantity * mark
    size = abs(notional)
    return PositionFigures(
        mark_price=mark,
        notional=notional,
        unrealized=position.unrealized(mark),
        initial_margin=margin.initial(size, settings.leverage),
        maintenance=margin.maintenance(core.contract(position.symbol), size) if size else ZERO,
        leverage=settings.leverage,
        isolated=settings.isolated,
    )


def order_notionals(account: AccountState, symbol: str, side: str) -> tuple[Decimal, Decimal]:
    """Notional of a position side's working bids and asks that could add exposure."""
    bids = asks = ZERO
    for order in account.working_orders(symbol):
        if order.position_side != side or matching.must_reduce(account, order):
            continue
        notional = order.remaining * order.price
        if order.side == "BUY":
            bids += notional
        else:
            asks += notional
    return bids, asks


def order_margin(core: VenueCore, account: AccountState, symbol: str, side: str) -> Decimal:
    """Initial margin that the working orders of a symbol's position side reserve."""
    if symbol not in account.open_orders:
        return ZERO
    bids, asks = order_notionals(account, symbol, side)
    held = account.position(symbol, side).quantity * core.mark_price(symbol)
    extra = margin.open_order_notional(held, bids, asks)
    return extra / account.setting(symbol).leverage


def balances(core: VenueCore, account: AccountState) -> Balances:
    """All balances at current mark prices."""
    unrealized = cross_unrealized = position_margin = cross_margin = kept = ZERO
    for position in account.positions.values():
        f = figures(core, account, position)
        unrealized += f.unrealized
        kept += f.maintenance
        position_margin += f.initial_margin
        if not f.isolated:
            cross_unrealized += f.unrealized
            cross_margin += f.initial_margin
    orders = sum(
        (
            order_margin(core, account, symbol, side)
            for symbol in account.open_orders
            for side in account.sides
        ),
        ZERO,
    )
    # Profit that is not realised margins nothing new under isolated margin; under cross it does.
    available = account.cross_wallet + cross_unrealized - cross_margin - orders
    return Balances(
        wallet=account.wallet_balance(),
        cross_wallet=account.cross_wallet,
        unrealized=unrealized,
        cross_unrealized=cross_unrealized,
        position_margin=position_margin,
        order_margin=orders,
        maintenance=kept,
        available=max(ZERO, available).quantize(CENT),
    )


def liquidation_price(core: VenueCore, account: AccountState, position: Position) -> Decimal:
    """Liquidation price of a position, zero where there is none."""
    contract = core.contract(position.symbol)
    if account.setting(position.symbol).isolated:
        return margin.liquidation_price(
            contract,
            quantity=position.quantity,
            entry_price=position.entry_price,
            wallet=position.isolated_wallet,
        )
    kept = unrealized = ZERO
    for other in account.positions.values():
        if other.symbol == position.symbol or account.setting(other.symbol).isolated:
            continue
        f = figures(core, account, other)
        kept += f.maintenance
        unrealized += f.unrealized
    legs = account.positions_of(position.symbol)
    if len(legs) == 2:
        long, short = sorted(legs, key=lambda p: -p.quantity)
        return margin.hedge_liquidation_price(
            contract,
            long=(long.quantity, long.entry_price),
            short=(-short.quantity, short.entry_price),
            wallet=account.cross_wallet,
            other_maintenance=kept,
            other_unrealized=unrealized,
        )
    return margin.liquidation_price(
        contract,
        quantity=position.quantity,
        entry_price=position.entry_price,
        wallet=account.cross_wallet,
        other_maintenance=kept,
        other_unrealized=unrealized,
    )
