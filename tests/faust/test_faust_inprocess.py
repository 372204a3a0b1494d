"""From the in-process bus through Faust to PostgreSQL: every published event is stored exactly once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import faust
import pytest

from eventbus import InProcessBus
from eventbus.chains import ChainGenerator
from eventbus.event import Event, now_us, uuid7
from eventbus.processors.errors import Stalled, StoreError, StoreUnreachable
from eventbus.processors.faust_app.agents import events as events_of
from eventbus.processors.ingest.router import FetchedBatch
from eventbus.processors.processor import RUN_RETENTION, Processor
from eventbus.processors.store.connect import connect
from eventbus.processors.store.offsets import archive_runs
from eventbus.record import ProducerRecord
from tests.faust.world import CATALOG, assert_exact, fetch, generated, kill_writers, sums, until

GROUP = "eventbus"


@pytest.fixture
async def bus() -> AsyncIterator[InProcessBus]:
    async with InProcessBus() as bus:
        yield bus


def processor(dsn: str, bus: InProcessBus, **options: object) -> Processor:
    return Processor(dsn, catalog=CATALOG, bus=bus, **options)  # type: ignore[arg-type]  # options vary


async def test_generator_to_rows(postgres_dsn: str, bus: InProcessBus) -> None:
    """Every event of a paced run is stored once, and every chain is counted."""
    generator = ChainGenerator(CATALOG, seed=3)
    async with processor(postgres_dsn, bus) as running:
        await generator.run(bus, initial_chains=50, interval=1.0, duration=20.0, speed=float("inf"))
        await bus.settled(GROUP)
        statistics = running.statistics()
    published = bus.events()
    assert len(published) == generator.statistics().emitted > 100
    count = len(published)
    assert (statistics.read, statistics.new, statistics.duplicates, statistics.dead) == (count, count, 0, 0)
    assert sum(statistics.lag.values()) == 0
    await assert_exact(postgres_dsn, published)


async def test_the_working_directory_stays_as_it_is(
    postgres_dsn: str, bus: InProcessBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust creates no directory in the working directory, which may be read-only."""
    monkeypatch.chdir(tmp_path)
    async with processor(postgres_dsn, bus):
        await bus.publish_many(generated(1))
        await bus.settled(GROUP)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("pipelines", [1, 3])
async def test_many_events(postgres_dsn: str, bus: InProcessBus, pipelines: int) -> None:
    """More events than the buffers hold, over one connection or several."""
    events = generated(8_000)
    async with processor(postgres_dsn, bus, pipelines=pipelines):
        await bus.publish_many(events)
        await bus.settled(GROUP)
    await assert_exact(postgres_dsn, events)


async def test_auto_offset_reset(postgres_dsn: str, bus: InProcessBus) -> None:
    """A processor reads from the beginning, or only events published after its start."""
    old, new = generated(20, seed=1), generated(20, seed=2)
    await bus.publish_many(old)
    async with processor(postgres_dsn, bus, group="late", auto_offset_reset="latest"):
        await bus.publish_many(new)
        await bus.settled("late")
    await assert_exact(postgres_dsn, new)
    async with processor(postgres_dsn, bus, group="early"):
        await bus.settled("early")
    assert await sums(postgres_dsn) == (len(old) + 2 * len(new), len(old) + len(new), len(new), 0)


async def test_poison(postgres_dsn: str, bus: InProcessBus) -> None:
    """Records that are not events become dead letters with value and reason; the others are stored."""
    events = generated(20)
    poison = [ProducerRecord("omninode.agent", b"k", value, 0, ()) for value in (b"{", None, b"[]")]
    async with processor(postgres_dsn, bus):
        await bus.publish_many([*events[:10], *poison, *events[10:]])
        await bus.settled(GROUP)
    assert await sums(postgres_dsn) == (len(events) + 3, len(events), 0, 3)
    rows = await fetch(postgres_dsn, "SELECT value, error FROM eventbus.dead_letter ORDER BY record_offset")
    assert [value for value, _ in rows] == [b"{", None, b"[]"]
    assert all("JSON" in str(error) for _, error in rows)
    await assert_exact(postgres_dsn, events)


async def test_replay(postgres_dsn: str, bus: InProcessBus) -> None:
    """An event published twice is stored once, and counted once as a duplicate."""
    events = generated(100)
    async with processor(postgres_dsn, bus):
        await bus.publish_many(events)
        await bus.publish_many(reversed(events))
        await bus.settled(GROUP)
    assert await sums(postgres_dsn) == (2 * len(events), len(events), len(events), 0)
    await assert_exact(postgres_dsn, events)


