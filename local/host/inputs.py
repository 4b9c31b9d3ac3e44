"""Input bindings: the durable client, and invitations to SignalR."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from local.contracts import TaskHub
from local.host import durable_client
from local.host.app import FunctionSpec
from local.host.config import resolve
from local.host.keys import DURABLE_SYSTEM_KEY, HostKeys


def nobody(hub: str) -> str:
    """An invitation to no service."""
    return '{"url": "", "accessToken": ""}'


class InputBindings:
    """Makes the arguments that functions are given besides their trigger.

    Parameters
    ----------
    hub : TaskHub or None
    keys : HostKeys
    settings : mapping
        Application settings, which names of SignalR hubs may refer to.
    base_url : callable
        Tells the origin put into management URLs, which is known once a server listens.
    invite : callable
        Makes the ``signalRConnectionInfo`` of a hub, JSON text.
    """

    def __init__(
        self,
        hub: TaskHub | None,
        keys: HostKeys,
        settings: Mapping[str, str],
        base_url: Callable[[], str],
        invite: Callable[[str], str],
    ) -> None:
        self._hub = hub
        self._keys = keys
        self._settings = settings
        self._base_url = base_url
        self._invite = invite
        #: Where the SDK's client reaches the task hub over HTTP; ``None``: within this process.
        self.rpc_base_url: str | None = None
        #: Where it does within this process, once it was told.
        self.in_process_url: str | None = None
        self._client_json: str | None = None

    def of(self, spec: FunctionSpec) -> dict[str, str]:
        """Arguments for input bindings: the JSON text of a durable client, of an invitation."""
        found = {name: self._client_binding() for name in spec.clients}
        for name, hub in spec.invitations:
            found[name] = self._invite(resolve(hub, self._settings))
        return found

    def _client_binding(self) -> str:
        if self._client_json is not None:
            return self._client_json
        assert self._hub is not None
        if self.rpc_base_url is None:
            self.in_process_url = durable_client.register(self._hub.rpc)
        binding = json.loads(self._hub.client_binding(self._base_url()))
        code = f"code={self._keys.system[DURABLE_SYSTEM_KEY]}"
        for group in ("creationUrls", "managementUrls"):
            for name, url in binding.get(group, {}).items():
                if name != "id" and "code=" not in url:
                    binding[group][name] = f"{url}{'&' if '?' in url else '?'}{code}"
        binding["requiredQueryStringParameters"] = code
        binding["rpcBaseUrl"] = self.rpc_base_url or self.in_process_url
        self._client_json = json.dumps(binding)
        return self._client_json

    def close(self) -> None:
        """End the client's way to the task hub within this process."""
        if self.in_process_url is not None:
            durable_client.unregister(self.in_process_url)
