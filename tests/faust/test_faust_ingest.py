"""What Faust may do wrong between a log and the writer, and that it does not matter."""

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
from eventbus.processors.faust_app.chunks import Bounds, Chunk
from eventbus.processors.ingest.pipeline import Pipeline
from eventbus.processors.ingest.router import MOST_FENCES, Ingest
from eventbus.processors.store.definitions import Facts
from eventbus.processors.store.offsets import rewind
from eventbus.record import TopicPartition
from tests.faust.world import CATALOG, fetch, generated

FACTS = Facts.of(CATALOG)
PARTITION = TopicPartition("omninode.agent", 0)
VALUES = [event.to_bytes() for event in generated(30)]
_groups = itertools.count()


class Log:
    """A partition as the broker has it: `bounds` is what an ingest asks for."""

    def __init__(self, end: int = len(VALUES), earliest: int = 0) -> None:
        self.held = Bounds(earliest, end)

    async def bounds(self) -> Mapping[TopicPartition, Bounds]:
        return {PARTITION: self.held}


def chunk(start: int, end: int, first: int | None = None) -> Chunk:
    """The records from `start` to `end`; those before `first` do not exist any more."""
    return Chunk(start, end, [(offset, VALUES[offset]) for offset in range(start if first is None else first, end)])


@asynccontextmanager
async def ingest(dsn: str, group: str, reset: AutoOffsetReset = "earliest") -> AsyncIterator[Ingest]:
    made = Ingest(
        [PARTITION.topic], [Pipeline(dsn, FACTS, group=group)], partial(rewind, dsn, group), auto_offset_reset=reset
    )
    await made.open()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
def group() -> str:
    return f"group-{next(_groups)}"


async def account(dsn: str, group: str) -> tuple[object, ...]:
    """First offset, next offset and records read."""
    query = "SELECT first_offset, next_offset, read FROM eventbus.offsets WHERE consumer_group = $1"
    [row] = await fetch(dsn, query, group)
    return row


async def test_chunks_in_order(postgres_dsn: str, group: str) -> None:
    """Chunks that follow each other are taken."""
    async with ingest(postgres_dsn, group) as taking:
        assert await taking.assign([PARTITION], Log().bounds) == {PARTITION: 0}
        assert await taking.put(PARTITION, chunk(0, 10))
        assert await taking.put(PARTITION, chunk(10, 20))
        await taking.finish()
        assert taking.committed() == {PARTITION: 20}
    assert await account(postgres_dsn, group) == (0, 20, 20)


async def test_chunks_again(postgres_dsn: str, group: str) -> None:
    """A chunk that comes again is passed over, and of one that overlaps only the rest is taken."""
    async with ingest(postgres_dsn, group) as taking:
        await taking.assign([PARTITION], Log().bounds)
        for part in (chunk(0, 10), chunk(0, 10), chunk(5, 15), chunk(3, 4)):
            assert await taking.put(PARTITION, part)
    assert await account(postgres_dsn, group) == (0, 15, 15)


async def test_missing_chunk(postgres_dsn: str, group: str) -> None:
    """Behind a hole nothing is taken until the partition is assigned anew, from where the database is."""
    async with ingest(postgres_dsn, group) as taking:
        await taking.assign([PARTITION], Log().bounds)
        assert await taking.put(PARTITION, chunk(0, 10))
        assert not await taking.put(PARTITION, chunk(15, 20))
        assert await taking.put(PARTITION, chunk(10, 15)), "dropped, without asking again"
        await taking.finish()
        assert await taking.assign([PARTITION], Log().bounds) == {PARTITION: 10}
        assert await taking.put(PARTITION, chunk(10, 20))
    assert await account(postgres_dsn, group) == (0, 20, 20)


async def test_other_partitions(postgres_dsn: str, group: str) -> None:
    """What is not assigned is not taken."""
    async with ingest(postgres_dsn, group) as taking:
        await taking.assign([PARTITION], Log().bounds)
        assert await taking.put(TopicPartition(PARTITION.topic, 1), chunk(0, 10))
        await taking.assign([], Log().bounds)
        assert await taking.put(PARTITION, chunk(0, 10))
        await taking.finish()
    assert await account(postgres_dsn, group) == (0, 0, 0)


async def test_offsets_without_records(postgres_dsn: str, group: str) -> None:
    """Offsets that hold no record are passed over, at the end of a chunk and in a chunk of nothing else."""
    async with ingest(postgres_dsn, group) as taking:
        await taking.assign([PARTITION], Log().bounds)
        assert await taking.put(PARTITION, Chunk(0, 15, chunk(0, 10).records))
        assert await taking.put(PARTITION, Chunk(15, 20, []))
        assert await taking.put(PARTITION, chunk(20, 30, first=25))
    assert await account(postgres_dsn, group) == (0, 30, 15)


@pytest.mark.parametrize(("reset", "first"), [("earliest", 5), ("latest", 20)])
async def test_first_assignment(postgres_dsn: str, group: str, reset: AutoOffsetReset, first: int) -> None:
    """A partition that the group has never read begins where it was told, and that is noted at once."""
    async with ingest(postgres_dsn, group, reset) as taking:
        assert await taking.assign([PARTITION], Log(end=20, earliest=5).bounds) == {PARTITION: first}
    async with ingest(postgres_dsn, group, reset) as taking:
        assert await taking.assign([PARTITION], Log(end=30).bounds) == {PARTITION: first}


