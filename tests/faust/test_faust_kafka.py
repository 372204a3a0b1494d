"""From Kafka through Faust to PostgreSQL: every event is stored exactly once, whatever fails."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from eventbus import KafkaBus
from eventbus.event import Event
from eventbus.processors.faust_app.kafka_transport import credentials
from eventbus.processors.processor import Processor
from eventbus.record import ProducerRecord, record_of
from tests.faust.world import CATALOG, assert_exact, fetch, generated, kill_writers, until
from tests.kafka.properties import USERS
from tests.kafka.server import KafkaServer

pytestmark = pytest.mark.kafka

PARTITIONS = 4
EVENTBUS = [sys.executable, "-m", "eventbus"]


@pytest.fixture
async def topic(kafka_bootstrap: str, kafka_topic: str) -> str:
    """A topic for this test."""
    await make_topic(kafka_bootstrap, kafka_topic)
    return kafka_topic


async def make_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()


async def delete_topic(bootstrap: str, topic: str) -> None:
    """Delete a topic; returns when it is gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    while topic in await admin.list_topics():  # noqa: ASYNC110 - Kafka has no notification
        await asyncio.sleep(0.05)
    await admin.close()


async def committed(bootstrap: str, group: str) -> list[int]:
    """Offsets that a group has committed to Kafka for the topic of the same name, by partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    offsets = await admin.list_consumer_group_offsets(group)
    await admin.close()
    return [offsets[TopicPartition(group, partition)].offset for partition in range(PARTITIONS)]


async def commit(bootstrap: str, group: str, offset: int) -> None:
    """Commit an offset for the topic of the same name, as `kafka-consumer-groups --reset-offsets` does."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    partitions = [TopicPartition(group, partition) for partition in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.start()
    await consumer.commit(dict.fromkeys(partitions, offset))
    await consumer.stop()


async def produce(bootstrap: str, topic: str, events: Iterable[Event]) -> None:
    async with KafkaBus(bootstrap) as bus:
        await bus.publish_many(record_of(event, topic) for event in events)


def processor(dsn: str, bootstrap: str, topic: str, **options: object) -> Processor:
    options = {"group": topic, "broker_session_timeout": 6.0, **options}
    return Processor(dsn, catalog=CATALOG, bootstrap_servers=bootstrap, topics=[topic], **options)  # type: ignore[arg-type]


