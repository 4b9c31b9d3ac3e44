"""The embedded function host: runs a Python v2 function app the way Azure Functions does."""

from local.host.host import FunctionHost
from local.host.keys import HostKeys
from local.host.worker import Invocation

__all__ = ["FunctionHost", "HostKeys", "Invocation"]
