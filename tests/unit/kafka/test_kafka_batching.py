"""Chunks and batches contain every record once, in order, in the partition of Kafka's partitioner."""

from __future__ import annotations

from collections import defaultdict

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from eventbus.event import Event
from eventbus.kafka.batching import CHUNK_BYTES, CHUNK_RECORDS, headers_for, pack, take_chunk
from eventbus.record import ProducerRecord, record_of

COUNTS = {"a": 1, "b": 3, "c": 7}


class SmallBuilder:
    """A batch builder with room for a few records."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.records: list[bytes | None] = []
        self.closed = False

    def append(
        self, *, timestamp: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> object | None:
        assert not self.closed
        if len(self.records) >= self._room:
            return None
        self.records.append(value)
        return self

    def record_count(self) -> int:
        return len(self.records)

    def close(self) -> None:
        self.closed = True


keys = st.none() | st.binary(max_size=40)
chunks = st.lists(st.tuples(st.sampled_from(sorted(COUNTS)), keys), max_size=200)


def records_of(chunk: list[tuple[str, bytes | None]]) -> list[ProducerRecord]:
    return [ProducerRecord(topic, key, b"%d" % i, i, ()) for i, (topic, key) in enumerate(chunk)]


@given(chunks, st.integers(1, 5))
def test_batches_hold_every_record_once_and_in_order(chunk: list[tuple[str, bytes | None]], room: int) -> None:
    """Packing neither loses nor duplicates a record, and keeps the order within a partition."""
    packed: dict[tuple[str, int], list[int]] = defaultdict(list)
    for batch in pack(records_of(chunk), COUNTS, lambda: SmallBuilder(room)):
        assert isinstance(batch.builder, SmallBuilder)
        assert batch.builder.closed
        assert 0 < batch.size <= room
        packed[batch.topic, batch.partition] += [int(value or b"") for value in batch.builder.records]
    assert sorted(i for numbers in packed.values() for i in numbers) == list(range(len(chunk)))
    assert all(numbers == sorted(numbers) for numbers in packed.values())


@given(chunks)
def test_keys_go_where_other_kafka_clients_put_them(chunk: list[tuple[str, bytes | None]]) -> None:
    """A key's partition is the one of Kafka's default partitioner, as aiokafka implements it."""
    records = records_of(chunk)
    for batch in pack(records, COUNTS, lambda: SmallBuilder(1)):
        assert isinstance(batch.builder, SmallBuilder)
        key = records[int(batch.builder.records[0] or b"")].key
        partitions = list(range(COUNTS[batch.topic]))
        assert key is None or batch.partition == DefaultPartitioner()(key, partitions, partitions)


def test_records_without_key_share_a_batch_and_take_turns() -> None:
    """Records of a chunk without a key fill one batch, and the next chunk takes another partition (KIP-480)."""
    records = records_of([("b", None)] * 10)
    partitions = []
    for _ in range(3):
        [batch] = pack(records, COUNTS, lambda: SmallBuilder(100))
        partitions.append(batch.partition)
    assert sorted(partitions) == [0, 1, 2]


def test_a_chunk_is_bounded_in_bytes_and_records() -> None:
    """A chunk of large records is limited in bytes, one of small records in number."""
    large = ProducerRecord("a", None, b"x" * (CHUNK_BYTES // 2), 0)
    small = ProducerRecord("a", None, b"", 0)
    assert len(take_chunk(iter([large] * 5))) == 2
    assert len(take_chunk(iter([small] * (CHUNK_RECORDS + 1)))) == CHUNK_RECORDS
    assert take_chunk(iter([])) == []


def test_headers_come_from_the_event_unless_given() -> None:
    """A record with None as headers gets those of its event; other headers, even an empty list, are kept."""
    event = Event.new("omninode.agent.execution.started.v1", {})
    record = record_of(event, "a")
    assert headers_for(record) == list(event.headers)
    assert headers_for(record._replace(headers=())) == []
    assert headers_for(record._replace(headers=(("a", b"b"),))) == [("a", b"b")]
