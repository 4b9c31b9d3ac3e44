"""How the venue says no: Binance's code and text."""

from __future__ import annotations

from shared.errors import BorsaError


class VenueRefusal(BorsaError):
    """The venue refuses a request; nothing was changed.

    Parameters
    ----------
    code : int
        Binance's error code (negative).
    message : str
        Text of the answer's ``msg``.
    status : int
        HTTP status of the answer.
    """

    def __init__(self, code: int, message: str | None = None, *, status: int = 400) -> None:
        self.code = code
        self.message = message if message is not None else TEXTS[code]
        self.status = status
        super().__init__(f"{code} {self.message}")


#: Texts of the answers, by code, where they carry no figures.
TEXTS: dict[int, str] = {
    -1102: "Mandatory parameter was not sent, was empty/null, or malformed.",
    -1111: "Precision is over the maximum defined for this asset.",
    -1121: "Invalid symbol.",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2019: "Margin is insufficient.",
    -2021: "Order would immediately trigger.",
    -2022: "ReduceOnly Order is rejected.",
    -2025: "Reach max open order limit.",
    -2027: "Exceeded the maximum allowable position at current leverage.",
    -2028: "Leverage is smaller than permitted: insufficient margin balance",
    -4001: "Price less than 0.",
    -4002: "Price greater than max price.",
    -4003: "Quantity less than or equal to zero.",
    -4004: "Quantity less than min quantity.",
    -4005: "Quantity greater than max quantity.",
    -4006: "Stop price less than zero.",
    -4007: "Stop price greater than max price.",
    -4013: "Price less than min price.",
    -4014: "Price not increased by tick size.",
    -4015: "Client order id length should not be more than 36 chars",
    -4023: "Qty not increased by step size.",
    -4045: "Reach max stop order limit.",
    -4046: "No need to change margin type.",
    -4047: "Margin type cannot be changed if there exists open orders.",
    -4048: "Margin type cannot be changed if there exists position.",
    -4049: "Add margin only support for isolated position.",
    -4050: "Cross balance insufficient.",
    -4051: "Isolated balance insufficient.",
    -4054: "Cannot add position margin: position is 0.",
    -4055: "Amount must be positive.",
    -4059: "No need to change position side.",
    -4060: "Invalid position side.",
    -4061: "Order's position side does not match user's setting.",
    -4067: "Position side cannot be changed if there exists open orders.",
    -4068: "Position side cannot be changed if there exists position.",
    -4116: "ClientOrderId is duplicated.",
    -4118: "ReduceOnly Order Failed. Please check your existing position and open orders.",
    -4120: (
        "Order type not supported for this endpoint. "
        "Please use the Algo Order API endpoints instead."
    ),
    -4130: (
        "An open stop or take profit order with GTE and closePosition in the direction is existing."
    ),
    -4131: (
        "The counterparty's best price does not meet the PERCENT_PRICE filter limit, "
        "please try again later."
    ),
    -4135: "Invalid activation price.",
    -4136: "Target strategy invalid for orderType: TRAILING_STOP_MARKET, closePosition: true.",
    -4137: "Quantity must be zero with closePosition equals true.",
    -4138: "Reduce only must be true with closePosition equals true.",
    -4161: "Leverage reduction is not supported in Isolated Margin Mode with open positions.",
    -4167: "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures "
    "under isolated-margin mode.",
    -4168: "Unable to adjust to isolated-margin mode under the Multi-Assets mode.",
    -4170: "Unable to adjust Multi-Assets Mode with open orders in USDⓈ-M Futures.",
    -4171: "No need to change multi assets mode.",
    -4509: "Time in Force (TIF) GTE can only be used with open positions. "
    "Please ensure that positions are available.",
    -4400: (
        "Futures Trading Quantitative Rules violated, only reduceOnly order is allowed, "
        "please try again later."
    ),
    -5021: (
        "Due to the order could not be filled immediately, the FOK order has been rejected. "
        "The order will not be recorded in the order history."
    ),
    -5022: (
        "Due to the order could not be executed as maker, the Post Only order will be rejected. "
        "The order will not be recorded in the order history."
    ),
    -5025: "Only limit order is supported.",
    -5026: "Exceed maximum modify order limit.",
    -5027: "No need to modify the order.",
    -5039: "Invalid self trade prevention mode.",
    -5047: "The original order is not a reduce-only order.",
    -5040: (
        "The goodTillDate timestamp must be greater than the current time plus 600 seconds "
        "and smaller than 253402300799000 (UTC 9999-12-31 23:59:59)"
    ),
}
