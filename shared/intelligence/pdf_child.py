"""The process in which one PDF is read: the file on its input, what was found on its output.

``python -m shared.intelligence.pdf_child SECONDS BYTES`` with the processor time and the memory
that it may take.
"""

from __future__ import annotations

import sys
from io import BytesIO

import msgspec

from shared.errors import InvalidInput
from shared.intelligence.document import MOST_PAGES, MOST_TEXT, Content


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file, or why there is none; ``missing``: pypdf is not installed."""

    content: Content | None = None
    problem: str = ""
    missing: bool = False


def main(seconds: int, memory: int) -> None:
    """Read the file that is on the input."""
    _bound(seconds, memory)
    pdf = sys.stdin.buffer.read()
    try:
        import pypdf  # noqa: F401
    except ModuleNotFoundError:
        found = Found(missing=True)
    else:
        try:
            found = Found(content=text_of(pdf))
        except InvalidInput as error:
            found = Found(problem=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(found))


def text_of(pdf: bytes) -> Content:
    """The text of the first pages.

    Raises
    ------
    InvalidInput
        When it is encrypted, or no PDF that can be read.
    """
    import pypdf
    from pypdf.errors import PyPdfError

    try:
        reader = pypdf.PdfReader(BytesIO(pdf))
        if reader.is_encrypted and not reader.decrypt(""):
            raise InvalidInput("the document is encrypted; remove its password first")
        parts: list[str] = []
        size = 0
        pages = len(reader.pages)
        for page in reader.pages[:MOST_PAGES]:
            part = page.extract_text()
            parts.append(part)
            size += len(part)
            if size > MOST_TEXT:
                break
    except InvalidInput:
        raise
    except (
        PyPdfError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        ArithmeticError,
        NotImplementedError,
        ImportError,
        MemoryError,
    ) as error:
        # What a broken file makes of a parser is not listed anywhere.
        raise InvalidInput(f"the document cannot be read: {type(error).__name__}") from None
    # One more than is kept, so that it is known to have been cut.
    text = "\n".join(parts)[: MOST_TEXT + 1]
    return Content(reader=f"pypdf {pypdf.__version__}", pages=pages, text=text, tables=[])


def _bound(seconds: int, memory: int) -> None:
    """What the system allows this process at most; also where nobody waits for it any more."""
    try:
        import resource
    except ImportError:
        return  # not on Windows: the time of the one who waits is all there is
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
