"""Parameters of the deployment out of a pipeline's variables: what begins with ``BORSA_``.

Reads the variables as a JSON object from ``VARIABLES`` and adds those to the file that
``GITHUB_ENV`` names, from where azd takes them.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Mapping


def lines(variables: Mapping[str, str]) -> list[str]:
    """Lines for the environment file; a value may have lines of its own."""
    found = []
    for name, value in sorted(variables.items()):
        if name.startswith("BORSA_") and name.replace("_", "").isalnum():
            # No value can guess its delimiter, and so none can add a variable of another name.
            end = f"end-{uuid.uuid4().hex}"
            found += [f"{name}<<{end}", value, end]
    return found


def main() -> int:
    """Write them."""
    variables = json.loads(os.environ.get("VARIABLES") or "{}")
    with open(os.environ["GITHUB_ENV"], "a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines(variables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
