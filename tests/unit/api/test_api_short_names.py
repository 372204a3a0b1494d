"""Short names of visitor events, wherever HTTP reads a name."""

from __future__ import annotations

from eventbus.api.parameters import EventQuery, StreamQuery


def test_filters_take_short_names() -> None:
    """`page_visit` asks for the events that it means; other names stay."""
    full = "omninode.visitor.page.visited.v1"
    assert EventQuery.model_validate({"event_type": "page_visit"}).event_type == full
    assert StreamQuery.model_validate({"event_type": "screen_view"}).event_type == full
    assert StreamQuery.model_validate({"event_type": full}).event_type == full
