"""Short names of visitor events in queries."""

from __future__ import annotations

from eventbus.api.parameters import EventQuery, StreamQuery


def test_filters_take_short_names() -> None:
    """A short name selects the event type it stands for; other names are kept."""
    full = "omninode.visitor.page.visited.v1"
    assert EventQuery.model_validate({"event_type": "page_visit"}).event_type == full
    assert StreamQuery.model_validate({"event_type": "screen_view"}).event_type == full
    assert StreamQuery.model_validate({"event_type": full}).event_type == full
