"""Topics, limits and retention, without an event loop."""

from __future__ import annotations

import tracemalloc

import pytest

from eventbus import InvalidTopic, TopicPartition, UnknownMember, UnknownTopic
from eventbus.broker.batch import encode
from eventbus.broker.broker import TIME_CHECK_MS, Broker
from eventbus.broker.groups import GroupState
from eventbus.record import RECORD_OVERHEAD, RecordColumns

TP = TopicPartition("t", 0)
ROW_BYTES = RECORD_OVERHEAD + 40


def rows(count: int, timestamp: int = 0) -> RecordColumns:
    """Records of `ROW_BYTES` each."""
    return RecordColumns([None] * count, [b"x" * 40] * count, [timestamp] * count, [()] * count)


def small(records: int = 8, **options: int) -> Broker:
    """A broker with one partition per topic, which holds this many records."""
    return Broker(partitions=1, retention_bytes=records * ROW_BYTES, **options)


def publish(broker: Broker, count: int, now: int = 0, *, force: bool = False) -> int:
    """Append records one by one while there is room; returns their number."""
    broker.partitions_of("t")
    for done in range(count):
        if not broker.reserve(TP, ROW_BYTES, now, force=force):
            return done
        broker.append(TP, rows(1, now))
    return count


def test_topics_are_created_on_first_use() -> None:
    """A new topic gets the default number of partitions, or that of the mapping."""
    assert Broker().partitions_of("t") == 4
    assert Broker(partitions=7).partitions_of("t") == 7
    broker = Broker(partitions={"t": 2})
    assert (broker.partitions_of("t"), broker.partitions_of("other")) == (2, 4)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "ä", "a/b", "x" * 250, "t\n"])
def test_bad_names_are_refused(name: str) -> None:
    """Names that Kafka refuses are refused, and no topic of the same call is created."""
    broker = Broker()
    with pytest.raises(InvalidTopic, match="topic name"):
        broker.create_topics({"good": 1, name: 1})
    assert not broker.topics


def test_a_topic_needs_a_partition() -> None:
    """A topic needs at least one partition."""
    with pytest.raises(InvalidTopic, match="at least 1 partition for topic 't', got 0"):
        Broker().create_topics({"t": 0})


@pytest.mark.parametrize("partition", [TopicPartition("none", 0), TopicPartition("t", 1), TopicPartition("t", -1)])
def test_unknown_partitions_cannot_be_read(partition: TopicPartition) -> None:
    """An unknown topic and a partition beyond its number are errors."""
    broker = Broker(partitions=1)
    broker.partitions_of("t")
    with pytest.raises(UnknownTopic):
        broker.fetch(partition, 0)


def test_records_without_a_key_are_assigned_round_robin() -> None:
    """Records without a key are assigned round-robin, the same at every run; a key keeps its partition."""
    broker = Broker(partitions=3)
    assert broker.route("t", [None, b"21", None, None, b"21"]) == [0, 0, 1, 2, 0]
    assert broker.route("t", [None]) == [0]
    assert broker.route("other", [None, None]) == [0, 1]


def test_appending_calls_on_append() -> None:
    """`on_append` is called with the topic, for records and for encoded batches."""
    heard: list[str] = []
    broker = Broker(partitions=1)
    broker.on_append = heard.append
    broker.partitions_of("t")
    assert broker.append(TP, rows(2)) == 0
    assert broker.append_encoded(TP, encode(0, rows(3))) == 2
    assert heard == ["t", "t"]
    assert [len(batch) for batch in broker.fetch(TP, 0)] == [2, 3]


def test_without_groups_the_oldest_records_are_trimmed() -> None:
    """Without a group that has yet to commit, a partition stays within its limit."""
    broker = small(8)
    assert publish(broker, 100) == 100
    statistics = broker.statistics()
    assert statistics.bytes <= 8 * ROW_BYTES
    assert (statistics.appended, statistics.records) == (100, 8)
    assert statistics.trimmed == 92
    assert broker.log(TP).log_start_offset == 92


def test_uncommitted_records_of_a_group_are_kept() -> None:
    """While a member has committed nothing, a full partition stays full; each commit frees the records it covers."""
    broker = small(8)
    group = broker.group("g")
    group.join("m", {"t"}, 0)
    assert publish(broker, 100) == 8
    group.commit({TP: 3}, member_id="m", generation=1)
    assert publish(broker, 100) == 3
    assert broker.log(TP).log_start_offset == 3


def test_a_group_without_members_does_not_block_trimming() -> None:
    """Once the last member has left, uncommitted records no longer block publishing."""
    broker = small(8)
    broker.group("g").join("m", {"t"}, 0)
    assert publish(broker, 100) == 8
    broker.group("g").leave("m", 1)
    assert publish(broker, 100) == 100


