"""Consumer groups: who reads which partition, since which generation, and how far the group has come.

The rebalance is Kafka's eager one. When membership changes, every member must come back (`join` again), having let go
of its partitions; when all have, or those that have not are put out, the generation rises and the partitions are
handed out anew. Time is an argument: `expire(now)` puts out the members that were silent for too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from eventbus.errors import IllegalGeneration, UnknownMember
from eventbus.record import TopicPartition


class GroupState(Enum):
    """Where a group stands; Kafka's names."""

    EMPTY = auto()
    PREPARING_REBALANCE = auto()
    STABLE = auto()


class Change(Enum):
    """What can happen to a group."""

    MEMBERSHIP = auto()
    """Somebody came, left or wants other topics; somebody is left."""
    LAST_LEFT = auto()
    ALL_JOINED = auto()


TRANSITIONS = {
    (GroupState.EMPTY, Change.MEMBERSHIP): GroupState.PREPARING_REBALANCE,
    (GroupState.STABLE, Change.MEMBERSHIP): GroupState.PREPARING_REBALANCE,
    (GroupState.PREPARING_REBALANCE, Change.MEMBERSHIP): GroupState.PREPARING_REBALANCE,
    (GroupState.PREPARING_REBALANCE, Change.ALL_JOINED): GroupState.STABLE,
    (GroupState.PREPARING_REBALANCE, Change.LAST_LEFT): GroupState.EMPTY,
    (GroupState.STABLE, Change.LAST_LEFT): GroupState.EMPTY,
}
"""The whole machine: a pair that is missing cannot happen."""

Assignment = Mapping[str, frozenset[TopicPartition]]


@dataclass(slots=True)
class Member:
    """One consumer, as its group sees it."""

    topics: frozenset[str]
    seen: int
    """When it last gave a sign of life, ms since the epoch."""
    joined: bool = False
    """In a rebalance: whether it has come back."""
    assignment: frozenset[TopicPartition] = frozenset()


