"""Reads all records that topics contain at a point in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition

from eventbus.kafka.connection import Connection
from eventbus.kafka.errors import map_exceptions
from eventbus.kafka.subscription import consumer_records
from eventbus.kafka.topics import TopicAdmin
from eventbus.record import ConsumerRecord

POLL_MS = 500
MAX_EMPTY_POLLS = 10
"""Consecutive empty polls after which the remaining offsets are taken to be transaction markers."""
MAX_RECORDS = 5000


class TopicSnapshot:
    """Reads topics from their beginning to the end offsets they had when it was entered.

    Args:
        connection: to the cluster.
        topics: names or patterns with `*`.
    """

    def __init__(self, connection: Connection, topics: Sequence[str]) -> None:
        self._connection = connection
        self._topics = list(topics)
        self._ends: dict[KafkaPartition, int] = {}
        self.total = 0
        """Number of offsets between the beginnings and the ends."""

    async def __aenter__(self) -> Self:
        """Determine the end offsets.

        Raises:
            UnknownTopic: no topic matches a name or pattern; none is created.
            EventBusError: the broker cannot be reached or refuses.
        """
        self._topics = await TopicAdmin(self._connection, 1).matching(self._topics)
        self._consumer = AIOKafkaConsumer(
            **self._connection.client_arguments(), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        self._consumer.subscribe(self._topics)
        with map_exceptions(f"read {', '.join(self._topics)}"):
            await self._consumer.start()
            partitions = list(self._consumer.assignment())
            ends = await self._consumer.end_offsets(partitions)
            beginnings = await self._consumer.beginning_offsets(partitions)
        self.total = sum(ends[partition] - beginnings[partition] for partition in partitions)
        self._ends = {partition: end for partition, end in ends.items() if end > beginnings[partition]}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def batches(self) -> AsyncIterator[list[ConsumerRecord]]:
        """Lists of records of one partition, in offset order."""
        empty_polls = 0
        while self._ends and empty_polls < MAX_EMPTY_POLLS:
            with map_exceptions(f"read {', '.join(self._topics)}"):
                fetched = await self._consumer.getmany(*self._ends, timeout_ms=POLL_MS, max_records=MAX_RECORDS)
            empty_polls = 0 if fetched else empty_polls + 1
            for partition, records in fetched.items():
                end = self._ends[partition]
                yield consumer_records(partition, [record for record in records if record.offset < end])
                if records[-1].offset + 1 >= end:
                    del self._ends[partition]
