"""The dashboard: its files, which hold no data and need no key, and its live updates.

The files are a fixed list. What SignalR sends has figures in it, so the way in needs a key.
"""

import gzip
import hashlib
import os
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import azure.functions as func

from functions.durable import df
from functions.outputs import SIGNALR_CONNECTION, SIGNALR_HUB

bp = df.Blueprint()

FOLDER = Path(__file__).resolve().parent.parent / "web"
PAGE = "index.html"
_SCRIPT, _STYLE = "text/javascript; charset=utf-8", "text/css; charset=utf-8"

#: Every file that is served, with its type. What is not named here does not exist.
FILES = {
    PAGE: "text/html; charset=utf-8",
    "style.css": _STYLE,
    "icon.svg": "image/svg+xml",
    "app.js": _SCRIPT,
    "api.js": _SCRIPT,
    "actions.js": _SCRIPT,
    "assistant.js": _SCRIPT,
    "chart.js": _SCRIPT,
    "dom.js": _SCRIPT,
    "format.js": _SCRIPT,
    "live.js": _SCRIPT,
    "panels.js": _SCRIPT,
    "risk.js": _SCRIPT,
}

#: Only what is named comes from here; it talks to here and to SignalR. No inline script, no HTML
#: made of text (trusted types), no frame around it: a click on "close everything" is always meant.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'{live}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    # Kept, but asked for every time: after a deployment nobody looks at figures with old code.
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def policy() -> str:
    """The policy of this deployment: with the address of its SignalR service, if it has one."""
    service = urlsplit(os.environ.get(f"{SIGNALR_CONNECTION}__serviceUri", ""))
    live = f" https://{service.netloc} wss://{service.netloc}" if service.netloc else ""
    return POLICY.format(live=live)


@lru_cache(maxsize=len(FILES))
def _read(name: str) -> tuple[bytes, bytes, str]:
    """A file, the same compressed, and its tag."""
    body = (FOLDER / name).read_bytes()
    # Weak: the two forms have the same meaning, not the same bytes.
    return body, gzip.compress(body, mtime=0), f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'


@bp.route(route="ui/{file?}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def ui(req: func.HttpRequest) -> func.HttpResponse:
    """The dashboard, or one of its files."""
    name = req.route_params.get("file") or PAGE
    if name not in FILES:
        return func.HttpResponse(status_code=404)
    body, compressed, tag = _read(name)
    headers = {**HEADERS, "Content-Security-Policy": policy(), "ETag": tag}
    asked = {t.strip() for t in req.headers.get("If-None-Match", "").split(",")}
    if tag in asked or tag.removeprefix("W/") in asked:
        return func.HttpResponse(status_code=304, headers=headers)
    accepted = {
        e.partition(";")[0].strip()
        for e in req.headers.get("Accept-Encoding", "").lower().split(",")
        if e.replace(" ", "").partition(";")[2] != "q=0"
    }
    if "gzip" in accepted:
        body, headers["Content-Encoding"] = compressed, "gzip"
    return func.HttpResponse(body, headers={**headers, "Content-Type": FILES[name]})


@bp.route(route="negotiate", methods=["POST"])
@bp.generic_input_binding(
    arg_name="connection",
    type="signalRConnectionInfo",
    hub_name=SIGNALR_HUB,
    connection_string_setting=SIGNALR_CONNECTION,
)
def negotiate(req: func.HttpRequest, connection: str) -> func.HttpResponse:
    """Address and token for one connection to the dashboard's hub."""
    return func.HttpResponse(
        connection, mimetype="application/json", headers={"Cache-Control": "no-store"}
    )
