"""Where each channel leads, and whether anybody would be told at once. Nothing is sent here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shared.errors import ConfigurationError
from shared.security.secrets import Secrets

if TYPE_CHECKING:
    from shared.settings import Settings

#: Channel -> the secret that says where it leads.
CHANNELS = {"discord": "discord-webhook-url", "push": "push-url", "sms": "twilio-sms"}
#: The channel that is no secret: mail and Telegram, behind ``ALERT_LOGIC_APP_URL``.
LOGIC_APP = "logic-app"


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told: ``at_once`` names channels that get every warning and critical alert as soon as
    it is raised; ``notes`` says in words what is set up besides, and why it does not count."""

    at_once: tuple[str, ...]
    notes: tuple[str, ...] = ()


def reach(settings: Settings, secrets: Secrets) -> Reach:
    """Which channels would reach a person, as far as their settings and secrets tell.

    Channels of ``ALERT_ESCALATION`` are not counted: they get critical alerts only, and those late.
    """
    found = [LOGIC_APP] if settings.alert_url else []
    notes = []
    for channel in dict.fromkeys((*settings.alert_channels, *settings.alert_escalation)):
        try:
            usable(channel, secrets)
        except ConfigurationError:
            notes.append(f"{channel} cannot be used: {CHANNELS[channel]} is missing or wrong")
        except Exception as error:  # noqa: BLE001 - a vault that is away
            notes.append(f"{channel}: {CHANNELS[channel]} cannot be read: {type(error).__name__}")
        else:
            if channel in settings.alert_channels:
                found.append(channel)
            else:
                notes.append(f"{channel} only for critical alerts that nobody acknowledges")
    return Reach(at_once=tuple(found), notes=tuple(notes))


def usable(channel: str, secrets: Secrets) -> None:
    """Whether a channel's secret is there and says where to send.

    Raises
    ------
    ConfigurationError
        It does not.
    """
    secret = secrets.get(CHANNELS[channel])
    if channel == "sms":
        twilio(secret)
    else:
        address(channel, secret)


def address(channel: str, secret: str) -> str:
    """The address of a webhook or a topic.

    Raises
    ------
    ConfigurationError
        It is none; the text does not have it.
    """
    if not secret.startswith(("https://", "http://")):
        raise ConfigurationError([f"secret {CHANNELS[channel]} is no http(s) address"])
    return secret


def twilio(secret: str) -> list[str]:
    """Account, token, sender and receiver of text messages.

    Raises
    ------
    ConfigurationError
        Some of it is missing.
    """
    parts = secret.split(":")
    if len(parts) != 4 or not all(parts) or not parts[0].isalnum():
        raise ConfigurationError(
            [f"secret {CHANNELS['sms']} must be ACCOUNT_SID:AUTH_TOKEN:FROM:TO"]
        )
    return parts
