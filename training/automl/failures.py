"""What can go wrong between here and Azure Machine Learning."""

from __future__ import annotations

from shared.errors import BorsaError


class AzureRefused(BorsaError):
    """Azure answered, and the answer is no; asking again changes nothing.

    Parameters
    ----------
    message : str
    status : int
        HTTP status.
    code : str
        Azure's own, for example ``AuthorizationFailed``; empty where there was none.
    """

    def __init__(self, message: str, *, status: int, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class AzureUnavailable(BorsaError):
    """No usable answer after several tries; the same command may be given again."""


class JobEnded(BorsaError):
    """The job is over and has made no model."""


class NotConvertible(BorsaError):
    """What AutoML has made cannot become a model of the application."""
