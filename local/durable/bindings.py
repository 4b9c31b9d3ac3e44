"""Management URLs, and the binding data the Python durable client is given."""

from __future__ import annotations

from urllib.parse import quote

from local.durable.history import compact

WEBHOOK_PATH = "/runtime/webhooks/durabletask"
RPC_PATH = "/durabletask"

_ACTIONS = {
    "statusQueryGetUri": ("", ""),
    "sendEventPostUri": ("/raiseEvent/{eventName}", ""),
    "terminatePostUri": ("/terminate", "reason={text}&"),
    "rewindPostUri": ("/rewind", "reason={text}&"),
    "purgeHistoryDeleteUri": ("", ""),
    "restartPostUri": ("/restart", ""),
    "suspendPostUri": ("/suspend", "reason={text}&"),
    "resumePostUri": ("/resume", "reason={text}&"),
}


class Links:
    """Builds the URLs of one hub.

    Parameters
    ----------
    hub_name : str
    key : str
        The extension's system key; left out of URLs while empty.
    rpc_base_url : str, optional
        Address ending in ``/durabletask/``.
    """

    def __init__(self, hub_name: str, key: str = "", rpc_base_url: str | None = None) -> None:
        self.hub_name = hub_name
        self.key = key
        self.rpc_base_url = rpc_base_url

    @property
    def _code(self) -> str:
        return f"&code={self.key}" if self.key else ""

    def _query(self) -> str:
        return f"taskHub={self.hub_name}&connection=Storage{self._code}"

    def management(
        self, origin: str, instance_id: str, *, with_rewind: bool = False
    ) -> dict[str, str]:
        """URLs of one instance below ``origin`` (scheme and host); HTTP answers omit rewind."""
        base = f"{origin}{WEBHOOK_PATH}/instances/{quote(instance_id, safe='')}"
        urls = {"id": instance_id}
        for name, (path, query) in _ACTIONS.items():
            if name != "rewindPostUri" or with_rewind:
                urls[name] = f"{base}{path}?{query}{self._query()}"
        return urls

    def client_binding(self, base_url: str) -> str:
        """JSON text of the ``durableClient`` input binding, as the extension writes it."""
        origin = base_url.rstrip("/")
        new = f"{origin}{WEBHOOK_PATH}/orchestrators/{{functionName}}[/{{instanceId}}]"
        code = self._code.removeprefix("&")
        wait = "timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}"
        return compact(
            {
                "taskHubName": self.hub_name,
                "connectionName": None,
                "creationUrls": {
                    "createNewInstancePostUri": f"{new}?{code}",
                    "createAndWaitOnNewInstancePostUri": f"{new}?{wait}{self._code}",
                },
                "managementUrls": self.management(origin, "INSTANCEID", with_rewind=True),
                "baseUrl": f"{origin}{WEBHOOK_PATH}",
                "requiredQueryStringParameters": code,
                "rpcBaseUrl": self.rpc_base_url or f"{origin}{RPC_PATH}/",
                "httpBaseUrl": None,
                "maxGrpcMessageSizeInBytes": None,
                "grpcHttpClientTimeout": None,
            }
        )
