"""Azure AI Document Intelligence: text and tables of a PDF, with the application's identity.

The REST API of 2024-11-30, https://learn.microsoft.com/rest/api/aiservices/document-models: the
file is posted to the model ``prebuilt-layout``, answered with 202 and ``Operation-Location``, and
that address is asked until the work has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from shared.clock import Clock
from shared.errors import InvalidInput, ServiceRefused, ServiceUnavailable
from shared.intelligence.document import Content
from shared.intelligence.language import error_code
from shared.remote.http import RemoteHttp, retry_after

API = "2024-11-30"
MODEL = "prebuilt-layout"
#: Seconds between two questions where the service names none, and at most; and for the whole.
PAUSE_S, LONGEST_PAUSE_S, LIMIT_S = 2.0, 15.0, 100.0
#: Cells of a table that are believed: more rows or columns are no table.
_MOST_ROWS, _MOST_COLUMNS = 2_000, 200


class _Cell(msgspec.Struct, rename="camel"):
    row_index: int
    column_index: int
    content: str = ""


class _Table(msgspec.Struct, rename="camel"):
    row_count: int
    column_count: int
    cells: list[_Cell] = []


class _Page(msgspec.Struct):
    pass


class _Result(msgspec.Struct):
    content: str = ""
    pages: list[_Page] = []
    tables: list[_Table] = []


class _Problem(msgspec.Struct):
    code: str = ""


class _Operation(msgspec.Struct, rename="camel"):
    status: str
    analyze_result: _Result | None = None
    error: _Problem | None = None


class DocumentIntelligence:
    """Reads PDF files, scans among them.

    Parameters
    ----------
    http : RemoteHttp
    clock : Clock
    endpoint : str
        ``https://NAME.cognitiveservices.azure.com``.
    token : callable
        Gives a bearer token.
    """

    def __init__(
        self, http: RemoteHttp, clock: Clock, endpoint: str, token: Callable[[], str]
    ) -> None:
        self._http = http
        self._clock = clock
        self._endpoint = endpoint.rstrip("/")
        self._token = token

    def read(self, pdf: bytes) -> Content:
        """The content of a file; waits until the service is done.

        Raises
        ------
        InvalidInput
            When the service says that the file cannot be read.
        ServiceError
            When it refuses, does not answer, or is not done in time.
        """
        until = self._clock.now_ms() + round(LIMIT_S * 1000)
        started = self._http.ask(
            "POST",
            f"{self._endpoint}/documentintelligence/documentModels/{MODEL}:analyze"
            f"?api-version={API}",
            headers={**self._headers(), "Content-Type": "application/pdf"},
            body=pdf,
            repeatable=False,
        )
        self._expect(started.status, 202, started.body)
        where = started.headers.get("operation-location", "")
        if _origin(where) != _origin(self._endpoint):
            # The token goes to the service it is for, and nowhere else.
            raise ServiceUnavailable(
                f"{self._http.service} named another place for its answer", status=202, sent=True
            )
        pause = retry_after(started.headers, self._clock.now_ms()) or PAUSE_S
        while True:
            pause = min(pause, LONGEST_PAUSE_S)
            if self._clock.now_ms() + pause * 1000 > until:
                raise ServiceUnavailable(
                    f"{self._http.service} was not done after {LIMIT_S:.0f} s; hand the document "
                    "in again",
                    sent=True,
                )
            self._clock.sleep(pause)
            answer = self._http.ask("GET", where, headers=self._headers())
            self._expect(answer.status, 200, answer.body)
            done = self._finished(answer.body)
            if done is not None:
                return done
            pause = retry_after(answer.headers, self._clock.now_ms()) or PAUSE_S

    def _finished(self, body: bytes) -> Content | None:
        try:
            found = msgspec.json.decode(body, type=_Operation)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ServiceUnavailable(
                f"{self._http.service} answered in another shape: {error}", status=200, sent=True
            ) from None
        if found.status in ("notStarted", "running"):
            return None
        if found.status != "succeeded" or found.analyze_result is None:
            code = found.error.code if found.error else ""
            raise InvalidInput(f"the document cannot be read: {code or found.status}")
        result = found.analyze_result
        return Content(
            reader=f"Azure AI Document Intelligence {MODEL} {API}",
            pages=len(result.pages),
            text=result.content,
            tables=[_rows(table) for table in result.tables],
        )

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token()}"}

    def _expect(self, status: int, wanted: int, body: bytes) -> None:
        if status == wanted:
            return
        code = error_code(body)
        if status == 400 and code in ("InvalidContent", "InvalidRequest", "InvalidArgument"):
            raise InvalidInput(f"the document cannot be read: {code}")
        raise ServiceRefused(f"{self._http.service} refused with {status}: {code}", status=status)


def _origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.lower()


def _rows(table: _Table) -> list[list[str]]:
    if not (0 < table.row_count <= _MOST_ROWS and 0 < table.column_count <= _MOST_COLUMNS):
        return []
    rows = [[""] * table.column_count for _ in range(table.row_count)]
    for cell in table.cells:
        if 0 <= cell.row_index < table.row_count and 0 <= cell.column_index < table.column_count:
            rows[cell.row_index][cell.column_index] = cell.content
    return rows
