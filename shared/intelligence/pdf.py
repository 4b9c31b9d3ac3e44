"""Text of a PDF without any service, by pypdf: what is text in it, no scans and no tables.

A file is a program in many ways: a few thousand bytes can keep a parser for long. Python code
cannot be stopped from outside, so it runs in a process of its own
(:mod:`shared.intelligence.pdf_child`) that is killed when its time is over, may take so much memory
and no more, and is told no setting.
"""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec

from shared.errors import ConfigurationError, InvalidInput
from shared.intelligence.document import Content
from shared.intelligence.pdf_child import Found

#: Seconds for a file; a report of 200 pages takes two or three.
LIMIT_S = 30.0
#: Bytes of address space for a file, of the 2 GB of an instance.
MOST_MEMORY = 512 << 20


class PdfReader:
    """The built-in reader.

    Parameters
    ----------
    limit_s : float
        Seconds after which a file is given up.
    most_memory : int
        Bytes of address space.
    """

    def __init__(self, limit_s: float = LIMIT_S, most_memory: int = MOST_MEMORY) -> None:
        self._limit_s = limit_s
        self._most_memory = most_memory

    def read(self, pdf: bytes) -> Content:
        """The text of the first pages.

        Raises
        ------
        InvalidInput
            When it is encrypted, no PDF that can be read, or takes too long or too much.
        ConfigurationError
            When pypdf is not installed.
        """
        limits = (str(round(self._limit_s) + 1), str(self._most_memory))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "shared.intelligence.pdf_child", *limits],
                input=pdf,
                capture_output=True,
                timeout=self._limit_s,
                env=_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InvalidInput(
                f"the document cannot be read: it takes more than {self._limit_s:g} s"
            ) from None
        try:
            found = msgspec.json.decode(done.stdout, type=Found)
        except msgspec.MsgspecError:
            # Killed for its memory or its time, or fallen over its own feet.
            raise InvalidInput(
                f"the document cannot be read: its reader ended with {done.returncode}"
            ) from None
        if found.missing:
            raise ConfigurationError(
                [
                    "DOCUMENT_ENDPOINT is empty and pypdf is not installed; set the one or install "
                    "the other"
                ]
            )
        if found.content is None:
            raise InvalidInput(found.problem)
        return found.content


def _environment() -> dict[str, str]:
    """Where modules are, and nothing else: no setting and no secret meets the file."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    libraries = os.environ.get("LD_LIBRARY_PATH", "")
    return {"PYTHONPATH": path} | ({"LD_LIBRARY_PATH": libraries} if libraries else {})
