"""What a `KafkaBus` promises beyond the contract: no duplicates, no losses, and counters that add up."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from eventbus import DeliveryFailed, Event, KafkaBus
from eventbus.kafka.producer import Compression
from eventbus.record import ProducerRecord

pytestmark = pytest.mark.kafka

EVENT = Event.new("omninode.agent.execution.started.v1", {"agent": "coder"})


async def end_offsets(bootstrap: str, topic: str) -> int:
    """The number of records in a topic, asked of the broker by another client."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        partitions = [TopicPartition(topic, number) for number in await _partitions(consumer, topic)]
        return sum((await consumer.end_offsets(partitions)).values())


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    await consumer._client._wait_on_metadata(topic)
    return sorted(consumer.partitions_for_topic(topic))


def numbered(topic: str, count: int) -> Iterator[ProducerRecord]:
    for number in range(count):
        yield ProducerRecord(topic, b"%d" % (number % 100), b"%d" % number, number, ())


async def test_the_producer_is_idempotent_and_waits_for_all_replicas(
    kafka_bootstrap: str, kafka_topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retries make no duplicates, and an acknowledgement means that all in-sync replicas have the record."""
    started = []
    start = AIOKafkaProducer.start

    async def noted(producer: AIOKafkaProducer) -> None:
        started.append(producer)
        await start(producer)

    monkeypatch.setattr(AIOKafkaProducer, "start", noted)
    async with KafkaBus(kafka_bootstrap) as bus:
        await bus.publish(EVENT, topic=kafka_topic)
        [producer] = started
        assert producer._txn_manager.has_pid()
        assert producer._sender._acks == -1


STOCK_CONSUMER = """
import asyncio, sys
sys.modules["cramjam"] = None  # as after `pip install aiokafka`, without extras
from aiokafka import AIOKafkaConsumer

async def main(bootstrap, topic, count):
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        for _ in range(int(count)):
            print((await consumer.getone()).value.decode())

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_client_without_extras_reads_what_is_sent_by_default(kafka_bootstrap: str, kafka_topic: str) -> None:
    """Records are not compressed unless asked: stock aiokafka, and so stock Faust, reads them."""
    async with KafkaBus(kafka_bootstrap, partitions=1) as bus:
        await bus.publish_many(numbered(kafka_topic, 500))
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STOCK_CONSUMER, kafka_bootstrap, kafka_topic, "500", stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(60):
        out, err = await reader.communicate()
    assert reader.returncode == 0, err.decode()
    assert list(map(int, out.split())) == list(range(500))


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_any_compression_is_read_back(kafka_bootstrap: str, kafka_topic: str, compression: Compression) -> None:
    """Compressed records arrive unchanged and in order within their partition."""
    async with KafkaBus(kafka_bootstrap, compression=compression) as bus:
        assert await bus.publish_many(numbered(kafka_topic, 5000)) == 5000
        found: dict[int, list[int]] = {}
        async with bus.subscribe(kafka_topic) as subscription:
            async for records in subscription.batches():
                found.setdefault(records[0].partition, []).extend(int(record.value or b"") for record in records)
                if sum(map(len, found.values())) == 5000:
                    break
    assert sorted(number for numbers in found.values() for number in numbers) == list(range(5000))
    assert all(numbers == sorted(numbers) for numbers in found.values())


async def test_topics_get_the_partitions_of_the_catalog(kafka_bootstrap: str, kafka_topic: str) -> None:
    """A topic created on first use has the configured partitions; an existing one keeps its own."""
    async with KafkaBus(kafka_bootstrap, partitions={f"{kafka_topic}.agent": 7}) as bus:
        event = EVENT.evolve(event_type=f"{kafka_topic}.agent.execution.started.v1")
        assert (await bus.publish(event)).topic == f"{kafka_topic}.agent"
        await bus.create_topics({f"{kafka_topic}.agent": 3})
        async with bus.subscribe(f"{kafka_topic}.agent") as subscription:
            assert len(subscription.assignment()) == 7


async def test_concurrent_publishers_share_batches_and_get_their_own_offsets(
    kafka_bootstrap: str, kafka_topic: str
) -> None:
    """Each call returns the metadata of its own record."""
    async with KafkaBus(kafka_bootstrap, linger_ms=5) as bus:
        places = await asyncio.gather(*(bus.publish(EVENT, topic=kafka_topic) for _ in range(500)))
    assert sorted(place.offset for place in places) == list(range(500))
    assert len({place.partition for place in places}) == 1


async def test_a_record_too_large_fails_alone(kafka_bootstrap: str, kafka_topic: str) -> None:
    """The broker refuses it, the other records of the call are in the log, and the bus continues without a gap."""
    records = list(numbered(kafka_topic, 10))
    giant = ProducerRecord(kafka_topic, b"giant", bytes(3 << 20), 0, ())
    async with KafkaBus(kafka_bootstrap, partitions=1, compression="none") as bus:
        with pytest.raises(DeliveryFailed, match="1 failed"):
            await bus.publish_many([*records, giant])
        assert await bus.publish_many(records) == 10
    assert bus.delivery_statistics().failed == 1
    assert await end_offsets(kafka_bootstrap, kafka_topic) == bus.delivery_statistics().acknowledged == 20


async def test_a_cancelled_call_still_delivers_what_it_took(kafka_bootstrap: str, kafka_topic: str) -> None:
    """After cancellation and `close`, sent = acknowledged + failed, and the log has the acknowledged records only."""
    taken = 0
    under_way = asyncio.Event()

    def endless() -> Iterator[ProducerRecord]:
        nonlocal taken
        for taken, record in enumerate(numbered(kafka_topic, 10**9), start=1):  # noqa: B007  counts for the test
            if bus.delivery_statistics().acknowledged:
                under_way.set()
            yield record

    bus = KafkaBus(kafka_bootstrap, max_in_flight_bytes=4 << 20)
    publishing = asyncio.ensure_future(bus.publish_many(endless()))
    async with asyncio.timeout(30):
        await under_way.wait()
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    assert bus.delivery_statistics().in_flight
    await bus.close()
    account = bus.delivery_statistics()
    assert account.sent == account.acknowledged == taken
    assert await end_offsets(kafka_bootstrap, kafka_topic) == taken


async def test_publishers_wait_while_too_much_is_unacknowledged(kafka_bootstrap: str, kafka_topic: str) -> None:
    """An endless publisher stays within the limit in flight."""
    record = ProducerRecord(kafka_topic, b"key", bytes(64 << 10), 0, ())
    most = 0

    async def watch(bus: KafkaBus) -> None:
        nonlocal most
        while True:
            most = max(most, bus.delivery_statistics().in_flight)
            await asyncio.sleep(0)

    async with KafkaBus(kafka_bootstrap, compression="none", max_in_flight_bytes=2 << 20) as bus:
        watching = asyncio.ensure_future(watch(bus))
        assert await bus.publish_many(record for _ in range(200)) == 200
        watching.cancel()
    assert 0 < most <= (2 << 20) // (64 << 10)


async def test_statistics_are_a_snapshot(kafka_bootstrap: str, kafka_topic: str) -> None:
    """Statistics are immutable."""
    async with KafkaBus(kafka_bootstrap) as bus:
        before = bus.delivery_statistics()
        await bus.publish(EVENT, topic=kafka_topic)
        assert (before.sent, bus.delivery_statistics().sent, bus.delivery_statistics().in_flight) == (0, 1, 0)
