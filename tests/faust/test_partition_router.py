"""The router loses and repeats nothing, however Faust delivers the batches."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventbus.bus import AutoOffsetReset
from eventbus.processors.errors import Fenced
from eventbus.processors.ingest.pipeline import Pipeline
from eventbus.processors.ingest.router import MAX_FENCES, FetchedBatch, OffsetRange, PartitionRouter
from eventbus.processors.store.definitions import ChainDefinitions
from eventbus.processors.store.offsets import reset_offsets
from eventbus.record import TopicPartition
from tests.faust.world import CATALOG, fetch, generated

DEFINITIONS = ChainDefinitions.of(CATALOG)
PARTITION = TopicPartition("omninode.agent", 0)
VALUES = [event.to_bytes() for event in generated(30)]
_groups = itertools.count()


class Log:
    """The offsets that a partition's log holds."""

    def __init__(self, end: int = len(VALUES), earliest: int = 0) -> None:
        self.range = OffsetRange(earliest, end)

    async def fetch_ranges(self) -> Mapping[TopicPartition, OffsetRange]:
        return {PARTITION: self.range}


def batch(start: int, end: int, first: int | None = None) -> FetchedBatch:
    """The records from `start` to `end`; those before `first` do not exist any more."""
    return FetchedBatch(
        start, end, [(offset, VALUES[offset]) for offset in range(start if first is None else first, end)]
    )


@asynccontextmanager
async def opened(
    dsn: str, group: str, auto_offset_reset: AutoOffsetReset = "earliest"
) -> AsyncIterator[PartitionRouter]:
    pipelines = [Pipeline(dsn, DEFINITIONS, group=group)]
    reset = partial(reset_offsets, dsn, group)
    router = PartitionRouter([PARTITION.topic], pipelines, reset, auto_offset_reset=auto_offset_reset)
    await router.open()
    try:
        yield router
    finally:
        await router.stop()


@pytest.fixture
def group() -> str:
    return f"group-{next(_groups)}"


async def account(dsn: str, group: str) -> tuple[object, ...]:
    """First offset, next offset and records read."""
    query = "SELECT first_offset, next_offset, read FROM eventbus.offsets WHERE consumer_group = $1"
    [row] = await fetch(dsn, query, group)
    return row


async def test_batches_in_order(postgres_dsn: str, group: str) -> None:
    """Consecutive batches are taken."""
    async with opened(postgres_dsn, group) as router:
        assert await router.assign([PARTITION], Log().fetch_ranges) == {PARTITION: 0}
        assert await router.put(PARTITION, batch(0, 10))
        assert await router.put(PARTITION, batch(10, 20))
        await router.flush()
        assert router.committed() == {PARTITION: 20}
        assert router.lag(lambda partition: 25) == {PARTITION: 5}
        assert router.lag(lambda partition: None) == {PARTITION: 0}, "no end is known yet"
    assert await account(postgres_dsn, group) == (0, 20, 20)


async def test_repeated_batches(postgres_dsn: str, group: str) -> None:
    """A repeated batch is ignored; of one that overlaps, only the rest is taken."""
    async with opened(postgres_dsn, group) as router:
        await router.assign([PARTITION], Log().fetch_ranges)
        for part in (batch(0, 10), batch(0, 10), batch(5, 15), batch(3, 4)):
            assert await router.put(PARTITION, part)
    assert await account(postgres_dsn, group) == (0, 15, 15)


async def test_missing_batch(postgres_dsn: str, group: str) -> None:
    """After a gap nothing is taken until the partition is assigned again, at the offset of the database."""
    async with opened(postgres_dsn, group) as router:
        await router.assign([PARTITION], Log().fetch_ranges)
        assert await router.put(PARTITION, batch(0, 10))
        assert not await router.put(PARTITION, batch(15, 20))
        assert await router.put(PARTITION, batch(10, 15)), "dropped, without asking again"
        await router.flush()
        assert await router.assign([PARTITION], Log().fetch_ranges) == {PARTITION: 10}
        assert await router.put(PARTITION, batch(10, 20))
    assert await account(postgres_dsn, group) == (0, 20, 20)


async def test_other_partitions(postgres_dsn: str, group: str) -> None:
    """Batches of partitions that are not assigned are ignored."""
    async with opened(postgres_dsn, group) as router:
        await router.assign([PARTITION], Log().fetch_ranges)
        assert await router.put(TopicPartition(PARTITION.topic, 1), batch(0, 10))
        await router.assign([], Log().fetch_ranges)
        assert await router.put(PARTITION, batch(0, 10))
        await router.flush()
    assert await account(postgres_dsn, group) == (0, 0, 0)


async def test_offsets_without_records(postgres_dsn: str, group: str) -> None:
    """Offsets without a record count as read, at the end of a batch and in an empty batch."""
    async with opened(postgres_dsn, group) as router:
        await router.assign([PARTITION], Log().fetch_ranges)
        assert await router.put(PARTITION, FetchedBatch(0, 15, batch(0, 10).records))
        assert await router.put(PARTITION, FetchedBatch(15, 20, []))
        assert await router.put(PARTITION, batch(20, 30, first=25))
    assert await account(postgres_dsn, group) == (0, 30, 15)


@pytest.mark.parametrize(("start", "first"), [("earliest", 5), ("latest", 20)])
async def test_first_assignment(postgres_dsn: str, group: str, start: AutoOffsetReset, first: int) -> None:
    """A partition that the group has not read yet begins at the configured end; the offset is stored at once."""
    async with opened(postgres_dsn, group, start) as router:
        assert await router.assign([PARTITION], Log(end=20, earliest=5).fetch_ranges) == {PARTITION: first}
    async with opened(postgres_dsn, group, start) as router:
        assert await router.assign([PARTITION], Log(end=30).fetch_ranges) == {PARTITION: first}


