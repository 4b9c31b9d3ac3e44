"""Market reports as PDF: read, searched for symbols and figures, kept. Not on an order's way."""

from typing import Any

import azure.functions as func

from functions.api import limit_of
from functions.durable import df
from functions.http import TooLarge, answers, reply
from shared.bootstrap import services
from shared.errors import InvalidInput

bp = df.Blueprint()

#: Documents of a page.
MOST = 20


@bp.route(route="documents", methods=["POST"])
@answers
def add_document(req: func.HttpRequest) -> Any:
    """Read a PDF, which is the body of the request; ``?name=`` says what it is called."""
    from shared.intelligence.document import MOST_BYTES

    body = req.get_body()
    if len(body) > MOST_BYTES:
        raise TooLarge(f"the document has {len(body)} bytes; at most {MOST_BYTES} are read")
    name = req.params.get("name", "document.pdf")
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise InvalidInput("name must be 1 to 200 printable characters")
    opinions = services().opinions
    opinions.text_throttle.admit()
    with opinions.llm_turn():
        record, new = opinions.documents.add(name, body)
    return reply(record, 201 if new else 200)


@bp.route(route="documents", methods=["GET"])
@answers
def list_documents(req: func.HttpRequest) -> Any:
    """Documents without their text, the newest first."""
    from shared.intelligence.document import DocumentRecord, listed
    from shared.storage.records import readable

    # Each is read whole, however little of it is told.
    limit = min(limit_of(req), MOST)
    page = services().opinions.documents.page(limit, req.params.get("continuation") or None)
    return {
        "documents": [listed(r) for r in readable(page.documents, DocumentRecord)],
        "continuation": page.continuation,
    }


@bp.route(route="documents/{id}", methods=["GET"])
@answers
def get_document(req: func.HttpRequest) -> Any:
    """One document with its text, tables and figures."""
    return services().opinions.documents.get(req.route_params["id"])