async def test_restart_on_the_same_bus(postgres_dsn: str, bus: InProcessBus) -> None:
    """A second processor continues where the first one stopped: nothing is read twice."""
    events = generated(3_000)
    async with processor(postgres_dsn, bus):
        await bus.publish_many(events[:4_000])
    assert await sums(postgres_dsn) <= (4_000, 4_000, 0, 0)
    async with processor(postgres_dsn, bus):
        await bus.publish_many(events[4_000:])
        await bus.settled(GROUP)
    assert await sums(postgres_dsn) == (len(events), len(events), 0, 0)
    await assert_exact(postgres_dsn, events)


async def test_next_run_on_the_same_database(postgres_dsn: str) -> None:
    """Each bus has its own offsets and dead letters, although all begin at offset 0."""
    first, second = generated(50, seed=1), generated(50, seed=2)
    poison = ProducerRecord("omninode.agent", b"k", b"{", 0, ())
    for events in (first, second):
        async with InProcessBus() as bus, processor(postgres_dsn, bus):
            await bus.publish_many([poison, *events])
            await bus.settled(GROUP)
    await assert_exact(postgres_dsn, [*first, *second])
    assert await fetch(postgres_dsn, "SELECT count(*) FROM eventbus.dead_letter") == [(2,)]


async def test_two_runs_at_once(postgres_dsn: str) -> None:
    """Two programs with separate buses share a database without fencing each other."""
    first, second = generated(500, seed=1), generated(500, seed=2)
    one, other = InProcessBus(), InProcessBus()
    async with one, other, processor(postgres_dsn, one) as left, processor(postgres_dsn, other) as right:
        await asyncio.gather(one.publish_many(first), other.publish_many(second))
        await asyncio.gather(one.settled(GROUP), other.settled(GROUP))
        assert left.statistics().fences == right.statistics().fences == 0
    await assert_exact(postgres_dsn, [*first, *second])


async def test_old_runs_are_archived(postgres_dsn: str) -> None:
    """Offsets of old runs are merged into one row per partition that keeps their counts; recent ones stay."""
    rows = "INSERT INTO eventbus.offsets VALUES ($1, 'omninode.agent', 0, 0, $2, $2, $2, 0, 0)"
    old, young = (uuid7(now_us() - age, 0) for age in (2 * RUN_RETENTION, 0))
    other = uuid7(now_us() - 3 * RUN_RETENTION, 0)
    for group, count in ((f"eventbus@{old}", 5), (f"eventbus@{young}", 7), ("eventbus", 11), (f"audit@{old}", 13)):
        await fetch(postgres_dsn, rows, group, count)
    assert await archive_runs(postgres_dsn, "eventbus", uuid7(now_us() - RUN_RETENTION, 0)) == 1
    await fetch(postgres_dsn, rows, f"eventbus@{other}", 17)
    assert await archive_runs(postgres_dsn, "eventbus", uuid7(now_us() - RUN_RETENTION, 0)) == 1
    left = await fetch(postgres_dsn, "SELECT consumer_group, next_offset, new FROM eventbus.offsets ORDER BY new")
    assert left == [
        (f"eventbus@{young}", 7, 7),
        ("eventbus", 11, 11),
        (f"audit@{old}", 13, 13),
        ("eventbus@", 22, 22),
    ]


async def test_cancelled(postgres_dsn: str, bus: InProcessBus) -> None:
    """A cancelled program leaves no group member behind; the next one stores the rest."""
    events = generated(3_000)
    started = asyncio.Event()

    async def program() -> None:
        async with processor(postgres_dsn, bus):
            started.set()
            await bus.publish_many(events)
            await asyncio.Event().wait()

    task = asyncio.create_task(program())
    await started.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bus.broker_statistics().groups[GROUP].members == 0
    await bus.publish_many(events)  # some of them twice
    async with processor(postgres_dsn, bus):
        await bus.settled(GROUP)
    await assert_exact(postgres_dsn, events)


async def test_backends_killed(postgres_dsn: str, bus: InProcessBus) -> None:
    """The server terminates the writers' connections repeatedly: they reconnect and count nothing twice."""
    events = generated(20_000)
    async with processor(postgres_dsn, bus, pipelines=2) as running:
        publishing = asyncio.create_task(bus.publish_many(events))
        for _ in range(5):
            before = running.statistics().new
            await until(lambda before=before: running.statistics().new > before)  # type: ignore[misc]
            assert await kill_writers(postgres_dsn) > 0
        await publishing
        await bus.settled(GROUP)
        assert running.statistics().retries > 0
    await assert_exact(postgres_dsn, events)


async def test_partitions_are_shared(postgres_dsn: str, bus: InProcessBus) -> None:
    """Two processors of one group share the partitions; when one leaves, the other takes over all."""
    events = generated(4_000)
    async with processor(postgres_dsn, bus) as one:
        await bus.publish_many(events[:3_000])
        async with processor(postgres_dsn, bus) as other:
            await bus.publish_many(events[3_000:6_000])
            await bus.settled(GROUP)
            shares = [set(member.statistics().lag) for member in (one, other)]
            assert all(shares)
            assert not shares[0] & shares[1]
        await bus.publish_many(events[6_000:])
        await bus.settled(GROUP)
        assert set(one.statistics().lag) == shares[0] | shares[1]
    await assert_exact(postgres_dsn, events)