async def test_deleted_before_it_was_read(postgres_dsn: str, group: str, caplog: pytest.LogCaptureFixture) -> None:
    """Records deleted by retention before they were read are logged; reading continues at the oldest left."""
    async with opened(postgres_dsn, group) as router:
        await router.assign([PARTITION], Log().fetch_ranges)
        assert await router.assign([PARTITION], Log(earliest=10).fetch_ranges) == {PARTITION: 10}
        assert "offsets 0 to 9 were deleted by retention" in caplog.text
        assert await router.put(PARTITION, batch(10, 20))
    assert await account(postgres_dsn, group) == (0, 20, 10)


async def test_log_made_anew(postgres_dsn: str, group: str, caplog: pytest.LogCaptureFixture) -> None:
    """An offset beyond the end of the log is logged as an error, and the log is read from its beginning."""
    async with opened(postgres_dsn, group) as router:
        await router.assign([PARTITION], Log().fetch_ranges)
        await router.put(PARTITION, batch(0, 20))
        await router.flush()
        assert await router.assign([PARTITION], Log(end=8, earliest=3).fetch_ranges) == {PARTITION: 3}
        assert "expected offset 20, but the log ends at 8" in caplog.text
        assert await router.put(PARTITION, batch(3, 8))
    assert await account(postgres_dsn, group) == (-17, 8, 25)


async def test_dead_letters_of_a_log_made_anew(postgres_dsn: str, group: str) -> None:
    """Dead letters of a replaced log are kept beside those at the same offsets of the new one."""
    async with opened(postgres_dsn, group) as router:
        await router.assign([PARTITION], Log().fetch_ranges)
        await router.put(PARTITION, FetchedBatch(0, 4, [(offset, b"old %d" % offset) for offset in range(4)]))
        await router.flush()
        await router.assign([PARTITION], Log(end=2).fetch_ranges)
        await router.put(PARTITION, FetchedBatch(0, 2, [(offset, b"new %d" % offset) for offset in range(2)]))
    query = "SELECT record_offset, value FROM eventbus.dead_letter WHERE consumer_group = $1 ORDER BY record_offset"
    assert await fetch(postgres_dsn, query, group) == [
        (-4, b"old 0"),
        (-3, b"old 1"),
        (-2, b"old 2"),
        (-1, b"old 3"),
        (0, b"new 0"),
        (1, b"new 1"),
    ]


async def test_log_that_grew_meanwhile(postgres_dsn: str, group: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is reset if the log has grown, and another worker has read on, since its end was fetched."""
    async with opened(postgres_dsn, group) as router:
        await router.assign([PARTITION], Log().fetch_ranges)
        await router.put(PARTITION, batch(0, 20))
        await router.flush()
        answers = iter([{PARTITION: OffsetRange(0, 10)}, {PARTITION: OffsetRange(0, 25)}])

        async def fetch_ranges() -> Mapping[TopicPartition, OffsetRange]:
            return next(answers)

        assert await router.assign([PARTITION], fetch_ranges) == {PARTITION: 20}
    assert not caplog.text


async def test_fenced(postgres_dsn: str, group: str) -> None:
    """A worker that lost its partition writes nothing more, and starts again at the offset of the new owner."""
    async with opened(postgres_dsn, group) as old, opened(postgres_dsn, group) as new:
        for owner in (old, new):
            await owner.assign([PARTITION], Log().fetch_ranges)
        await new.put(PARTITION, batch(0, 10))
        await new.flush()
        assert await old.put(PARTITION, batch(0, 8))
        await old.flush()
        assert not old.check(), "noticed without another batch"
        assert await old.put(PARTITION, batch(8, 16)), "dropped"
        assert await old.assign([PARTITION], Log().fetch_ranges) == {PARTITION: 10}
        assert old.check()
        assert await old.put(PARTITION, batch(10, 20))
    assert await account(postgres_dsn, group) == (0, 20, 20)


async def test_fenced_for_ever(postgres_dsn: str, group: str) -> None:
    """Of two workers that both believe to own a partition, the one that never commits gives up."""
    async with opened(postgres_dsn, group) as weak, opened(postgres_dsn, group) as strong:
        for offset in range(MAX_FENCES + 1):
            for owner in (weak, strong):
                await owner.assign([PARTITION], Log().fetch_ranges)
            for owner in (strong, weak):
                await owner.put(PARTITION, batch(offset, offset + 1))
                await owner.flush()
            if offset < MAX_FENCES:
                assert not weak.check()
        with pytest.raises(Fenced):
            weak.check()


deliveries = st.lists(st.tuples(st.integers(0, len(VALUES) - 1), st.integers(1, 12), st.booleans()), max_size=25)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=deliveries)
async def test_any_delivery(postgres_dsn: str, deliveries: list[tuple[int, int, bool]]) -> None:
    """Law: batches may come in any order, repeatedly or not at all, and partitions be assigned at any time: once the
    log has been read to its end, every record was read exactly once."""
    group = f"group-{next(_groups)}"
    async with AsyncExitStack() as stack:
        router = await stack.enter_async_context(opened(postgres_dsn, group))
        await router.assign([PARTITION], Log().fetch_ranges)
        for start, length, assign in deliveries:
            if not await router.put(PARTITION, batch(start, min(start + length, len(VALUES)))) or assign:
                await router.assign([PARTITION], Log().fetch_ranges)
        position = (await router.assign([PARTITION], Log().fetch_ranges))[PARTITION]
        for start in range(position, len(VALUES), 7):
            assert await router.put(PARTITION, batch(start, min(start + 7, len(VALUES))))
    assert await account(postgres_dsn, group) == (0, len(VALUES), len(VALUES))
