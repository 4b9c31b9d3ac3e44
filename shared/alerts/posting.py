"""One message to one outside service, with an end of its own however slowly the answer comes."""

from __future__ import annotations

from typing import Any

from shared.errors import StoreUnavailable

#: Seconds for connecting and for the next byte.
TIMEOUT = (3.0, 10.0)
#: Seconds for the whole of it. Alerts are sent one after the other: who is slow holds up the rest.
ANSWER_S = 15.0


def post(what: str, url: str, **request: Any) -> None:
    """Post a message; it was taken once the headers of the answer say so.

    Parameters
    ----------
    what : str
        What was not delivered, for the error.
    **request
        Body, headers and authorisation as ``requests`` wants them.

    Raises
    ------
    StoreUnavailable
        The service did not take it; its text has no address, which may be a secret.
    """
    import requests

    from shared.remote.deadline import BoundedAdapter, Deadline

    deadline = Deadline(ANSWER_S)
    try:
        with deadline, requests.Session() as session:
            # Proxies and .netrc of the environment would see, or replace, what it signs in with.
            session.trust_env = False
            for scheme in ("http://", "https://"):
                session.mount(scheme, BoundedAdapter())
            # The body says nothing that is needed: it is not waited for. Whoever has taken a
            # message and dawdles over its body would get the same message again.
            with session.post(
                url, timeout=TIMEOUT, allow_redirects=False, stream=True, **request
            ) as answer:
                status = answer.status_code
                # Cut in its headers an answer looks like a whole one.
                late = deadline.over
    except (requests.RequestException, ValueError) as error:
        if not deadline.over:
            raise StoreUnavailable(f"{what} not delivered: {type(error).__name__}") from None
        late = True
    if late:
        raise StoreUnavailable(f"{what} not delivered: no whole answer in {ANSWER_S:.0f} s")
    if not 200 <= status < 300:
        raise StoreUnavailable(f"{what} not delivered: HTTP {status}")
