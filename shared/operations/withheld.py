"""Keeping secrets out of what leaves the application for people: answers, bundles, pages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from shared.alerts.destinations import CHANNELS
from shared.errors import BorsaError
from shared.security.secrets import SECRETS, Secrets

#: Stands where something was taken out.
WITHHELD = "(withheld)"
#: Settings that are addresses, or several separated by commas: their paths and queries may hold a
#: signature.
ADDRESSES = frozenset(
    {
        "ALERT_LOGIC_APP_URL",
        "DOCUMENT_ENDPOINT",
        "LANGUAGE_ENDPOINT",
        "LLM_BASE_URL",
        "BINANCE_BASE_URL",
        "CosmosDbConnection__accountEndpoint",
        "KEY_VAULT_URI",
        "SENTIMENT_FEEDS",
    }
)
#: Shorter values would take harmless words along.
_SHORTEST = 12
#: Names of the environment whose values are secrets, or have one in them.
_NAMES = re.compile(
    r"key|secret|token|password|passphrase|signature|sas|code|connection|totp|credential|storage",
    re.IGNORECASE,
)
#: Settings with such a name that say where something is, and are no secret.
_HARMLESS = re.compile(r"_?(uri|endpoint|credential|clientid|namespace|type|name)$", re.IGNORECASE)
#: What gives away a secret whatever it is called: parts of connection strings, signatures, bearer
#: tokens, private keys, and function keys in addresses.
_MARKS = re.compile(
    r"(?i)\b(AccountKey|SharedAccessKey|SharedAccessSignature|InstrumentationKey|signature|sig|code"
    r"|x-functions-key|apikey|api_key|secret|password|token)\s*=\s*[^\s&;,\"']+"
    r"|\bBearer\s+[\w.~+/=-]+"
    r"|-----BEGIN [^-]*-----[\s\S]*?(-----END [^-]*-----|$)"
)
#: Keys within a connection string.
_PARTS = re.compile(r"(?i)\w*key=([^;]+)")


class Withholding:
    """Takes secrets out of texts.

    Parameters
    ----------
    environment : mapping
        Where settings are read from; values of what is named like a secret are taken out.
    secrets : Secrets
        Where the application's own secrets are read from.
    also : sequence of str
        Names of secrets that this application has besides.
    """

    def __init__(
        self, environment: Mapping[str, str], secrets: Secrets, also: Sequence[str] = ()
    ) -> None:
        #: Secrets that could not be read, and so are not searched for.
        self.unread: list[str] = []
        known = {
            value
            for name, value in environment.items()
            if _NAMES.search(name) and not _HARMLESS.search(name)
        }
        for name in (*SECRETS, *CHANNELS.values(), "entra-client-secret", *also):
            try:
                known.add(secrets.get(name))
            except BorsaError:
                continue  # absent: it cannot be in anything
            except Exception:  # noqa: BLE001 - the vault is away; what is asked for comes all the same
                self.unread.append(name)
        # A stored key names its environment in front; a connection string has its key inside.
        known |= {value.partition(":")[2] for value in known if ":" in value}
        known |= {part for value in known if "//" not in value for part in value.split(":")}
        known |= {found for value in known for found in _PARTS.findall(value)}
        long = sorted({v for v in known if len(v) >= _SHORTEST}, key=len, reverse=True)
        self._values = tuple(long)

    def text(self, text: str) -> str:
        """The text without secrets."""
        for value in self._values:
            if value in text:
                text = text.replace(value, WITHHELD)
        return _MARKS.sub(WITHHELD, text)

    def tree(self, value: Any) -> Any:
        """The same JSON value with every text in it, keys included, without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.tree(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.tree(v) for v in value]
        return value

    def setting(self, name: str, value: str) -> str:
        """The value of a setting: of an address the host only."""
        if name in ADDRESSES and value:
            return ",".join(_host(one.strip()) for one in value.split(","))
        return self.text(value)


def _host(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}" if parts.hostname else WITHHELD
