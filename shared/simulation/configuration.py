"""What an account may set: leverage, margin type, position margin, modes."""

from __future__ import annotations

from decimal import Decimal

from shared.simulation import margin
from shared.simulation.account import AccountState
from shared.simulation.balances import balances, figures, order_notionals
from shared.simulation.core import VenueCore
from shared.simulation.orders import CENT, ZERO, MarginMove, SymbolSettings
from shared.simulation.refusal import VenueRefusal


def set_leverage(core: VenueCore, account: AccountState, symbol: str, leverage: int) -> Decimal:
    """Set a symbol's leverage; returns the largest notional it allows.

    Raises
    ------
    VenueRefusal
        -4028 out of range, -4161 lower with an isolated position, -2027 the position with its
        orders is too large for it, -2028 the margin does not suffice.
    """
    contract = core.contract(symbol)
    if not 1 <= leverage <= contract.max_leverage:
        raise VenueRefusal(-4028, f"Leverage {leverage} is not valid")
    settings = account.setting(symbol)
    largest = contract.largest_notional(leverage)
    held = account.positions_of(symbol)
    if held and settings.isolated and leverage < settings.leverage:
        raise VenueRefusal(-4161)
    mark = core.mark_price(symbol)
    margined = ZERO
    for side in account.sides:
        notional = account.position(symbol, side).quantity * mark
        bids, asks = order_notionals(account, symbol, side)
        size = abs(notional) + margin.open_order_notional(notional, bids, asks)
        if size > largest:
            raise VenueRefusal(-2027)
        margined += size
    if leverage < settings.leverage:
        more = margin.initial(margined, leverage) - margin.initial(margined, settings.leverage)
        if more > balances(core, account).available:
            raise VenueRefusal(-2028)
    account.change_setting(symbol, SymbolSettings(leverage=leverage, isolated=settings.isolated))
    core.changed()
    core.emit_leverage(account, symbol, leverage)
    return largest


def set_margin_type(core: VenueCore, account: AccountState, symbol: str, *, isolated: bool) -> None:
    """Isolated or cross margin for a symbol without position and orders."""
    core.contract(symbol)
    settings = account.setting(symbol)
    if settings.isolated == isolated:
        raise VenueRefusal(-4046)
    if isolated and account.multi_assets:
        raise VenueRefusal(-4168)
    # Whether conditional orders count is not documented; here they do.
    if symbol in account.open_orders or symbol in account.open_algos:
        raise VenueRefusal(-4047)
    if account.positions_of(symbol):
        raise VenueRefusal(-4048)
    account.change_setting(symbol, SymbolSettings(leverage=settings.leverage, isolated=isolated))
    core.changed()
    core.emit_account(
        account,
        "MARGIN_TYPE_CHANGE",
        tuple(account.position(symbol, side) for side in account.sides),
        isolated=isolated,
    )


def move_position_margin(
    core: VenueCore, account: AccountState, symbol: str, side: str, amount: Decimal
) -> None:
    """Add to (positive) or take from (negative) an isolated position's margin, in USDT."""
    core.contract(symbol)
    if not amount:
        raise VenueRefusal(-4055)
    position = account.positions.get((symbol, side))
    if position is None:
        raise VenueRefusal(-4054)
    settings = account.setting(symbol)
    if not settings.isolated:
        raise VenueRefusal(-4049)
    if amount > balances(core, account).available:
        raise VenueRefusal(-4050)
    if amount < 0:
        f = figures(core, account, position)
        spare = position.isolated_wallet + min(f.unrealized, ZERO) - f.initial_margin
        if -amount > spare:
            raise VenueRefusal(-4051)
    moved = amount.quantize(CENT)
    position.isolated_wallet += moved
    account.cross_wallet -= moved
    account.store_position(position)
    account.add_margin_move(
        MarginMove(
            move_id=core.next_id("margin"), symbol=symbol, side=side, amount=moved, time=core.now
        )
    )
    core.changed()
    core.emit_account(account, "MARGIN_TRANSFER", (position,), isolated=True)


def set_hedge(core: VenueCore, account: AccountState, hedge: bool) -> None:
    """Hedge mode (long and short at once) or one-way mode."""
    if account.hedge == hedge:
        raise VenueRefusal(-4059)
    if account.open_orders or account.open_algos:
        raise VenueRefusal(-4067)
    if account.positions:
        raise VenueRefusal(-4068)
    account.hedge = hedge
    core.changed()


def set_multi_assets(core: VenueCore, account: AccountState, multi_assets: bool) -> None:
    """Multi-assets mode; this venue has one asset, so only the rules around it matter."""
    if account.multi_assets == multi_assets:
        raise VenueRefusal(-4171)
    if multi_assets and any(s.isolated for s in account.settings.values()):
        raise VenueRefusal(-4167)
    if account.open_orders or account.open_algos:
        raise VenueRefusal(-4170)
    account.multi_assets = multi_assets
    core.changed()
    core.emit_multi_assets(account)


def set_fee_burn(core: VenueCore, account: AccountState, fee_burn: bool) -> None:
    """Pay fees in BNB where there is some. This venue's accounts hold none, so fees stay whole."""
    account.fee_burn = fee_burn
    core.changed()
