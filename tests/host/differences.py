"""Where this host knowingly answers differently from the recorded one, and why."""

from __future__ import annotations

# (recording, label or path) -> what differs and the reason
ACCEPTED: dict[tuple[str, str], str] = {
    ("http.json", "root"): (
        "The real host serves Microsoft's own landing page; this host has a short one."
    ),
    ("production.json", "root"): "As above: another page, so another Content-Length.",
    ("http.json", "/admin/host/processes"): (
        "One process here (host and worker are one), two there; names and ids differ."
    ),
    ("http.json", "echo 110MB"): (
        "The real server drops the connection above 100 MB; this one says 413."
    ),
    ("production.json", "crash"): (
        "A crash of the worker process is a crash of the whole embedded host; not replayed."
    ),
    ("broken-apps.json", "nohostjson"): (
        "Recorded without a network: the real host failed to download its extension bundle."
        " This host needs no bundle, a missing host.json means defaults."
    ),
    ("broken-apps.json", "bundle"): "As above: the bundle could not be downloaded.",
    ("broken-apps.json", "noruntime"): (
        "FUNCTIONS_WORKER_RUNTIME chooses a worker; this host has only Python."
    ),
    ("invocations.json", "identities"): "Claims are not modelled; the Python worker ignores them.",
}

# Values that cannot be equal: who runs, when, and secrets.
VOLATILE_STATUS = {"id", "versionDetails", "processUptime"}