async def test_deleted_before_it_was_read(postgres_dsn: str, group: str, caplog: pytest.LogCaptureFixture) -> None:
    """What retention took before it was read is said loudly; reading goes on with the oldest that is there."""
    async with ingest(postgres_dsn, group) as taking:
        await taking.assign([PARTITION], Log().bounds)
        assert await taking.assign([PARTITION], Log(earliest=10).bounds) == {PARTITION: 10}
        assert "offsets 0 to 9 were deleted by retention" in caplog.text
        assert await taking.put(PARTITION, chunk(10, 20))
    assert await account(postgres_dsn, group) == (0, 20, 10)


async def test_log_made_anew(postgres_dsn: str, group: str, caplog: pytest.LogCaptureFixture) -> None:
    """An offset beyond the end of the log is said loudly, and reading begins at the start of that other log."""
    async with ingest(postgres_dsn, group) as taking:
        await taking.assign([PARTITION], Log().bounds)
        await taking.put(PARTITION, chunk(0, 20))
        await taking.finish()
        assert await taking.assign([PARTITION], Log(end=8, earliest=3).bounds) == {PARTITION: 3}
        assert "expected offset 20, but the log ends at 8" in caplog.text
        assert await taking.put(PARTITION, chunk(3, 8))
    assert await account(postgres_dsn, group) == (-17, 8, 25)


async def test_dead_letters_of_a_log_made_anew(postgres_dsn: str, group: str) -> None:
    """What was no event in the old log is kept beside what is none at the same offset of the new one."""
    async with ingest(postgres_dsn, group) as taking:
        await taking.assign([PARTITION], Log().bounds)
        await taking.put(PARTITION, Chunk(0, 4, [(offset, b"old %d" % offset) for offset in range(4)]))
        await taking.finish()
        await taking.assign([PARTITION], Log(end=2).bounds)
        await taking.put(PARTITION, Chunk(0, 2, [(offset, b"new %d" % offset) for offset in range(2)]))
    query = "SELECT off, value FROM eventbus.dead_letter WHERE consumer_group = $1 ORDER BY off"
    assert await fetch(postgres_dsn, query, group) == [
        (-4, b"old 0"),
        (-3, b"old 1"),
        (-2, b"old 2"),
        (-1, b"old 3"),
        (0, b"new 0"),
        (1, b"new 1"),
    ]


async def test_log_that_grew_meanwhile(postgres_dsn: str, group: str, caplog: pytest.LogCaptureFixture) -> None:
    """When the log ended sooner only because it was asked before another worker read on, nothing is wrong."""
    async with ingest(postgres_dsn, group) as taking:
        await taking.assign([PARTITION], Log().bounds)
        await taking.put(PARTITION, chunk(0, 20))
        await taking.finish()
        answers = iter([{PARTITION: Bounds(0, 10)}, {PARTITION: Bounds(0, 25)}])

        async def bounds() -> Mapping[TopicPartition, Bounds]:
            return next(answers)

        assert await taking.assign([PARTITION], bounds) == {PARTITION: 20}
    assert not caplog.text


async def test_fenced(postgres_dsn: str, group: str) -> None:
    """A worker that lost its partition writes nothing more, and begins again where the new owner is."""
    async with ingest(postgres_dsn, group) as old, ingest(postgres_dsn, group) as new:
        for owner in (old, new):
            await owner.assign([PARTITION], Log().bounds)
        await new.put(PARTITION, chunk(0, 10))
        await new.finish()
        assert await old.put(PARTITION, chunk(0, 8))
        await old.finish()
        assert not old.check(), "noticed without another chunk"
        assert await old.put(PARTITION, chunk(8, 16)), "dropped"
        assert await old.assign([PARTITION], Log().bounds) == {PARTITION: 10}
        assert old.check()
        assert await old.put(PARTITION, chunk(10, 20))
    assert await account(postgres_dsn, group) == (0, 20, 20)


async def test_fenced_for_ever(postgres_dsn: str, group: str) -> None:
    """Two workers that both believe to own a partition do not fight for ever: the one that never wins ends."""
    async with ingest(postgres_dsn, group) as weak, ingest(postgres_dsn, group) as strong:
        for offset in range(MOST_FENCES + 1):
            for owner in (weak, strong):
                await owner.assign([PARTITION], Log().bounds)
            for owner in (strong, weak):
                await owner.put(PARTITION, chunk(offset, offset + 1))
                await owner.finish()
            if offset < MOST_FENCES:
                assert not weak.check()
        with pytest.raises(Fenced):
            weak.check()


deliveries = st.lists(st.tuples(st.integers(0, len(VALUES) - 1), st.integers(1, 12), st.booleans()), max_size=25)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=deliveries)
async def test_any_delivery(postgres_dsn: str, deliveries: list[tuple[int, int, bool]]) -> None:
    """Law: chunks may come in any order, again, or not at all, partitions be assigned at any time; in the end, when
    the log has been read to its end, every record was read exactly once."""
    group = f"group-{next(_groups)}"
    async with AsyncExitStack() as stack:
        taking = await stack.enter_async_context(ingest(postgres_dsn, group))
        await taking.assign([PARTITION], Log().bounds)
        for start, length, assign in deliveries:
            if not await taking.put(PARTITION, chunk(start, min(start + length, len(VALUES)))) or assign:
                await taking.assign([PARTITION], Log().bounds)
        position = (await taking.assign([PARTITION], Log().bounds))[PARTITION]
        for start in range(position, len(VALUES), 7):
            assert await taking.put(PARTITION, chunk(start, min(start + 7, len(VALUES))))
    assert await account(postgres_dsn, group) == (0, len(VALUES), len(VALUES))
