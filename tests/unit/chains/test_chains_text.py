"""Columns of text against the plain functions of `eventbus.event`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus import event
from eventbus.chains.rendering.columns import timestamps, uuid7
from eventbus.chains.table import COLUMNS, EventTable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
times = st.lists(st.integers(0, 7_000_000_000 * 10**6), min_size=1, max_size=20)


@given(times=times, data=st.data())
@settings(deadline=None)
def test_ids_are_those_of_the_plain_function(times: list[int], data: st.DataObject) -> None:
    """A column of ids is `uuid7` for each."""
    words = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=len(times), max_size=len(times)))
    found = uuid7(np.array(times), np.array(words, np.uint64))
    assert [row.tobytes().decode() for row in found] == [
        event.uuid7(time, word >> 2) for time, word in zip(times, words, strict=True)
    ]


@given(base=st.integers(0, 7_000_000_000), apart=st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
@settings(deadline=None)
def test_timestamps_are_those_of_the_plain_function(base: int, apart: list[int]) -> None:
    """A column of timestamps, over several days, is `format_timestamp` for each."""
    time = [base * 10**6 + more for more in apart]
    found = timestamps(np.array(time))
    assert [row.tobytes().decode() for row in found] == [
        event.format_timestamp(EPOCH + timedelta(microseconds=one)) for one in time
    ]


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=30),
    spread=st.sampled_from([1, 10**6, 1 << 60]),
)
@settings(deadline=None)
def test_tables_are_ordered_by_time_chain_and_step(rows: list[tuple[int, int, int]], spread: int) -> None:
    """Equal times are ordered by chain and step, however far apart the times lie."""
    columns = np.zeros((COLUMNS, len(rows)), np.int64)
    table = EventTable(columns)
    for place, (time, chain, step) in enumerate(rows):
        table.time[place], table.chain[place], table.step[place] = time * spread, chain, step
    found = table.ordered()
    order = list(zip((found.time // spread).tolist(), found.chain.tolist(), found.step.tolist(), strict=True))
    assert order == sorted(rows)
