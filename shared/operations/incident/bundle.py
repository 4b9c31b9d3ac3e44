"""A bundle as one zip file, with nothing secret in it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import msgspec

from shared.clock import iso, utc
from shared.operations.configured import InForce, versions
from shared.operations.incident.gather import Gathered, fingerprint
from shared.operations.incident.summary import summary
from shared.operations.withheld import Withholding

#: Most bytes of all files together, unpacked.
BYTES = 64 * 1024 * 1024


def bundle(
    found: Gathered,
    withholding: Withholding,
    *,
    now_ms: int,
    settings: Sequence[InForce] | None,
    notes: Sequence[str] = (),
    most: int = BYTES,
) -> bytes:
    """The zip file: ``summary.md``, ``manifest.json`` and one file for each part.

    Where everything together is larger than ``most`` bytes, the largest parts are left out, which
    the manifest and the summary say.

    Parameters
    ----------
    settings : sequence of InForce, optional
        As :func:`shared.operations.configured.settings_in_force` tells them; ``None`` where they
        are not known.
    """
    files: dict[str, bytes] = {}
    for name, part in found.parts.items():
        rows = (msgspec.json.encode(withholding.tree(row)) for row in part.rows)
        files[f"{name}.jsonl"] = b"".join(row + b"\n" for row in rows)
    control = withholding.tree(msgspec.to_builtins(found.control))
    files["control.json"] = _pretty(control)
    files["verification.json"] = _pretty(
        withholding.tree(
            {
                "wholeChain": found.whole,
                "ok": found.verification.ok,
                "report": msgspec.to_builtins(found.verification),
                "recordsOfThePeriod": msgspec.to_builtins(found.links),
            }
        )
    )
    files["settings.json"] = _pretty(
        None if settings is None else withholding.tree(msgspec.to_builtins(settings))
    )
    left_out = _fit(files, most)
    said = [
        *notes,
        *(f"LEFT OUT, too large: {name}" for name in left_out),
        *(f"{name} could not be read, so it was not searched for" for name in withholding.unread),
    ]
    text = summary(found, made_at=now_ms, notes=said)
    files["summary.md"] = withholding.text(text).encode()
    manifest = {
        "account": found.account,
        "since": iso(found.since),
        "until": iso(found.until),
        "madeAt": iso(now_ms),
        "versions": msgspec.to_builtins(versions()),
        "notes": said,
        "cut": found.cut,
        "leftOut": left_out,
        "files": {
            name: {"bytes": len(data), "sha256": fingerprint(data)}
            for name, data in sorted(files.items())
        },
    }
    files["manifest.json"] = _pretty(withholding.tree(manifest))
    return _zipped(files, now_ms)


def name_of(since: int, until: int) -> str:
    """A file name for a bundle: ``incident-20260105T020000Z-20260105T030000Z.zip``."""
    form = "%Y%m%dT%H%M%SZ"
    return f"incident-{utc(since).strftime(form)}-{utc(until).strftime(form)}.zip"


def _fit(files: dict[str, bytes], most: int) -> list[str]:
    left_out = []
    while sum(map(len, files.values())) > most:
        _, largest = max((len(data), name) for name, data in files.items())
        left_out.append(largest)
        del files[largest]
    return left_out


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def _zipped(files: dict[str, bytes], now_ms: int) -> bytes:
    made = utc(now_ms)
    stamp = (max(1980, made.year), made.month, made.day, made.hour, made.minute, made.second)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, date_time=stamp)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()
