"""Stored chains: what is known of a correlation id, and its events in causal order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heappush

from eventbus.event import Event

OUTCOMES = (None, "completed", "failed", "failed")
"""Meaning of `chains.outcome`, by value; a chain that both completed and failed counts as failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChain:
    """A chain with its events, and how it conforms to the catalog."""

    correlation_id: str
    chain: str | None
    """Name in the catalog; None until its request is stored."""
    tenant_id: str
    state: str
    """requested, started, completed or failed."""
    outcome: str | None
    """completed or failed; None in flight."""
    verdict: str
    """conforms, in_flight, incomplete, unexpected, out_of_order, orphan or conflict."""
    requested_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    events: tuple[Event, ...]
    """In causal order: a cause before its effects."""


def causal_order(events: Sequence[Event]) -> list[Event]:
    """Sort the events of a chain topologically: each after its cause, otherwise by time.

    An event whose cause is not among them counts as a root. Events of a causation cycle come last.
    """
    pending = {event.event_id: event for event in events}
    effects: dict[str | None, list[Event]] = {}
    for event in events:
        effects.setdefault(event.causation_id if event.causation_id in pending else None, []).append(event)
    ready = [_sort_key(event) for event in effects.get(None, ())]
    heapify(ready)
    ordered: list[Event] = []
    while ready:
        _, event_id = heappop(ready)
        ordered.append(pending.pop(event_id))
        for effect in effects.get(event_id, ()):
            heappush(ready, _sort_key(effect))
    return ordered + sorted(pending.values(), key=_sort_key)


def _sort_key(event: Event) -> tuple[datetime, str]:
    return event.timestamp, event.event_id
