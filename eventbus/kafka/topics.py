"""Creates topics on first use, since many brokers do not create them automatically."""

from __future__ import annotations

import fnmatch
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import NoError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from eventbus.errors import UnknownTopic
from eventbus.event import domain_of
from eventbus.kafka.connection import Connection
from eventbus.kafka.errors import map_exception, map_exceptions

DEFAULT_PARTITIONS = 4


class TopicAdmin:
    """Creates and lists topics, and remembers those that exist.

    Args:
        partitions: of each new topic, or a mapping from topic or domain to their number; the default is 4.
    """

    def __init__(self, connection: Connection, partitions: int | Mapping[str, int]) -> None:
        self._connection = connection
        self._partitions = partitions
        self._known: set[str] = set()

    def partitions_of(self, topic: str) -> int:
        """The number of partitions with which a topic is created."""
        if isinstance(self._partitions, int):
            return self._partitions
        return self._partitions.get(topic) or self._partitions.get(domain_of(topic)) or DEFAULT_PARTITIONS

    async def ensure(self, topics: Iterable[str]) -> None:
        """Create those of these topics that do not exist.

        Raises:
            BrokerUnreachable, AuthenticationFailed
            TopicDenied: the credentials do not allow to describe or create a topic.
        """
        unknown = set(topics) - self._known
        if unknown:
            await self.create({topic: self.partitions_of(topic) for topic in sorted(unknown)})

    async def matching(self, patterns: Sequence[str]) -> list[str]:
        """The existing topics that match these names or patterns with `*`.

        Raises:
            UnknownTopic: no topic matches one of them.
            BrokerUnreachable, AuthenticationFailed
        """
        await self._connection.check()
        with map_exceptions("list topics"):
            async with self._admin() as admin:
                existing = await admin.list_topics()
        matches = {pattern: fnmatch.filter(existing, pattern) for pattern in patterns}
        if missing := [pattern for pattern, names in matches.items() if not names]:
            raise UnknownTopic(f"no topic {', '.join(missing)} at {self._connection.bootstrap_servers}")
        return sorted({name for names in matches.values() for name in names if not name.startswith("__")})

    async def create(self, partitions: Mapping[str, int]) -> None:
        """Create the topics that do not exist.

        Raises:
            BrokerUnreachable, AuthenticationFailed, TopicDenied, InvalidTopic
        """
        await self._connection.check()
        with map_exceptions(f"create topics {', '.join(partitions)}"):
            async with self._admin() as admin:
                missing = await _missing(admin, list(partitions))
                await _create(admin, {topic: partitions[topic] for topic in missing})
        self._known.update(partitions)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._connection.client_arguments())
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


async def _missing(admin: AIOKafkaAdminClient, topics: list[str]) -> list[str]:
    """The topics that do not exist. Asked before creating, since permission to write does not imply that to create."""
    missing = []
    for description in await admin.describe_topics(topics):
        error = for_code(description["error_code"])
        if error is UnknownTopicOrPartitionError:
            missing.append(description["topic"])
        elif error is not NoError:
            raise map_exception(error(), f"topic {description['topic']}")
    return missing


async def _create(admin: AIOKafkaAdminClient, partitions: Mapping[str, int]) -> None:
    if not partitions:
        return
    new = [_new_topic(topic, count) for topic, count in partitions.items()]
    for topic, code, *message in (await admin.create_topics(new)).topic_errors:
        error = for_code(code)
        if error not in (NoError, TopicAlreadyExistsError):  # another process may have created it
            raise map_exception(error(*message), f"create topic {topic}")


def _new_topic(name: str, partitions: int) -> NewTopic:
    """A topic with the broker's default replication factor: -1 (KIP-464), which aiokafka's constructor refuses."""
    topic = NewTopic(name, partitions, replication_factor=1)
    topic.replication_factor = -1
    return topic