@asynccontextmanager
async def worker(dsn: str, bootstrap: str, topic: str, *options: str) -> AsyncIterator[Process]:
    """A process that runs `eventbus process`."""
    arguments = ["--bootstrap-servers", bootstrap, "--topics", topic, "--group", topic, "--database-url", dsn, *options]
    process = await asyncio.create_subprocess_exec(*EVENTBUS, "process", *arguments, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_round_trip(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """Events produced before and after the start are stored, over two connections."""
    events = generated(3_000)
    await produce(kafka_bootstrap, topic, events[:4_000])
    async with processor(postgres_dsn, kafka_bootstrap, topic, pipelines=2) as running:
        await produce(kafka_bootstrap, topic, events[4_000:])
        await until(lambda: running.statistics().read == len(events))
        assert sum(running.statistics().lag.values()) == 0
    await assert_exact(postgres_dsn, events)


async def test_restart_reads_nothing_twice(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """The next processor continues at the offsets of the database, whatever Kafka has."""
    events = generated(1_000)
    await produce(kafka_bootstrap, topic, events)
    async with processor(postgres_dsn, kafka_bootstrap, topic) as running:
        await until(lambda: running.statistics().read == len(events))
    await commit(kafka_bootstrap, topic, 1)  # as a tool may do
    async with processor(postgres_dsn, kafka_bootstrap, topic) as running:
        await produce(kafka_bootstrap, topic, generated(10, seed=1))
        await until(lambda: running.statistics().read == len(generated(10, seed=1)))
        assert running.statistics().duplicates == 0


async def test_progress_is_published(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """Kafka's lag tools see the offsets of the database once the processor has stopped."""
    events = generated(500)
    await produce(kafka_bootstrap, topic, events)
    async with processor(postgres_dsn, kafka_bootstrap, topic) as running:
        await until(lambda: running.statistics().read == len(events))
    stored = await fetch(postgres_dsn, "SELECT partition_id, next_offset FROM eventbus.offsets ORDER BY partition_id")
    assert await committed(kafka_bootstrap, topic) == [offset for _, offset in stored]


async def test_latest(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """With `latest`, a new group skips older events, also if it was stopped before the first event."""
    old, new = generated(100, seed=1), generated(100, seed=2)
    await produce(kafka_bootstrap, topic, old)
    async with processor(postgres_dsn, kafka_bootstrap, topic, auto_offset_reset="latest"):
        pass
    await produce(kafka_bootstrap, topic, new)
    async with processor(postgres_dsn, kafka_bootstrap, topic, auto_offset_reset="latest") as running:
        await until(lambda: running.statistics().read == len(new))
    await assert_exact(postgres_dsn, new)


async def test_poison(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """Records that are not events become dead letters; the others are stored."""
    events = generated(100)
    await produce(kafka_bootstrap, topic, events[:100])
    async with KafkaBus(kafka_bootstrap) as bus:
        await bus.publish_many([ProducerRecord(topic, b"k", b"\xff", 0, ()), ProducerRecord(topic, b"k", None, 0, ())])
    await produce(kafka_bootstrap, topic, events[100:])
    async with processor(postgres_dsn, kafka_bootstrap, topic) as running:
        await until(lambda: running.statistics().read == len(events) + 2)
    assert await fetch(postgres_dsn, "SELECT value FROM eventbus.dead_letter ORDER BY record_offset") == [
        (b"\xff",),
        (None,),
    ]
    await assert_exact(postgres_dsn, events)


async def test_transactions(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """Transaction markers are passed over, and do not count as lag."""
    events = generated(20)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=topic)
    await producer.start()
    for event in events:
        async with producer.transaction():
            await producer.send_and_wait(topic, event.to_bytes(), key=event.key)
    await producer.stop()
    async with processor(postgres_dsn, kafka_bootstrap, topic) as running:
        await until(lambda: running.statistics().read == len(events) and not any(running.statistics().lag.values()))
    await assert_exact(postgres_dsn, events)
    assert await fetch(postgres_dsn, "SELECT sum(next_offset) FROM eventbus.offsets") == [(2 * len(events),)]


async def test_rebalance(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """Processors join and leave while events are produced: nothing is lost or stored twice."""
    events = generated(12_000)
    waves = [events[:10_000], events[10_000:20_000], events[20_000:]]
    async with processor(postgres_dsn, kafka_bootstrap, topic) as one:
        producing = asyncio.create_task(produce(kafka_bootstrap, topic, waves[0]))
        async with processor(postgres_dsn, kafka_bootstrap, topic) as other:
            await until(lambda: len(one.statistics().lag) == len(other.statistics().lag) == PARTITIONS // 2)
            await producing
            producing = asyncio.create_task(produce(kafka_bootstrap, topic, waves[1]))
            await until(lambda: other.statistics().read > 0)
        await producing
        await produce(kafka_bootstrap, topic, waves[2])
        await until(lambda: one.statistics().read + other.statistics().read == len(events))
        assert len(one.statistics().lag) == PARTITIONS
    await assert_exact(postgres_dsn, events)


async def test_backends_killed(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """The server terminates the writers' connections repeatedly: they reconnect and count nothing twice."""
    events = generated(12_000)
    async with processor(postgres_dsn, kafka_bootstrap, topic, pipelines=2) as running:
        producing = asyncio.create_task(produce(kafka_bootstrap, topic, events))
        for _ in range(3):
            before = running.statistics().new
            await until(lambda before=before: running.statistics().new > before)  # type: ignore[misc]
            assert await kill_writers(postgres_dsn) > 0
        await producing
        await until(lambda: running.statistics().read == len(events))
    await assert_exact(postgres_dsn, events)


async def test_new_topic(postgres_dsn: str, kafka_bootstrap: str, kafka_topic: str) -> None:
    """A topic created while the processor waits for it is read from its first event."""
    events = generated(100)
    options = {"consumer_metadata_max_age_ms": 500}
    async with processor(postgres_dsn, kafka_bootstrap, kafka_topic, auto_offset_reset="latest", **options) as running:
        await make_topic(kafka_bootstrap, kafka_topic)
        await until(lambda: len(running.statistics().lag) == PARTITIONS)
        await produce(kafka_bootstrap, kafka_topic, events)
        await until(lambda: running.statistics().read == len(events))
    await assert_exact(postgres_dsn, events)


async def test_recreated_topic(
    postgres_dsn: str, kafka_bootstrap: str, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A topic that was deleted and recreated is logged as an error, and read from its beginning."""
    old, new = generated(200, seed=1), generated(50, seed=2)
    await produce(kafka_bootstrap, topic, old)
    async with processor(postgres_dsn, kafka_bootstrap, topic) as running:
        await until(lambda: running.statistics().read == len(old))
    await delete_topic(kafka_bootstrap, topic)
    await make_topic(kafka_bootstrap, topic)
    await produce(kafka_bootstrap, topic, new)
    async with processor(postgres_dsn, kafka_bootstrap, topic) as running:
        await until(lambda: running.statistics().read == len(new))
    assert "deleted and created anew" in caplog.text
    await assert_exact(postgres_dsn, [*old, *new])


async def test_kill_9(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """Two workers are killed while they write: other workers take over, and nothing is lost or stored twice."""
    events = generated(40_000)
    producing = asyncio.create_task(produce(kafka_bootstrap, topic, events))
    async with worker(postgres_dsn, kafka_bootstrap, topic) as one, worker(postgres_dsn, kafka_bootstrap, topic) as two:
        for victim in (one, two):
            await stored_more_than(postgres_dsn, await stored_count(postgres_dsn))
            victim.send_signal(signal.SIGKILL)
            await victim.wait()
            assert await stored_count(postgres_dsn) < len(events)
            async with worker(postgres_dsn, kafka_bootstrap, topic) as heir:
                await stored_more_than(postgres_dsn, await stored_count(postgres_dsn))
                heir.send_signal(signal.SIGKILL)
        await producing
    async with worker(postgres_dsn, kafka_bootstrap, topic):
        await stored_more_than(postgres_dsn, len(events) - 1)
    await assert_exact(postgres_dsn, events)


async def stored_more_than(dsn: str, count: int) -> None:
    """Wait until more events than `count` are stored."""
    while await stored_count(dsn) <= count:  # noqa: ASYNC110 - another process stores them
        await asyncio.sleep(0.02)


async def stored_count(dsn: str) -> int:
    [(count,)] = await fetch(dsn, "SELECT coalesce(sum(new), 0)::bigint FROM eventbus.offsets")
    return int(str(count))


async def test_process_command(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """`eventbus process` exits on SIGTERM with code 0, and prints counts that add up."""
    events = generated(200)
    await produce(kafka_bootstrap, topic, events)
    async with worker(postgres_dsn, kafka_bootstrap, topic) as process:
        await stored_more_than(postgres_dsn, len(events) - 1)
        process.send_signal(signal.SIGTERM)
        out, error = await process.communicate()
    assert process.returncode == 0, error
    n = f"{len(events):,}"
    assert out.decode().splitlines()[-1] == f"{n} read = {n} new + 0 duplicates + 0 dead letters"
    assert b"Traceback" not in error


async def test_process_command_without_broker(postgres_dsn: str) -> None:
    """Without a broker, `eventbus process` exits with 1 and a one-line message."""
    async with worker(postgres_dsn, "127.0.0.1:1", "none") as process:
        _, error = await process.communicate()
    assert process.returncode == 1
    assert error.decode().startswith("Error: no Kafka broker answered at 127.0.0.1:1")
    assert len(error.decode().splitlines()) == 1


async def test_faust_worker(postgres_dsn: str, kafka_bootstrap: str, topic: str) -> None:
    """`faust … worker` runs the application configured by the environment, and ends on SIGINT."""
    events = generated(200)
    await produce(kafka_bootstrap, topic, events)
    environment = {
        **os.environ,
        "KAFKA_BROKERS": kafka_bootstrap,
        "DATABASE_URL": postgres_dsn,
        "EVENTBUS_TOPICS": topic,
        "EVENTBUS_GROUP": topic,
    }
    command = [sys.executable, "-m", "faust", "-A", "eventbus.processors.worker", "worker", "-l", "error"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)
    try:
        await stored_more_than(postgres_dsn, len(events) - 1)
        process.send_signal(signal.SIGINT)
        await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    await assert_exact(postgres_dsn, events)


async def test_login(postgres_dsn: str, kafka_server: KafkaServer, kafka_topic: str) -> None:
    """The processor logs in to a cluster with SASL over TLS."""
    await make_topic(kafka_server.bootstrap, kafka_topic)
    events = generated(50)
    await produce(kafka_server.bootstrap, kafka_topic, events)
    [(user, password), *_] = USERS.items()
    tls = ssl.create_default_context(cafile=kafka_server.cafile)
    login = credentials(user, password, mechanism="SCRAM-SHA-256", tls=tls)
    address = kafka_server.address("SASL_SSL")
    async with processor(postgres_dsn, address, kafka_topic, broker_credentials=login) as running:
        await until(lambda: running.statistics().read == len(events))
    await assert_exact(postgres_dsn, events)


async def test_broker_away(postgres_dsn: str, mortal_kafka: KafkaServer, kafka_topic: str) -> None:
    """A processor can be stopped while the broker is unreachable."""
    await make_topic(mortal_kafka.bootstrap, kafka_topic)
    async with processor(postgres_dsn, mortal_kafka.bootstrap, kafka_topic) as running:
        await produce(mortal_kafka.bootstrap, kafka_topic, generated(50))
        await until(lambda: running.statistics().read == len(generated(50)))
        mortal_kafka.kill()
    await assert_exact(postgres_dsn, generated(50))
