"""The log, compared with a plain list."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from eventbus import OffsetOutOfRange
from eventbus.broker.batch import encode
from eventbus.broker.log import PartitionLog
from eventbus.record import RECORD_OVERHEAD, RecordColumns

Row = tuple[bytes | None, bytes | None, int]

row = st.tuples(st.none() | st.just(b"key"), st.none() | st.binary(max_size=30), st.integers(0, 100))
rows = st.lists(row, min_size=1, max_size=6)


def columns(rows: list[Row]) -> RecordColumns:
    keys, values, timestamps = zip(*rows, strict=True)
    return RecordColumns(list(keys), list(values), list(timestamps), [()] * len(rows))


class LogMachine(RuleBasedStateMachine):
    """After any appends, trims and reads, the log agrees with a list of all records ever appended."""

    @initialize(batch_bytes=st.sampled_from([1, 400, 1500, 16_384]))
    def start(self, batch_bytes: int) -> None:
        self.log = PartitionLog(batch_bytes)
        self.model: list[Row] = []

    @rule(rows=rows)
    def append(self, rows: list[Row]) -> None:
        assert self.log.append(columns(rows)) == len(self.model)
        self.model += rows

    @rule(rows=rows)
    def append_encoded(self, rows: list[Row]) -> None:
        assert self.log.append_encoded(encode(12345, columns(rows))) == len(self.model)
        self.model += rows

    @rule(data=st.data(), most=st.integers(1, 20))
    def read(self, data: st.DataObject, most: int) -> None:
        offset = data.draw(st.integers(self.log.log_start_offset, self.log.log_end_offset))
        got = [record for batch in self.log.read(offset, max_records=most) for record in batch.records("t", 0)]
        assert [record.offset for record in got] == list(range(offset, min(offset + most, len(self.model))))
        assert [(r.key, r.value, r.timestamp) for r in got] == self.model[offset : offset + most]

    @rule(max_bytes=st.integers(0, 2000))
    def read_bytes(self, max_bytes: int) -> None:
        batches = self.log.read(self.log.log_start_offset, max_bytes=max_bytes)
        assert sum(batch.size_bytes for batch in batches[:-1]) <= max_bytes
        assert bool(batches) == bool(len(self.log))

    @rule(data=st.data())
    def read_all_in_steps(self, data: st.DataObject) -> None:
        offset = self.log.log_start_offset
        got: list[Row] = []
        while batches := self.log.read(offset, max_records=data.draw(st.integers(1, 9))):
            got += [(k, v, t) for b in batches for k, v, t in zip(b.keys, b.values, b.timestamps, strict=True)]
            offset = batches[-1].next_offset
        assert got == self.model[self.log.log_start_offset :]

    @rule(offset=st.integers(-3, 3))
    def read_outside(self, offset: int) -> None:
        for wrong in (self.log.log_start_offset - 1 - abs(offset), self.log.log_end_offset + 1 + abs(offset)):
            with pytest.raises(OffsetOutOfRange):
                self.log.read(wrong)

    @rule(timestamp=st.integers(0, 110))
    def find_time(self, timestamp: int) -> None:
        kept = range(self.log.log_start_offset, self.log.log_end_offset)
        expected = next((offset for offset in kept if self.model[offset][2] >= timestamp), None)
        assert self.log.offset_for_timestamp(timestamp) == expected

    @rule(limit=st.integers(0, 3000), keep=st.integers(0, 40))
    def trim_to_bytes(self, limit: int, keep: int) -> None:
        before = self.log.log_start_offset
        keep_from = before + keep
        assert self.log.trim_to_bytes(limit, keep_from=keep_from) == self.log.log_start_offset - before
        assert self.log.log_start_offset <= max(keep_from, before)
        if self.log.size_bytes > limit:  # then only because the next batch is still needed
            assert self.log.read(self.log.log_start_offset)[0].next_offset > keep_from

    @rule(timestamp=st.integers(0, 110))
    def trim_to_time(self, timestamp: int) -> None:
        before = self.log.log_start_offset
        assert self.log.trim_to_time(timestamp) == self.log.log_start_offset - before
        assert all(when < timestamp for _, _, when in self.model[before : self.log.log_start_offset])

    @rule(ahead=st.integers(0, 20))
    def trim_to_offset(self, ahead: int) -> None:
        target = self.log.log_start_offset + ahead
        self.log.trim_to_offset(target)
        assert self.log.log_start_offset <= target

    @invariant()
    def counts(self) -> None:
        assert self.log.log_end_offset == len(self.model)
        assert len(self.log) == self.log.log_end_offset - self.log.log_start_offset
        assert (self.log.size_bytes == 0) == (len(self.log) == 0)
        assert self.log.size_bytes == sum(batch.size_bytes for batch in self.log.read(self.log.log_start_offset))


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_batch_read_does_not_change_when_the_log_grows() -> None:
    """A batch that was read does not change when the tail grows."""
    log = PartitionLog()
    log.append(columns([(None, b"1", 1)]))
    [batch] = log.read(0)
    log.append(columns([(None, b"2", 2)]))
    assert batch.values == [b"1"]
    assert [b.values for b in log.read(0)] == [[b"1", b"2"]]


def test_single_records_are_collected_into_batches() -> None:
    """Appending a thousand single records does not create a thousand batches."""
    log = PartitionLog(batch_bytes=(RECORD_OVERHEAD + 1) * 100)
    for number in range(1000):
        log.append(columns([(None, b"x", number)]))
    assert [len(batch) for batch in log.read(0)] == [100] * 10


def test_the_state_can_be_seen() -> None:
    """`repr` shows offsets and size."""
    log = PartitionLog()
    log.append(columns([(None, b"1234", 1)] * 2))
    assert repr(log) == "<PartitionLog 0..2, 328 bytes>"
