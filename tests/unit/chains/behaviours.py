"""Behaviours of visitors, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from eventbus.catalog.model import Behaviour, Range


def ranges(low: int, high: int) -> st.SearchStrategy[Range]:
    return st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda pair: Range(*sorted(pair)))


BEHAVIOURS = st.builds(
    Behaviour,
    session_duration=ranges(1, 900),
    pages_per_session=ranges(1, 20),
    time_per_page=ranges(0, 200),
    clicks_per_page=ranges(0, 15),
    action_delay=ranges(0, 30),
    human_like_delays=st.booleans(),
)