class ConsumerGroup:
    """The members of one group, their partitions and the committed offsets."""

    def __init__(
        self,
        name: str,
        partitions_of: Callable[[str], int],
        *,
        session_timeout_ms: int = 300_000,
        rebalance_timeout_ms: int = 3_000,
    ) -> None:
        """
        Args:
            partitions_of: how many partitions a topic has.
            session_timeout_ms: a member silent for longer is put out.
            rebalance_timeout_ms: how long a rebalance waits for members that do not come back.
        """
        self.name = name
        self.state = GroupState.EMPTY
        self.generation = 0
        self.members: dict[str, Member] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.begun: dict[TopicPartition, int] = {}
        """Where reading began in partitions without a committed offset."""
        self.lost = 0
        """Records that were trimmed before a member got them."""
        self.rebalance_deadline = 0
        """When the running rebalance stops waiting, ms since the epoch."""
        self._partitions_of = partitions_of
        self._session_timeout_ms = session_timeout_ms
        self._rebalance_timeout_ms = rebalance_timeout_ms

    def __repr__(self) -> str:
        return f"<ConsumerGroup {self.name} {self.state.name} generation={self.generation} members={len(self.members)}>"

    def join(self, member_id: str, topics: Iterable[str], now: int) -> None:
        """Come in, or come back during a rebalance having let go of all partitions."""
        wanted = frozenset(topics)
        member = self.members.get(member_id)
        if member is None or member.topics != wanted:
            self.rebalance(now)
            member = self.members[member_id] = Member(wanted, now)
        member.seen = now
        member.joined = True
        self._complete()

    def leave(self, member_id: str, now: int) -> None:
        """Go; a member that is not there has gone already."""
        if self.members.pop(member_id, None) is None:
            return
        if self.members:
            self.rebalance(now)
            self._complete()
        else:
            self._move(Change.LAST_LEFT)

    def rebalance(self, now: int) -> None:
        """Ask every member to come back."""
        if self.state is not GroupState.PREPARING_REBALANCE:
            self.rebalance_deadline = now + self._rebalance_timeout_ms
            for member in self.members.values():
                member.joined = False
        self._move(Change.MEMBERSHIP)

    def heartbeat(self, member_id: str, now: int) -> None:
        """A sign of life.

        Raises:
            UnknownMember: put out or never joined: join again.
        """
        self._member(member_id).seen = now

    def expire(self, now: int) -> list[str]:
        """Put out who was silent for too long, or keeps a rebalance waiting past its deadline; returns their ids."""
        late = [name for name, member in self.members.items() if self._is_late(member, now)]
        for name in late:
            self.leave(name, now)
        return late

    def assignment(self, member_id: str) -> frozenset[TopicPartition]:
        """The partitions of a member in this generation.

        Raises:
            UnknownMember: put out or never joined.
        """
        return self._member(member_id).assignment

    def topics(self) -> frozenset[str]:
        """What its members read."""
        return frozenset().union(*(member.topics for member in self.members.values()))

    def offset(self, partition: TopicPartition) -> int | None:
        """Where a new reader of a partition goes on: what is committed, else where reading began, else None."""
        return self.committed.get(partition, self.begun.get(partition))

    def commit(
        self, offsets: Mapping[TopicPartition, int], *, member_id: str | None = None, generation: int | None = None
    ) -> None:
        """Note the offsets to go on from: all of them, or none when refused.

        Args:
            member_id, generation: who commits, and since when it has its partitions; without a member, the commit is
                a tool's, and allowed only while nobody is in the group.

        Raises:
            UnknownMember: not a member, or a tool while there are members.
            IllegalGeneration: the group has rebalanced since.
        """
        if member_id is None:
            if self.members:
                raise UnknownMember(f"group {self.name} has {len(self.members)} members: only they may commit")
        elif member_id not in self.members:
            raise UnknownMember(f"{member_id} is not a member of group {self.name}")
        elif generation != self.generation:
            raise IllegalGeneration(f"group {self.name} is at generation {self.generation}, the commit at {generation}")
        self.committed.update(offsets)

    def forget(self, topic: str, now: int) -> None:
        """Drop the offsets in a topic, as if the group had read nothing of it; its members start anew.

        The generation rises at once, so that a commit on the way finds no records to lie about.
        """
        for offsets in (self.committed, self.begun):
            for partition in [partition for partition in offsets if partition.topic == topic]:
                del offsets[partition]
        if topic in self.topics():
            self.generation += 1
            self.rebalance(now)

    def _member(self, member_id: str) -> Member:
        try:
            return self.members[member_id]
        except KeyError:
            raise UnknownMember(f"{member_id} is not a member of group {self.name}") from None

    def _is_late(self, member: Member, now: int) -> bool:
        if self.state is GroupState.PREPARING_REBALANCE and not member.joined and now >= self.rebalance_deadline:
            return True
        return now - member.seen > self._session_timeout_ms

    def _complete(self) -> None:
        if self.state is GroupState.PREPARING_REBALANCE and all(member.joined for member in self.members.values()):
            self._move(Change.ALL_JOINED)
            self.generation += 1
            topics = {name: member.topics for name, member in self.members.items()}
            for name, partitions in range_assignment(topics, self._partitions_of).items():
                self.members[name].assignment = partitions

    def _move(self, change: Change) -> None:
        self.state = TRANSITIONS[self.state, change]


def range_assignment(members: Mapping[str, frozenset[str]], partitions_of: Callable[[str], int]) -> Assignment:
    """Each topic's partitions in runs as even as can be, in the order of the member ids (Kafka's RangeAssignor)."""
    shares: dict[str, list[TopicPartition]] = {name: [] for name in members}
    for topic in sorted(frozenset().union(*members.values())):
        readers = sorted(name for name, topics in members.items() if topic in topics)
        count, rest = divmod(partitions_of(topic), len(readers))
        first = 0
        for place, name in enumerate(readers):
            after = first + count + (place < rest)
            shares[name].extend(TopicPartition(topic, partition) for partition in range(first, after))
            first = after
    return {name: frozenset(partitions) for name, partitions in shares.items()}
