"""A batch is the same as columns and encoded; other bytes are refused."""

from __future__ import annotations

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from eventbus import ConsumerRecord, CorruptBatch, Event
from eventbus.broker.batch import RecordBatch, encode
from eventbus.event import Headers
from eventbus.record import RecordColumns

Row = tuple[bytes | None, bytes | None, int, Headers]

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
headers = st.lists(st.tuples(names, st.binary(max_size=5)), max_size=3).map(tuple)
row = st.tuples(st.none() | st.binary(max_size=40), st.none() | st.binary(max_size=200), st.integers(0, 2**42), headers)
rows = st.lists(row, min_size=1, max_size=30)


def columns_of(rows: list[Row]) -> RecordColumns:
    keys, values, timestamps, heads = zip(*rows, strict=True)
    return RecordColumns(list(keys), list(values), list(timestamps), list(heads))


@given(rows, st.integers(0, 2**40))
def test_columns_to_bytes_and_back(rows: list[Row], base: int) -> None:
    """Encoding keeps keys, values, timestamps, headers and offsets."""
    batch = RecordBatch(base, columns_of(rows))
    again = RecordBatch.from_encoded(base + 5, batch.encoded)
    assert again.columns == batch.columns
    assert (again.base_offset, again.next_offset) == (base + 5, base + 5 + len(rows))
    assert again.max_timestamp == batch.max_timestamp == max(row[2] for row in rows)


def test_what_other_clients_compress_can_be_read() -> None:
    """A compressed batch keeps its bytes except for its offset, and decodes to the same records."""
    for codec in (1, 2, 3, 4):  # gzip, snappy, lz4, zstd
        builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 100_000)
        for number in range(50):
            builder.append(number, 1000 + number, b"key", b"value" * 20, [("h", b"x")])
        sent = bytes(builder.build())
        batch = RecordBatch.from_encoded(700, sent)
        assert batch.encoded[16:] == sent[16:]
        assert batch.values == [b"value" * 20] * 50
        assert batch.timestamps == list(range(1000, 1050))
        assert batch.headers == [(("h", b"x"),)] * 50


def test_derived_headers_are_encoded() -> None:
    """Headers that are computed from the event are encoded for clients that do not know events."""
    event = Event.new("omninode.agent.execution.started.v1", {})
    batch = RecordBatch(0, RecordColumns([event.key], [event.to_bytes()], [5], [None]))
    assert batch.headers == [event.headers]
    assert RecordBatch.from_encoded(0, batch.encoded).headers == [event.headers]


WHOLE = encode(0, RecordColumns([b"k"] * 3, [b"v"] * 3, [1, 2, 3], [()] * 3))


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_a_batch_cut_short_is_refused(cut: int) -> None:
    """A part of a batch is refused."""
    with pytest.raises(CorruptBatch):
        RecordBatch.from_encoded(0, WHOLE[:cut])


@given(st.integers(8, len(WHOLE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused(place: int, change: int) -> None:
    """A changed byte is refused, except in the offset and the leader epoch, which the broker sets."""
    spoilt = bytearray(WHOLE)
    spoilt[place] ^= change
    if 12 <= place < 16:
        assert RecordBatch.from_encoded(0, spoilt).encoded == WHOLE
    else:
        with pytest.raises(CorruptBatch):
            RecordBatch.from_encoded(0, spoilt)


@pytest.mark.parametrize(("last_delta", "count"), [(3, 3), (2, 4), (-1, 0)])
def test_offsets_with_gaps_are_refused(last_delta: int, count: int) -> None:
    """A batch needs at least one record and as many records as offsets, even with a valid checksum."""
    gapped = bytearray(WHOLE)
    gapped[23:27] = last_delta.to_bytes(4, "big", signed=True)
    gapped[57:61] = count.to_bytes(4, "big")
    gapped[17:21] = crc32c(gapped[21:]).to_bytes(4, "big")
    with pytest.raises(CorruptBatch, match="consecutive offsets"):
        RecordBatch.from_encoded(0, gapped)


def test_another_format_is_refused() -> None:
    """Only format 2 has this header."""
    with pytest.raises(CorruptBatch, match="format 2, got 1"):
        RecordBatch.from_encoded(0, WHOLE[:16] + b"\x01" + WHOLE[17:])


def test_two_batches_in_one_are_refused() -> None:
    """Exactly one batch is accepted; further ones would be missing from the index."""
    with pytest.raises(CorruptBatch, match="one batch"):
        RecordBatch.from_encoded(0, WHOLE + WHOLE)


@given(rows, st.integers(0, 40), st.integers(0, 40))
def test_a_slice_has_the_records_of_its_offsets(rows: list[Row], one: int, other: int) -> None:
    """A slice has the records of its offsets; it is the batch itself if it covers all of them."""
    batch = RecordBatch(100, columns_of(rows))
    start, stop = 100 + min(one, len(rows) - 1), 101 + max(one, other)
    cut = batch.slice(start, stop)
    assert cut.records("t", 1) == batch.records("t", 1)[start - 100 : stop - 100]
    assert (cut is batch) == (start == 100 and stop >= batch.next_offset)


def test_records_are_consumer_records() -> None:
    """The shortcut that builds records gives the same as their constructor."""
    batch = RecordBatch(7, RecordColumns([b"k", None], [b"v", None], [1, 2], [None, (("a", b"b"),)]))
    assert batch.records("t", 3) == [
        ConsumerRecord("t", 3, 7, 1, b"k", b"v", None),
        ConsumerRecord("t", 3, 8, 2, None, None, (("a", b"b"),)),
    ]
    assert type(batch.records("t", 3)[0]) is ConsumerRecord


def test_the_state_can_be_seen() -> None:
    """`repr` shows offsets, size and form."""
    batch = RecordBatch(7, RecordColumns([None], [b"1234"], [1], [()]))
    assert repr(batch) == "<RecordBatch 7..7, 164 bytes, columns>"
    assert "encoded" in repr(RecordBatch.from_encoded(0, WHOLE))
