"""What Binance answers about the account, as our records: balances, positions, leverage, income."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, cast

from shared.execution.binance.answers.decoding import Raw, Unreadable, decode, decoder, listed
from shared.execution.exchange import (
    Account,
    Income,
    MaintenanceBracket,
    SymbolConfig,
    VenuePosition,
)


class _Asset(Raw):
    asset: str
    wallet_balance: Decimal
    unrealized_profit: Decimal
    margin_balance: Decimal
    available_balance: Decimal


class _Holding(Raw):
    position_amt: Decimal


class _Account(Raw):
    assets: list[_Asset]
    # Required: an account answer that lists no positions must not pass for a flat account.
    positions: list[_Holding]


class _AccountPosition(Raw):
    symbol: str
    position_amt: Decimal
    unrealized_profit: Decimal
    notional: Decimal
    isolated_wallet: Decimal = Decimal(0)
    update_time: int = 0
    position_side: Literal["BOTH", "LONG", "SHORT"] = "BOTH"


class _AccountPositions(Raw):
    positions: list[_AccountPosition]


class _Position(Raw):
    symbol: str
    position_amt: Decimal
    entry_price: Decimal
    mark_price: Decimal
    un_realized_profit: Decimal
    liquidation_price: Decimal
    isolated_wallet: Decimal
    update_time: int
    position_side: Literal["BOTH", "LONG", "SHORT"] = "BOTH"


class _AccountConfig(Raw):
    dual_side_position: bool


class _SymbolConfig(Raw):
    symbol: str
    margin_type: str
    leverage: int


class _Bracket(Raw):
    # Plain numbers, written as short as they are: Decimal reads them exactly.
    notional_floor: Decimal
    notional_cap: Decimal
    maint_margin_ratio: Decimal
    cum: Decimal


class _Brackets(Raw):
    symbol: str
    brackets: list[_Bracket]


class _Leverage(Raw):
    leverage: int


class _Income(Raw):
    income_type: str
    income: Decimal
    asset: str
    time: int
    tran_id: int
    symbol: str = ""
    trade_id: str = ""


_ACCOUNT = decoder(_Account)
_POSITIONS = decoder(list[_Position])
_ACCOUNT_POSITIONS = decoder(_AccountPositions)
_ACCOUNT_CONFIG = decoder(_AccountConfig)
_SYMBOL_CONFIGS = decoder(list[_SymbolConfig])
_BRACKETS = decoder(list[_Brackets])
_LEVERAGE = decoder(_Leverage)
_INCOMES = decoder(list[_Income])


def account(body: bytes) -> tuple[Account, bool]:
    """The USDT balances, and whether there is any position.

    An account that never held USDT has no row, and no money.
    """
    decoded = decode(_ACCOUNT, body)
    holds = any(p.position_amt for p in decoded.positions)
    for a in decoded.assets:
        if a.asset == "USDT":
            return Account(
                wallet_balance=a.wallet_balance,
                unrealized_pnl=a.unrealized_profit,
                equity=a.margin_balance,
                available_balance=a.available_balance,
            ), holds
    zero = Decimal(0)
    nothing = Account(wallet_balance=zero, unrealized_pnl=zero, equity=zero, available_balance=zero)
    return nothing, holds


def positions(body: bytes) -> list[VenuePosition]:
    """Positions other than zero: a resting order alone makes a row of zeros."""
    return [
        VenuePosition(
            symbol=p.symbol,
            quantity=p.position_amt,
            entry_price=p.entry_price,
            mark_price=p.mark_price,
            unrealized_pnl=p.un_realized_profit,
            liquidation_price=p.liquidation_price,
            isolated_wallet=p.isolated_wallet,
            update_time=p.update_time,
            position_side=p.position_side,
        )
        for p in listed(_POSITIONS, body)
        if p.position_amt
    ]


def account_positions(body: bytes) -> list[VenuePosition]:
    """Positions other than zero in an account answer, which tells no prices."""
    return [
        VenuePosition(
            symbol=p.symbol,
            quantity=p.position_amt,
            entry_price=(p.notional - p.unrealized_profit) / p.position_amt,
            mark_price=p.notional / p.position_amt,
            unrealized_pnl=p.unrealized_profit,
            liquidation_price=Decimal(0),
            isolated_wallet=p.isolated_wallet,
            update_time=p.update_time,
            position_side=p.position_side,
        )
        for p in decode(_ACCOUNT_POSITIONS, body).positions
        if p.position_amt
    ]


def hedge_mode(body: bytes) -> bool:
    """Whether the account is in hedge (dual side) mode."""
    return cast("bool", decode(_ACCOUNT_CONFIG, body).dual_side_position)


def symbol_config(body: bytes, symbol: str) -> SymbolConfig:
    for c in listed(_SYMBOL_CONFIGS, body):
        if c.symbol == symbol:
            return SymbolConfig(
                symbol=symbol,
                leverage=c.leverage,
                margin_type="ISOLATED" if c.margin_type.upper() == "ISOLATED" else "CROSSED",
            )
    raise Unreadable(f"no configuration of {symbol}")


def maintenance_brackets(body: bytes, symbol: str) -> tuple[MaintenanceBracket, ...]:
    for table in listed(_BRACKETS, body):
        if table.symbol == symbol and table.brackets:
            found = [
                MaintenanceBracket(
                    floor=b.notional_floor,
                    cap=b.notional_cap,
                    rate=b.maint_margin_ratio,
                    cum=b.cum,
                )
                for b in table.brackets
            ]
            return tuple(sorted(found, key=lambda b: b.floor))
    raise Unreadable(f"no maintenance table of {symbol}")


def leverage(body: bytes) -> int:
    return cast("int", decode(_LEVERAGE, body).leverage)


def incomes(body: bytes) -> list[Income]:
    return [
        Income(
            symbol=i.symbol,
            income_type=i.income_type,
            income=i.income,
            asset=i.asset,
            time=i.time,
            transaction_id=i.tran_id,
            trade_id=i.trade_id,
        )
        for i in decode(_INCOMES, body)
    ]
