"""Accepted differences from the recorded host (extension 3.14 on Azure Storage, SDK 1.2.9).

What `test_recorded_host` puts aside, and why. Everything not named here is compared.
"""

DIFFERENCES = {
    "framing": "Content-Length and Transfer-Encoding are written by whichever server carries the "
    "response, so the hub does not set them.",
    "schema": "SDK 1.7 answers in schema 2 where 1.2.9 answered in 1; its "
    "sub-orchestration actions carry `version`.",
    "long timer": "SDK 1.7 splits timers beyond 6 days (schema 2), so `longtimer` runs; with "
    "1.2.9 it failed.",
    "early timer": "Azure Storage fires timers up to a second early; the hub never does.",
    "polls": "How often a client polled before the end (202, Pending or Running) is a matter of "
    "speed; only final answers are compared.",
    "grouping": "Which completions share a replay depends on speed; the recording's grouping is "
    "compared where completions come one by one.",
    "stack traces": "Stack traces and exception details name the host's own files.",
    "non-deterministic history": "After a non-deterministic failure the Azure Storage provider "
    "answers history requests with 400 (a doubled key); the hub shows the history.",
    "function order": "The list of known functions in error messages is unordered.",
    "shared state": "The recording's host had run other instances before; lists and the count of a "
    "bulk purge are therefore compared in `test_management_api` on known instances.",
    "continuation token": "Recorded with a trailing blank; ours has none and accepts both.",
    "duplicate completions": "A second completion of one task is dropped before the SDK sees "
    "it; the extension shows it to the SDK, which warns and ignores it.",
    "call_http": "A 202 answer is returned to the orchestrator instead of being polled.",
    "recorder": "Exchanges of the app's own HTTP routes belong to the function host, and 401/403 "
    "are its key check; they are replayed there.",
}
