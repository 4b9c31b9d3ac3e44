"""The table of endpoints: each route module adds its own with :func:`endpoint`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from local.exchange.parameters import Parameters
from shared.simulation.account import AccountState
from shared.simulation.venue import Venue

if TYPE_CHECKING:
    from local.exchange.api import BinanceApi


class Security(Enum):
    """What a caller has to prove."""

    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


class Call:
    """One authenticated request inside the exchange."""

    __slots__ = ("account", "api", "key", "parameters", "venue")

    def __init__(
        self,
        api: BinanceApi,
        venue: Venue,
        parameters: Parameters,
        account: AccountState | None,
        key: str,
    ) -> None:
        self.api = api
        self.venue = venue
        self.parameters = parameters
        self.account = account
        self.key = key

    @property
    def owner(self) -> AccountState:
        """The caller's account; only behind endpoints that identify one."""
        assert self.account is not None
        return self.account


Weight = int | Callable[[Parameters], int]


@dataclass(frozen=True)
class Endpoint:
    """One method and path.

    ``orders`` is what it costs on the order counters (10 s, 1 minute).
    """

    run: Callable[[Call], Any]
    weight: Weight
    security: Security
    orders: tuple[int, int] | None = None
    #: Endpoints with a pool of their own send no used-weight header.
    weighed: bool = True


TABLE: dict[tuple[str, str], Endpoint] = {}


def endpoint(
    method: str,
    path: str,
    *,
    weight: Weight = 1,
    security: Security = Security.SIGNED,
    orders: tuple[int, int] | None = None,
    weighed: bool = True,
) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Register the function that answers a method and path."""

    def register(run: Callable[[Call], Any]) -> Callable[[Call], Any]:
        TABLE[method, path] = Endpoint(run, weight, security, orders, weighed)
        return run

    return register


def per_symbol(one: int, everything: int) -> Callable[[Parameters], int]:
    """Weight that depends on whether a symbol was named."""
    return lambda parameters: one if parameters.optional("symbol") else everything
