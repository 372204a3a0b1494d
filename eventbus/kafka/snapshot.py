"""All records that some topics hold at a moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition

from eventbus.kafka.connection import Connection
from eventbus.kafka.errors import translated
from eventbus.kafka.subscription import converted
from eventbus.kafka.topics import Topics
from eventbus.record import ConsumerRecord

WAIT_MS = 500
LAST_WAITS = 10
"""Waits in a row that bring nothing: then the offsets that are left hold no records (marks of transactions)."""
TOGETHER = 5000


class Snapshot:
    """Reads topics from their beginning to the offsets that were their ends when it was entered.

    Args:
        connection: to the cluster.
        topics: names, in which `*` stands for anything.
    """

    def __init__(self, connection: Connection, topics: Sequence[str]) -> None:
        self._connection = connection
        self._topics = list(topics)
        self._ends: dict[KafkaPartition, int] = {}
        #: Offsets between the beginnings and the ends.
        self.total = 0

    async def __aenter__(self) -> Self:
        """Find the ends.

        Raises:
            UnknownTopic: there is no topic of a name; none is made.
            EventBusError: the broker cannot be reached, or refuses.
        """
        self._topics = await Topics(self._connection, 1).named(self._topics)
        self._consumer = AIOKafkaConsumer(
            **self._connection.client_arguments(), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        self._consumer.subscribe(self._topics)
        with translated(f"read {', '.join(self._topics)}"):
            await self._consumer.start()
            places = list(self._consumer.assignment())
            self._ends = await self._consumer.end_offsets(places)
            begins = await self._consumer.beginning_offsets(places)
        self.total = sum(self._ends[place] - begins[place] for place in places)
        self._ends = {place: end for place, end in self._ends.items() if end > begins[place]}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def batches(self) -> AsyncIterator[list[ConsumerRecord]]:
        """Records of one partition at a time, in its order."""
        empty = 0
        while self._ends and empty < LAST_WAITS:
            with translated(f"read {', '.join(self._topics)}"):
                fetched = await self._consumer.getmany(*self._ends, timeout_ms=WAIT_MS, max_records=TOGETHER)
            empty = 0 if fetched else empty + 1
            for place, records in fetched.items():
                end = self._ends[place]
                yield converted(place, [record for record in records if record.offset < end])
                if records[-1].offset + 1 >= end:
                    del self._ends[place]