@pytest.mark.parametrize("more", [50, 200])
@pytest.mark.parametrize("topic", [None, "omninode.agent"], ids=["reset", "delete"])
async def test_log_emptied_while_running(postgres_dsn: str, bus: InProcessBus, topic: str | None, more: int) -> None:
    """Every record of a new log is read, whether it grows beyond the former offsets or not."""
    events = generated(300)
    async with processor(postgres_dsn, bus):
        await bus.publish_many(events[:100])
        await bus.settled(GROUP)
        if topic:
            await bus.delete_topic(topic)
        else:
            bus.reset()
        await bus.publish_many(events[100 : 100 + more])
        await bus.settled(GROUP)
    await assert_exact(postgres_dsn, events[: 100 + more])


async def test_offsets_beyond_the_end(postgres_dsn: str, bus: InProcessBus, caplog: pytest.LogCaptureFixture) -> None:
    """An offset beyond the end of the log is logged as an error, and the log is read from its beginning."""
    events = generated(100)
    async with processor(postgres_dsn, bus):
        await bus.publish_many(events)
        await bus.settled(GROUP)
    await fetch(postgres_dsn, "UPDATE eventbus.offsets SET next_offset = next_offset + 1000, first_offset = 1000")
    async with processor(postgres_dsn, bus) as running:
        assert "deleted and created anew" in caplog.text
        await until(lambda: running.statistics().duplicates == len(events))
    assert await sums(postgres_dsn) == (2 * len(events), len(events), len(events), 0)
    laws = "SELECT bool_and(next_offset - first_offset = read) FROM eventbus.offsets"
    assert await fetch(postgres_dsn, laws) == [(True,)]


async def test_additional_agents(postgres_dsn: str, bus: InProcessBus) -> None:
    """A user's agent reads the stored events, and sends to a topic that another agent reads."""
    events = generated(200)
    failed: list[Event] = []
    alerts: list[str] = []
    enough = asyncio.Event()
    running = processor(postgres_dsn, bus)
    app = running.app
    topic = app.topic("alerts", value_serializer="json")

    @app.agent(app.topic("omninode.agent"))
    async def alert(stream: faust.StreamT[FetchedBatch]) -> None:
        async for event in events_of(stream):
            if event.event_type.endswith(".failed.v1"):
                failed.append(event)
                await topic.send(key=event.correlation_id, value={"chain": event.correlation_id})

    @app.agent(topic)
    async def collect(stream: faust.StreamT[dict[str, str]]) -> None:
        async for value in stream:
            alerts.append(value["chain"])
            if len(alerts) == len(wanted):
                enough.set()

    wanted = [event for event in events if event.event_type.endswith("agent.execution.failed.v1")]
    async with running:
        await bus.publish_many([*events, ProducerRecord("omninode.agent", b"k", b"no event", 0, ())])
        await enough.wait()
        await bus.settled(GROUP)
    assert {event.event_id for event in failed} == {event.event_id for event in wanted}
    assert sorted(alerts) == sorted(event.correlation_id for event in wanted)
    await assert_exact(postgres_dsn, events)


async def test_permanent_error(postgres_dsn: str, bus: InProcessBus) -> None:
    """An error that is not transient stops the processor, and is raised by `wait`."""
    async with processor(postgres_dsn, bus) as running:
        await fetch(postgres_dsn, "DROP TABLE eventbus.events CASCADE")
        await bus.publish_many(generated(5))
        with pytest.raises(StoreError, match=r"refuses to store events.*does not exist"):
            await running.wait()


async def test_stalled(postgres_dsn: str, bus: InProcessBus) -> None:
    """A processor that stores nothing although events wait stops with `Stalled`."""
    connection = await connect(postgres_dsn)
    async with processor(postgres_dsn, bus, stall_timeout=0.5) as running, connection.transaction():
        await connection.execute("LOCK TABLE eventbus.offsets")
        await bus.publish_many(generated(5))
        with pytest.raises(Stalled, match="events wait"):
            await running.wait()
    await connection.close()


async def test_no_database(bus: InProcessBus) -> None:
    """An unreachable database raises an error at the start, and leaves no group member behind."""
    running = processor("postgresql://nobody@127.0.0.1:1/none", bus)
    with pytest.raises(StoreUnreachable):
        await running.start()
    assert not bus.broker_statistics().groups


async def test_bus_or_brokers(postgres_dsn: str, bus: InProcessBus) -> None:
    """A processor requires exactly one of bus and bootstrap servers."""
    with pytest.raises(TypeError, match="either a bus or bootstrap_servers"):
        Processor(postgres_dsn)
    with pytest.raises(TypeError, match="either a bus or bootstrap_servers"):
        Processor(postgres_dsn, bus=bus, bootstrap_servers="localhost:9092")
