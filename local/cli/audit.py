"""``./run audit``: verify or export the audit log."""

from __future__ import annotations

import argparse

from local.cli.open_state import ACCOUNT, open_store
from shared.errors import InvalidInput


def run(options: argparse.Namespace) -> int:
    """0 when the chain verifies, 1 when it does not."""
    from shared.audit.chain import export
    from shared.audit.verify import verify, verify_file

    if options.action == "export":
        if options.file is None:
            raise InvalidInput("name the file to write with --file FILE")
        store = open_store(options.state)
        try:
            records = export(store, ACCOUNT, options.file)
        finally:
            store.close()
        print(f"{records} records written to {options.file}")
        return 0
    if options.file is not None:
        report = verify_file(options.file)
    else:
        store = open_store(options.state)
        try:
            report = verify(store, ACCOUNT)
        finally:
            store.close()
    if report.ok:
        print(f"The chain verifies: {report.records} records, last {report.last_hash[:16]}")
        return 0
    print(f"The chain does NOT verify: {report.found} problem(s) in {report.records} records")
    for problem in report.problems:
        print(f"  {problem.finding} at record {problem.seq} ({problem.where}): {problem.text}")
    return 1
