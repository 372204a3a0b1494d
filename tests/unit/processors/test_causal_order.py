"""The events of a chain are sorted after their causes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from eventbus.event import Event
from eventbus.processors.store.chains import causal_order

START = datetime(2026, 1, 1, tzinfo=UTC)


def make_event(number: int, cause: int | None, ms: int) -> Event:
    draft = Event.new("shop.order.placed.v1", {}, timestamp=START + timedelta(milliseconds=ms))
    return draft.evolve(event_id=str(number), causation_id=None if cause is None else str(cause))


links = st.lists(st.tuples(st.none() | st.integers(0, 12), st.integers(0, 50)), max_size=12)


@given(links)
def test_effects_come_after_their_causes(links: list[tuple[int | None, int]]) -> None:
    """With missing causes and cycles, every event appears once, after its cause unless they form a cycle."""
    events = [make_event(number, cause, ms) for number, (cause, ms) in enumerate(links)]
    ordered = causal_order(events)
    assert sorted(e.event_id for e in ordered) == sorted(e.event_id for e in events)
    index = {e.event_id: n for n, e in enumerate(ordered)}
    for event in ordered:
        if event.causation_id in index and not _in_cycle(event, {e.event_id: e for e in events}):
            assert index[event.causation_id] < index[event.event_id]


def _in_cycle(event: Event, by_id: dict[str, Event]) -> bool:
    """Whether following the causes never ends."""
    for _ in range(len(by_id) + 1):
        cause = by_id.get(event.causation_id or "")
        if cause is None:
            return False
        event = cause
    return True


@given(st.lists(st.integers(0, 50), max_size=12))
def test_roots_are_ordered_by_time(times: list[int]) -> None:
    """Events without causes are sorted by time, then by id."""
    events = [make_event(number, None, ms) for number, ms in enumerate(times)]
    assert causal_order(events) == sorted(events, key=lambda e: (e.timestamp, e.event_id))