def test_groups_of_other_topics_do_not_block_trimming() -> None:
    """A group blocks only the topics to which its members are subscribed."""
    broker = small(8)
    broker.group("g").join("m", {"other"}, 0)
    assert publish(broker, 100) == 100


def test_force_trims_uncommitted_records() -> None:
    """With `force`, records are trimmed even if a group has yet to commit them."""
    broker = small(8)
    broker.group("g").join("m", {"t"}, 0)
    assert publish(broker, 100, force=True) == 100
    assert broker.log(TP).log_start_offset == 92


def test_a_run_of_any_size_fits_into_an_empty_partition() -> None:
    """A run beyond the limit fits into an empty partition, since it would never fit otherwise."""
    broker = small(4)
    broker.partitions_of("t")
    assert broker.reserve(TP, 50 * ROW_BYTES, 0)
    broker.append(TP, rows(50))
    assert broker.reserve(TP, ROW_BYTES, 0)
    assert len(broker.log(TP)) == 0


def test_retention_by_time_uses_record_timestamps() -> None:
    """The first check drops batches whose records are all too old, and keeps younger ones."""
    broker = Broker(partitions=1, retention_ms=10_000, retention_bytes=1)  # one record, one batch
    broker.partitions_of("t")
    for timestamp in (1_000, 5_000, 9_000):
        broker.append(TP, rows(1, timestamp))
    broker.enforce_retention(11_000)
    assert broker.log(TP).log_start_offset == 0
    broker.enforce_retention(11_000 + TIME_CHECK_MS)
    assert broker.log(TP).log_start_offset == 1
    broker.enforce_retention(19_001)
    assert broker.log(TP).log_start_offset == 3


def test_deleting_a_topic_deletes_its_offsets() -> None:
    """A new topic of the same name starts at offset 0, for groups as well."""
    broker = small()
    publish(broker, 3)
    broker.group("g").commit({TP: 3})
    broker.delete_topic("t", 0)
    assert broker.group("g").committed == {}
    with pytest.raises(UnknownTopic):
        broker.delete_topic("t", 0)
    assert publish(broker, 1) == 1
    assert broker.log(TP).log_end_offset == 1


def test_clearing_keeps_topics_and_members() -> None:
    """After `clear`, the same topics exist, empty, and the members must rejoin."""
    broker = small()
    publish(broker, 3)
    broker.group("g").join("m", {"t"}, 0)
    broker.clear(1)
    assert broker.statistics().end_offsets == {"t": (0,)}
    assert broker.statistics().appended == 0
    assert broker.group("g").state is GroupState.PREPARING_REBALANCE


def test_lag_is_what_is_left_to_commit() -> None:
    """Lag counts records in the log that are not committed; trimmed records do not count."""
    broker = small(8)
    publish(broker, 5)
    group = broker.group("g")
    group.join("m", {"t"}, 0)
    assert broker.statistics().groups["g"].lag == 5
    group.commit({TP: 2}, member_id="m", generation=1)
    assert broker.statistics().groups["g"].lag == 3
    group.leave("m", 0)
    assert broker.statistics().groups["g"].lag == 3
    publish(broker, 10)
    assert broker.statistics().groups["g"].lag == 8


def test_statistics_are_a_snapshot() -> None:
    """Statistics are immutable and do not change with the broker."""
    broker = small()
    publish(broker, 2)
    before = broker.statistics()
    publish(broker, 2)
    assert (before.records, before.end_offsets) == (2, {"t": (2,)})
    with pytest.raises(AttributeError):
        before.records = 5  # type: ignore[misc]  # that it cannot is the point


def test_tools_commit_only_to_groups_without_members() -> None:
    """While a group has members, only they may commit its offsets."""
    broker = small()
    broker.group("g").join("m", {"t"}, 0)
    with pytest.raises(UnknownMember):
        broker.group("g").commit({TP: 1})


def test_counted_sizes_match_allocated_memory() -> None:
    """Sizes are memory, not payload: the memory that Python allocates is within a sixth of the count."""
    broker = Broker(partitions=1)
    broker.partitions_of("t")
    tracemalloc.start()
    try:
        for start in range(0, 20_000, 100):
            numbers = range(start, start + 100)
            keys: list[bytes | None] = [b"%036d" % number for number in numbers]
            values: list[bytes | None] = [b"%0300d" % number for number in numbers]
            broker.append(TP, RecordColumns(keys, values, [10**12 + number for number in numbers], [None] * 100))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert abs(held / broker.statistics().bytes - 1) < 1 / 6
