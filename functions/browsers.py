"""What a browser sends along, and what it is given to keep."""

import hmac

import azure.functions as func

from shared.access.door import SIGN_IN_SECONDS
from shared.access.sessions import STOP_GRACE_MS, csrf_of
from shared.errors import NotAllowed

SESSION, ATTEMPT = "borsa-session", "borsa-sign-in"
CSRF = "x-borsa-csrf"
#: What any page may send anywhere without asking first (Fetch, CORS-safelisted).
_FORMS = {"", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded"}


def kept(request: func.HttpRequest, name: str, public_url: str) -> str:
    """The value of one of our cookies; empty where there is none."""
    wanted = _called(name, public_url)
    for part in str(request.headers.get("Cookie", "")).replace(",", ";").split(";"):
        key, _, value = part.strip().partition("=")
        if key == wanted:
            return value
    return ""


def keep_session(response: func.HttpResponse, token: str, public_url: str, hours: int) -> None:
    """Give a browser its session; it is kept for as long as it may still stop."""
    seconds = hours * 3600 + STOP_GRACE_MS // 1000
    _set(response, SESSION, token, public_url, seconds)


def keep_attempt(response: func.HttpResponse, attempt: str, public_url: str) -> None:
    """Give a browser what it has to bring to the end of the sign-in that it begins."""
    _set(response, ATTEMPT, attempt, public_url, SIGN_IN_SECONDS)


def forget(response: func.HttpResponse, name: str, public_url: str) -> None:
    """Take one of our cookies back."""
    _set(response, name, "", public_url, 0)


def _set(response: func.HttpResponse, name: str, value: str, public_url: str, seconds: int) -> None:
    # No script reads it, no other site sends it along, no other host can set it (__Host-).
    secure = "; Secure" if public_url.startswith("https://") else ""
    response.headers.add(
        "Set-Cookie",
        f"{_called(name, public_url)}={value}; Path=/; Max-Age={seconds}; HttpOnly; "
        f"SameSite=Strict{secure}",
    )


def _called(name: str, public_url: str) -> str:
    # Browsers take the prefix over TLS only; without it is only this very machine.
    return f"__Host-{name}" if public_url.startswith("https://") else name


def must_be_own_page(request: func.HttpRequest, public_url: str) -> None:
    """Refuse what a page of another origin sends.

    Raises
    ------
    NotAllowed
    """
    origin = request.headers.get("Origin", public_url)
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    kind = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if origin != public_url or site != "same-origin" or kind in _FORMS:
        raise NotAllowed(f"only the page at {public_url} may ask for this, and no form")


def must_be_meant(request: func.HttpRequest, token: str, public_url: str) -> None:
    """Refuse a changing request that does not come from a page of this session.

    Raises
    ------
    NotAllowed
    """
    must_be_own_page(request, public_url)
    if not hmac.compare_digest(request.headers.get(CSRF, "").encode(), csrf_of(token).encode()):
        raise NotAllowed(f"the header {CSRF} is not the one of this session; load the page anew")


def address_of(request: func.HttpRequest) -> str:
    """Where a request comes from.

    The front end of App Service adds the caller to the end of ``X-Forwarded-For``; what stands
    before that is whatever the caller likes.
    """
    last = str(request.headers.get("X-Forwarded-For", "")).split(",")[-1].strip()
    if last.startswith("["):
        return last[1:].partition("]")[0]
    host, _, port = last.rpartition(":")
    return host if port.isdigit() and host.count(":") == 0 and host else last or "unknown"
