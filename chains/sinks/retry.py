"""When to try again: exponential back-off with full jitter, and what the server asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from eventbus.event import microseconds

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Waits grow twofold, and each is drawn from 0 to its bound, so that clients that failed together do not come back
    together (Brooker, "Exponential backoff and jitter", 2015)."""

    attempts: int = 6
    """In all."""
    first: float = 0.5
    """Bound of the first wait, seconds."""
    longest: float = 30.0
    """Bound of any wait, seconds."""
    patience: float = 300.0
    """Seconds: a server that asks for more is not waited for."""

    def wait(self, attempt: int, asked: float | None, draw: float) -> float | None:
        """Seconds until the next attempt; None: there is none.

        Args:
            attempt: how many have been made, from 1.
            asked: seconds that the server wants at least (`Retry-After`).
            draw: from 0 to 1, random.
        """
        if attempt >= self.attempts or (asked or 0) > self.patience:
            return None
        jitter = draw * min(self.longest, self.first * 2.0 ** (attempt - 1))
        return (asked or 0) + jitter


def retry_after(headers: Mapping[str, str], now_us: int) -> float | None:
    """Seconds that `Retry-After` asks for, given as such or as a date (RFC 9110 §10.2.3); None if it does not.

    Args:
        now_us: microseconds since the Unix epoch.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (microseconds(when) - now_us) / 1e6)
