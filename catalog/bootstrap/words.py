"""Words of event types: what begins something, what ends it well, and what ends it badly."""

from __future__ import annotations

import re

BEGINS = {
    *("requested", "created", "submitted", "placed", "opened", "initiated", "received", "registered", "scheduled"),
    *("queued", "ordered", "invited", "triggered", "request", "create", "submit", "command", "asked", "added", "new"),
}
GOES_ON = {
    *("started", "accepted", "approved", "assigned", "authorized", "authorised", "confirmed", "dispatched", "packed"),
    *("processed", "processing", "progressed", "progress", "reserved", "retried", "running", "shipped", "updated"),
    *("validated", "verified", "paid", "changed", "routed", "prepared", "picked", "captured", "allocated"),
}
ENDS_WELL = {
    *("completed", "succeeded", "finished", "closed", "delivered", "ended", "done", "fulfilled", "resolved", "success"),
    *("response", "responded", "replied", "result", "reply", "settled", "stored", "published", "archived", "answered"),
}
ENDS_BADLY = {
    *("failed", "rejected", "cancelled", "canceled", "declined", "expired", "timed_out", "timeout", "aborted", "error"),
    *("denied", "refused", "lost", "returned", "refunded", "abandoned", "errored", "crashed", "failure", "voided"),
    *("bounced", "violated", "reverted", "compensated", "dropped"),
}


def is_failure(action: str) -> bool:
    """Whether an event of this action (`payment_failed`, `timed-out`) ends its chain badly."""
    parts = re.split(r"[-_]", action)
    return not ENDS_BADLY.isdisjoint([action.replace("-", "_"), *parts])
