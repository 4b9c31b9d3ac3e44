"""Channels beside the Logic App: a Discord webhook, a push topic (ntfy), text messages (Twilio).

Where a message goes is a secret of its own: whoever knows the address of a webhook may write there.
"""

from __future__ import annotations

from shared.alerts.alert import Alert
from shared.alerts.destinations import CHANNELS, address, twilio
from shared.alerts.posting import post
from shared.security.secrets import Secrets

TWILIO = "https://api.twilio.com"

#: Longest message of a channel; Discord takes 2,000 characters, ten text messages are 1,600.
_LONGEST = {"discord": 1_900, "push": 3_500, "sms": 480}
#: Priority of a push: 5 sounds until somebody looks.
_PRIORITY = {"critical": "5", "warning": "4", "info": "2"}


def send(channel: str, alert: Alert, secrets: Secrets) -> None:
    """Send an alert through one channel.

    Raises
    ------
    ConfigurationError
        The channel's secret is missing, or does not say where to send.
    StoreUnavailable
        The channel did not take it; it is sent again.
    """
    secret = secrets.get(CHANNELS[channel])
    text = f"[{alert.severity.upper()}] {alert.title}\n{alert.text}\n{alert.time}, alert {alert.id}"
    text = text[: _LONGEST[channel]]
    if channel == "discord":
        # Nobody is mentioned, whatever the text says.
        body = {"content": text, "allowed_mentions": {"parse": []}}
        post(f"{channel}:", address(channel, secret), json=body)
    elif channel == "push":
        headers = {
            # A header is one line of ASCII; the text has the title as it is.
            "Title": " ".join(alert.title.split()).encode("ascii", "replace").decode()[:200],
            "Priority": _PRIORITY[alert.severity],
        }
        post(f"{channel}:", address(channel, secret), data=text.encode(), headers=headers)
    else:
        account, token, sender, receiver = twilio(secret)
        post(
            f"{channel}:",
            f"{TWILIO}/2010-04-01/Accounts/{account}/Messages.json",
            data={"From": sender, "To": receiver, "Body": text},
            auth=(account, token),
        )
