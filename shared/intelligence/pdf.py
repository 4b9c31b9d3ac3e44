"""Text of a PDF without any service, by pypdf: what is text in it, no scans and no tables."""

from __future__ import annotations

from shared.errors import ConfigurationError, InvalidInput
from shared.intelligence.document import MOST_PAGES, MOST_TEXT, Content


class PdfReader:
    """The built-in reader."""

    def read(self, pdf: bytes) -> Content:
        """The text of the first pages.

        Raises
        ------
        InvalidInput
            When it is encrypted, or no PDF that can be read.
        ConfigurationError
            When pypdf is not installed.
        """
        try:
            import pypdf
            from pypdf.errors import PyPdfError
        except ImportError:
            raise ConfigurationError(
                [
                    "DOCUMENT_ENDPOINT is empty and pypdf is not installed; set the one or install "
                    "the other"
                ]
            ) from None
        from io import BytesIO

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
        ) as error:
            # What a broken file makes of a parser is not listed anywhere.
            raise InvalidInput(f"the document cannot be read: {type(error).__name__}") from None
        return Content(
            reader=f"pypdf {pypdf.__version__}", pages=pages, text="\n".join(parts), tables=[]
        )
