"""Log lines as JSON on standard output, without secrets."""

from __future__ import annotations

import logging
import re
import sys

import msgspec

from shared.clock import iso

_encode = msgspec.json.Encoder().encode

#: What may stand in front of a secret, should a library put one into a message.
_SECRET = re.compile(
    r"((?:listenKey|signature|SharedAccessKey|SharedAccessSignature|sig|X-MBX-APIKEY|Authorization)"
    r"[\"']?\s*[=:]\s*[\"']?)(?:Bearer\s+)?[^\s\"'&;,)]+",
    re.IGNORECASE,
)


class JsonLines(logging.Formatter):
    """One record, one JSON object: time, level, logger, message; error and figures if given."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": iso(int(record.created * 1000)),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = redacted(self.formatException(record.exc_info))
        figures = getattr(record, "figures", None)
        return _encode(line | ({"figures": figures} if figures else {})).decode()


def redacted(text: str) -> str:
    """The text with everything that looks like a secret taken out."""
    return _SECRET.sub(r"\1…", text)


def configure() -> None:
    """Send everything to standard output; libraries only when something is wrong."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("streamer").setLevel(logging.INFO)
    # Event Hubs' AMQP client tells of every reconnect at this level, with addresses.
    logging.getLogger("azure").setLevel(logging.ERROR)
