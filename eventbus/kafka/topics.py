"""Topics made on first use, because a well-kept broker does not make them by itself."""

from __future__ import annotations

import fnmatch
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import NoError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from eventbus.errors import UnknownTopic
from eventbus.event import domain_of
from eventbus.kafka.connection import Connection
from eventbus.kafka.errors import translate, translated

DEFAULT_PARTITIONS = 4


class Topics:
    """The topics this bus knows to exist, and how many partitions a new one gets.

    Args:
        partitions: of each new topic, or a mapping from topic or domain to its number (others get 4).
    """

    def __init__(self, connection: Connection, partitions: int | Mapping[str, int]) -> None:
        self._connection = connection
        self._partitions = partitions
        self._known: set[str] = set()

    def partitions_of(self, topic: str) -> int:
        """How many partitions `topic` gets when it is made here."""
        if isinstance(self._partitions, int):
            return self._partitions
        return self._partitions.get(topic) or self._partitions.get(domain_of(topic)) or DEFAULT_PARTITIONS

    async def ensure(self, topics: Iterable[str]) -> None:
        """See to it that these topics exist.

        Raises:
            BrokerUnreachable, AuthenticationFailed
            TopicDenied: the credentials may not see or not create one.
        """
        unknown = set(topics) - self._known
        if unknown:
            await self.create({topic: self.partitions_of(topic) for topic in sorted(unknown)})

    async def named(self, patterns: Sequence[str]) -> list[str]:
        """The topics that exist of these names, in which `*` stands for anything.

        Raises:
            UnknownTopic: there is none of a name.
            BrokerUnreachable, AuthenticationFailed
        """
        await self._connection.probe()
        with translated("list topics"):
            async with self._admin() as admin:
                known = await admin.list_topics()
        found = {pattern: fnmatch.filter(known, pattern) for pattern in patterns}
        if missing := [pattern for pattern, names in found.items() if not names]:
            raise UnknownTopic(f"no topic {', '.join(missing)} at {self._connection.bootstrap_servers}")
        return sorted({name for names in found.values() for name in names if not name.startswith("__")})

    async def create(self, partitions: Mapping[str, int]) -> None:
        """Create those that do not exist yet.

        Raises:
            BrokerUnreachable, AuthenticationFailed, TopicDenied, InvalidTopic
        """
        await self._connection.probe()
        with translated(f"create topics {', '.join(partitions)}"):
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
    """Ask before creating: who may write to a topic need not be allowed to create it."""
    missing = []
    for answer in await admin.describe_topics(topics):
        error = for_code(answer["error_code"])
        if error is UnknownTopicOrPartitionError:
            missing.append(answer["topic"])
        elif error is not NoError:
            raise translate(error(), f"topic {answer['topic']}")
    return missing


async def _create(admin: AIOKafkaAdminClient, partitions: Mapping[str, int]) -> None:
    if not partitions:
        return
    new = [_new_topic(topic, count) for topic, count in partitions.items()]
    for topic, code, *message in (await admin.create_topics(new)).topic_errors:
        error = for_code(code)
        if error not in (NoError, TopicAlreadyExistsError):  # another process may have been faster
            raise translate(error(*message), f"create topic {topic}")


def _new_topic(name: str, partitions: int) -> NewTopic:
    """With the broker's own replication factor (KIP-464): aiokafka can send it, but takes no -1 as an argument."""
    topic = NewTopic(name, partitions, replication_factor=1)
    topic.replication_factor = -1
    return topic
